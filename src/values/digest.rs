//! [`ContentHash`], [`ETag`], [`ObjectETag`], [`ContentMd5`]: digests as values, and the CRCs of a blob's
//! blocks.

use std::fmt;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

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

    pub(crate) fn from_bytes(bytes: [u8; 32]) -> Self {
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

/// The ETag of a part: the MD5 of its bytes ([R14](crate::rules#r14)).
///
/// `Display` gives the 32 lower-case hex digits. [`quoted`](ETag::quoted) gives the form of the header.
/// `FromStr` takes digits of either case, plain or inside `"` or `&quot;` ([R22](crate::rules#r22)).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ETag([u8; 16]);

impl ETag {
    /// Returns the MD5 digest as bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }

    /// Makes the ETag of bytes that have this MD5 digest.
    #[must_use]
    pub fn from_md5(md5: [u8; 16]) -> Self {
        Self(md5)
    }

    /// Returns the value of an `ETag` header: the hex digits in double quotes.
    #[must_use]
    pub fn quoted(&self) -> String {
        format!("\"{self}\"")
    }
}

impl fmt::Display for ETag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
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
    /// [`Error::InvalidArgument`] when the text without its quotes is not 32 hex digits.
    fn from_str(text: &str) -> Result<Self> {
        let mut md5 = [0; 16];
        match hex::decode_to_slice(text.trim().replace("&quot;", "").replace('"', ""), &mut md5) {
            Ok(()) => Ok(Self(md5)),
            Err(_) => Err(Error::InvalidArgument {
                argument: "ETag",
                found: text.chars().take(80).collect(),
                expected: "32 hex digits, quoted or not",
            }),
        }
    }
}

/// The ETag of an object: the MD5 of its parts' MD5 digests, then `-` and the number of parts
/// ([R34](crate::rules#r34)).
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct ObjectETag {
    pub(crate) md5: [u8; 16],
    pub(crate) parts: u16,
}

impl ObjectETag {
    /// Returns the value of an `ETag` header: the ETag in double quotes.
    #[must_use]
    pub fn quoted(&self) -> String {
        format!("\"{self}\"")
    }
}

impl fmt::Display for ObjectETag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", hex::encode(self.md5), self.parts)
    }
}

impl fmt::Debug for ObjectETag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ObjectETag({self})")
    }
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

/// Length of the blocks in which a blob is checked when it is read, bytes.
pub(crate) const BLOCK_LEN: usize = 256 * 1024;

/// What a blob must hold: its size, and the CRC-32 of each block of [`BLOCK_LEN`] bytes. The last block may
/// be shorter.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub(crate) struct BlockCrcs {
    pub size: u64,
    pub crcs: Vec<u32>,
}

impl BlockCrcs {
    /// How many blocks a blob of `size` bytes has.
    pub(crate) fn blocks(size: u64) -> u64 {
        size.div_ceil(BLOCK_LEN as u64)
    }

    /// The CRC-32 of the whole blob, combined from those of its blocks.
    pub(crate) fn crc32(&self) -> u32 {
        let mut whole = crc32fast::Hasher::new();
        for (at, crc) in (0..).zip(&self.crcs) {
            let len = self.block_len(at) as u64;
            whole.combine(&crc32fast::Hasher::new_with_initial_len(*crc, len));
        }
        whole.finalize()
    }

    /// Bytes in block `at`, which lies inside the blob.
    pub(crate) fn block_len(&self, at: u64) -> usize {
        let start = at * BLOCK_LEN as u64;
        usize::try_from(self.size.saturating_sub(start))
            .unwrap_or(BLOCK_LEN)
            .min(BLOCK_LEN)
    }

    /// Whether `block` holds what block `at` held when it was stored.
    pub(crate) fn matches(&self, at: u64, block: &[u8]) -> bool {
        let stored = usize::try_from(at).ok().and_then(|at| self.crcs.get(at));
        block.len() == self.block_len(at) && stored == Some(&crc32fast::hash(block))
    }
}

/// What the bytes of a blob's file prove, if their hash is the blob's.
#[derive(Clone, Debug)]
pub(crate) struct ProvenBlob {
    pub etag: ETag,
    pub crc32: u32,
    pub crc64: u64,
    pub blocks: BlockCrcs,
}
