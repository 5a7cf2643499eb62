//! [`ContentHash`], [`ETag`], [`ObjectETag`], [`ContentMd5`]: digests as values.

use std::fmt;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use md5::{Digest as _, Md5};

use super::blocks::BlockCrcs;
use crate::{Error, Result};

/// The BLAKE3 hash of a blob's bytes. It identifies the blob, and it is the name of its file (what `b3sum`
/// prints).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ContentHash([u8; 32]);

impl ContentHash {
    /// Returns the hash as bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// Makes one of its bytes.
    #[must_use]
    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The first byte, by which blob files are spread over directories.
    pub(crate) fn prefix(&self) -> u8 {
        let [first, ..] = self.0;
        first
    }

    /// Reads the name of a blob file: 64 lower-case hex digits and nothing else.
    pub(crate) fn from_file_name(name: &str) -> Option<Self> {
        let mut bytes = [0; 32];
        hex::decode_to_slice(name, &mut bytes).ok()?;
        (hex::encode(bytes) == name).then_some(Self(bytes))
    }
}

impl fmt::Display for ContentHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

impl fmt::Debug for ContentHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ContentHash({self})")
    }
}

/// The ETag of a part. It is the MD5 of its bytes ([R14](crate::rules#r14)), or with
/// [`ETagKind::Opaque`](crate::ETagKind::Opaque) the first 20 bytes of their BLAKE3 hash.
///
/// `Display` gives the 32 or 40 lower-case hex digits. [`quoted`](ETag::quoted) gives the form of the
/// header. `FromStr` takes digits of either case, plain or inside `"` or `&quot;`
/// ([R22](crate::rules#r22)).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ETag(Tag);

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Tag {
    Md5([u8; 16]),
    Opaque([u8; ETag::OPAQUE_LEN]),
}

impl ETag {
    /// Length of an opaque ETag, bytes.
    pub(crate) const OPAQUE_LEN: usize = 20;

    /// Returns the digest as bytes: 16 of an MD5, 20 of an opaque ETag.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        match &self.0 {
            Tag::Md5(md5) => md5,
            Tag::Opaque(bytes) => bytes,
        }
    }

    /// Returns the MD5 digest, if it is one.
    #[must_use]
    pub fn md5(&self) -> Option<[u8; 16]> {
        match self.0 {
            Tag::Md5(md5) => Some(md5),
            Tag::Opaque(_) => None,
        }
    }

    /// Makes the ETag of bytes that have this MD5 digest.
    #[must_use]
    pub fn from_md5(md5: [u8; 16]) -> Self {
        Self(Tag::Md5(md5))
    }

    /// Makes the opaque ETag with these bytes.
    pub(crate) fn opaque(bytes: [u8; Self::OPAQUE_LEN]) -> Self {
        Self(Tag::Opaque(bytes))
    }

    /// Makes the opaque ETag of what has this BLAKE3 hash.
    pub(crate) fn of_blake3(hash: &[u8; 32]) -> Self {
        Self::opaque(hash.first_chunk().copied().unwrap_or_default())
    }

    /// Returns the value of an `ETag` header: the hex digits in double quotes.
    #[must_use]
    pub fn quoted(&self) -> String {
        format!("\"{self}\"")
    }
}

impl fmt::Display for ETag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.as_bytes()))
    }
}

impl fmt::Debug for ETag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ETag({self})")
    }
}

impl FromStr for ETag {
    type Err = Error;

    /// # Errors
    /// [`Error::InvalidArgument`] when the text without its quotes is not 32 or 40 hex digits.
    fn from_str(text: &str) -> Result<Self> {
        let digits = text.trim().replace("&quot;", "").replace('"', "");
        let bytes = hex::decode(digits).unwrap_or_default();
        let md5 = bytes.as_slice().try_into().ok().map(Self::from_md5);
        let opaque = || bytes.as_slice().try_into().ok().map(Self::opaque);
        md5.or_else(opaque).ok_or_else(|| Error::InvalidArgument {
            argument: "ETag",
            found: text.chars().take(80).collect(),
            expected: "32 or 40 hex digits, quoted or not",
        })
    }
}

/// The ETag of an object.
///
/// - Of a completed upload: a digest of its parts' ETags, then `-` and the number of parts
///   ([R34](crate::rules#r34)). It is their MD5 if all of them are MD5s.
/// - Of an object that was [put](crate::PartStore::put_object) as a whole: that of its one part.
///
/// `FromStr` takes what `Display` gives, digits of either case, plain or quoted.
///
/// ```
/// use partstore::ObjectETag;
/// let etag = "\"59d3b3a9d1e6c3b0cc0d1c0f8a2b8c11-3\"".parse::<ObjectETag>()?;
/// assert_eq!(etag.to_string(), "59d3b3a9d1e6c3b0cc0d1c0f8a2b8c11-3");
/// # Ok::<(), partstore::Error>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct ObjectETag {
    pub(crate) tag: ETag,
    /// 0 for an object that was put as a whole.
    pub(crate) parts: u16,
}

