//! [`Key`]: the name of an object, in a namespace.

use std::fmt;

use crate::{Error, Result};

/// The longest object key, bytes, inclusive. The limit is S3's; COS allows 850 bytes, percent-encoded.
pub const MAX_KEY_LEN: usize = 1024;
/// The longest name of a namespace, bytes, inclusive.
pub const MAX_NAMESPACE_LEN: usize = 1024;

/// An object key, in a namespace.
///
/// A text alone is a key of the default namespace, whose name is empty. A pair names both.
///
/// ```
/// use partstore::Key;
/// let in_default = Key::from("video.mp4");
/// assert_eq!(in_default.namespace(), "");
/// let in_bucket = Key::from(("bucket", "video.mp4"));
/// assert_eq!((in_bucket.namespace(), in_bucket.as_str()), ("bucket", "video.mp4"));
/// ```
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key {
    namespace: String,
    key: String,
}

impl Key {
    /// Names a key of a namespace. Each call that takes it checks both.
    #[must_use]
    pub fn new(namespace: impl Into<String>, key: impl Into<String>) -> Self {
        Self {
            namespace: namespace.into(),
            key: key.into(),
        }
    }

    /// Returns the name of the namespace. It is empty for the default one.
    #[must_use]
    pub fn namespace(&self) -> &str {
        &self.namespace
    }

    /// Returns the key, without its namespace.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.key
    }

    /// Refuses keys that are empty, longer than `maximum` bytes, or hold a NUL. Rows use NUL as a
    /// separator.
    pub(crate) fn check(&self, maximum: usize) -> Result<()> {
        let length = self.key.len();
        if length > maximum {
            return Err(Error::KeyTooLong { length, maximum });
        }
        check_text("key", &self.key)
    }

    /// Makes the error that says that the key has no current object.
    #[must_use]
    pub fn not_found(&self) -> Error {
        Error::NoSuchKey { key: self.clone() }
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.namespace.is_empty() {
            write!(f, "{:?}", self.key)
        } else {
            write!(f, "{:?} in {:?}", self.key, self.namespace)
        }
    }
}

impl From<&str> for Key {
    fn from(key: &str) -> Self {
        Self::new("", key)
    }
}

impl From<&String> for Key {
    fn from(key: &String) -> Self {
        Self::new("", key.as_str())
    }
}

impl From<String> for Key {
    fn from(key: String) -> Self {
        Self::new("", key)
    }
}

impl From<&Key> for Key {
    fn from(key: &Key) -> Self {
        key.clone()
    }
}

impl<N: Into<String>, K: Into<String>> From<(N, K)> for Key {
    fn from((namespace, key): (N, K)) -> Self {
        Self::new(namespace, key)
    }
}

/// Refuses names of namespaces that are empty, longer than [`MAX_NAMESPACE_LEN`] bytes, or hold a NUL.
pub(crate) fn check_namespace(name: &str) -> Result<()> {
    let (length, maximum) = (name.len(), MAX_NAMESPACE_LEN);
    if length > maximum {
        return Err(Error::KeyTooLong { length, maximum });
    }
    check_text("namespace", name)
}

fn check_text(argument: &'static str, text: &str) -> Result<()> {
    if text.is_empty() || text.contains('\0') {
        let expected = "at least one byte of UTF-8 without a NUL character";
        return Err(Error::InvalidArgument {
            argument,
            found: text.to_owned(),
            expected,
        });
    }
    Ok(())
}
