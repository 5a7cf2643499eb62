//! Which error a refusal of the database is.

use partstore::{Error, Key, Upload};

use crate::database::Failure;

/// What a verb was about.
#[derive(Clone, Copy, Default)]
pub(super) struct About<'a> {
    pub upload: Option<&'a Upload>,
    pub replaced: Option<&'a Upload>,
    /// The key whose condition, namespace and quota count.
    pub key: Option<&'a Key>,
    /// The namespace, where no key is meant.
    pub namespace: Option<&'a str>,
}

impl<'a> About<'a> {
    pub fn upload(upload: &'a Upload) -> Self {
        Self {
            upload: Some(upload),
            ..Self::key(upload.full_key())
        }
    }

    pub fn key(key: &'a Key) -> Self {
        Self {
            key: Some(key),
            namespace: Some(key.namespace()),
            ..Self::default()
        }
    }

    pub fn namespace(name: &'a str) -> Self {
        Self {
            namespace: Some(name),
            ..Self::default()
        }
    }

    /// The error that says why a verb was refused.
    pub fn error(&self, failure: Failure) -> Error {
        let Failure::Refused { code, detail } = &failure else {
            return failure.into_error();
        };
        let known = match code.as_str() {
            "PS001" => self.upload.map(Upload::not_found),
            "PS003" => Some(Error::Unavailable {
                cause: format!("the bytes of {detail} were removed while this server had no lease"),
            }),
            "PS004" => self.upload.map(Upload::object_not_found),
            "PS005" => self
                .key
                .map(|key| Error::PreconditionFailed { key: key.clone() }),
            "PS006" => self.key.map(Key::not_found),
            "PS007" => self.namespace.and_then(|name| over_quota(name, detail)),
            "PS008" => self.namespace.map(no_such_namespace),
            "PS009" => self.namespace.map(|name| Error::NamespaceExists {
                name: name.to_owned(),
            }),
            "PS010" => self.namespace.map(|name| Error::NamespaceNotEmpty {
                name: name.to_owned(),
            }),
            "PS012" => self.replaced.map(Upload::object_not_found),
            _ => None,
        };
        known.unwrap_or_else(|| failure.into_error())
    }
}

pub(super) fn no_such_namespace(name: &str) -> Error {
    Error::NoSuchNamespace {
        name: name.to_owned(),
    }
}

/// Reads `what proposed maximum`.
pub(super) fn over_quota(namespace: &str, detail: &str) -> Option<Error> {
    let mut words = detail.split(' ');
    let what = match words.next()? {
        "bytes" => "bytes",
        _ => "keys",
    };
    Some(Error::QuotaExceeded {
        namespace: namespace.to_owned(),
        what,
        proposed: words.next()?.parse().ok()?,
        maximum: words.next()?.parse().ok()?,
    })
}