impl ObjectETag {
    /// The ETag of an object that was put as a whole.
    pub(crate) fn of_whole(tag: ETag) -> Self {
        Self { tag, parts: 0 }
    }

    /// The ETag of so many parts.
    pub(crate) fn of_parts(tag: ETag, parts: u16) -> Self {
        Self { tag, parts }
    }

    /// Returns the value of an `ETag` header: the ETag in double quotes.
    #[must_use]
    pub fn quoted(&self) -> String {
        format!("\"{self}\"")
    }
}

impl fmt::Display for ObjectETag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.parts {
            0 => self.tag.fmt(f),
            parts => write!(f, "{}-{parts}", self.tag),
        }
    }
}

impl fmt::Debug for ObjectETag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ObjectETag({self})")
    }
}

impl From<ETag> for ObjectETag {
    /// The ETag of an object that was put as a whole.
    fn from(tag: ETag) -> Self {
        Self::of_whole(tag)
    }
}

impl FromStr for ObjectETag {
    type Err = Error;

    /// # Errors
    /// [`Error::InvalidArgument`] when the text is not the ETag of an object.
    fn from_str(text: &str) -> Result<Self> {
        let refuse = || Error::InvalidArgument {
            argument: "ETag",
            found: text.chars().take(80).collect(),
            expected: "32 or 40 hex digits, then perhaps a hyphen and a number of parts",
        };
        let plain = text.trim().replace("&quot;", "").replace('"', "");
        let (tag, parts) = match plain.split_once('-') {
            None => (plain.as_str(), 0),
            Some((tag, parts)) => {
                let number = parts.parse::<crate::PartNumber>().map_err(|_| refuse())?;
                (tag, number.get())
            }
        };
        let tag = tag.parse().map_err(|_| refuse())?;
        Ok(Self { tag, parts })
    }
}

/// The ETag of an object of parts with these ETags ([R34](crate::rules#r34)).
pub(crate) fn etag_of_parts(parts: impl Iterator<Item = ETag> + Clone) -> ObjectETag {
    let number = u16::try_from(parts.clone().count());
    assert!(number.is_ok(), "more parts than part numbers");
    let tag = if parts.clone().all(|etag| etag.md5().is_some()) {
        let mut md5 = Md5::new();
        parts.for_each(|etag| md5.update(etag.as_bytes()));
        ETag::from_md5(md5.finalize().into())
    } else {
        let mut hasher = blake3::Hasher::new();
        parts.for_each(|etag| {
            hasher.update(etag.as_bytes());
        });
        ETag::of_blake3(hasher.finalize().as_bytes())
    };
    ObjectETag::of_parts(tag, number.unwrap_or_default())
}

/// A declared `Content-MD5`: the base64 form of 16 bytes (RFC 1864).
///
/// ```
/// use partstore::ContentMd5;
/// assert!("1B2M2Y8AsgTpgAmY7PhCfg==".parse::<ContentMd5>().is_ok());
/// assert_eq!("1B2M2Y8AsgTpgAmY7PhCfg".parse::<ContentMd5>().unwrap_err().code(), "InvalidDigest");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ContentMd5([u8; 16]);

impl ContentMd5 {
    /// Returns the digest as bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }
}

impl From<[u8; 16]> for ContentMd5 {
    fn from(md5: [u8; 16]) -> Self {
        Self(md5)
    }
}

impl FromStr for ContentMd5 {
    type Err = Error;

    /// # Errors
    /// [`Error::InvalidDigest`] unless the text is padded base64 of exactly 16 bytes ([R6](crate::rules#r6)).
    fn from_str(text: &str) -> Result<Self> {
        let decoded = STANDARD.decode(text).ok();
        decoded
            .and_then(|bytes| <[u8; 16]>::try_from(bytes).ok())
            .map(Self)
            .ok_or_else(|| Error::InvalidDigest {
                found: text.chars().take(80).collect(),
            })
    }
}

/// What the bytes of a blob's file prove, if their hash is the blob's.
#[derive(Clone, Debug)]
pub(crate) struct ProvenBlob {
    pub md5: [u8; 16],
    pub crc32: u32,
    pub crc64: u64,
    pub blocks: BlockCrcs,
}
