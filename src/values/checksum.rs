//! [`Checksums`]: what may be known of some bytes, by [algorithm](ChecksumAlgorithm).

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::{Error, Result};

/// An algorithm whose checksums a part or an object may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum ChecksumAlgorithm {
    /// MD5, 16 bytes. With [`ETagKind::Md5`](crate::ETagKind::Md5) it is the ETag of each part.
    Md5,
    /// CRC-32 (ISO-HDLC), S3's `CRC32`. Every part has it.
    Crc32,
    /// CRC-32C (Castagnoli), S3's `CRC32C`.
    Crc32c,
    /// CRC-64/XZ, COS's `x-cos-hash-crc64ecma`. Every part has it.
    Crc64Xz,
    /// CRC-64/NVME, S3's `CRC64NVME`.
    Crc64Nvme,
    /// SHA-1, 20 bytes.
    Sha1,
    /// SHA-256, 32 bytes.
    Sha256,
}

impl ChecksumAlgorithm {
    /// All of them, in the order in which rows hold them.
    pub const ALL: [Self; 7] = [
        Self::Md5,
        Self::Crc32,
        Self::Crc32c,
        Self::Crc64Xz,
        Self::Crc64Nvme,
        Self::Sha1,
        Self::Sha256,
    ];

    /// Returns its name in errors, such as `CRC-32C`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Md5 => "MD5",
            Self::Crc32 => "CRC-32",
            Self::Crc32c => "CRC-32C",
            Self::Crc64Xz => "CRC-64/XZ",
            Self::Crc64Nvme => "CRC-64/NVME",
            Self::Sha1 => "SHA-1",
            Self::Sha256 => "SHA-256",
        }
    }

    /// Returns the length of its checksums, bytes.
    #[must_use]
    pub fn digest_len(self) -> usize {
        match self {
            Self::Md5 => 16,
            Self::Crc32 | Self::Crc32c => 4,
            Self::Crc64Xz | Self::Crc64Nvme => 8,
            Self::Sha1 => 20,
            Self::Sha256 => 32,
        }
    }

    /// Whether the checksum of a whole follows from those of its parts.
    #[must_use]
    pub fn combines(self) -> bool {
        matches!(
            self,
            Self::Crc32 | Self::Crc32c | Self::Crc64Xz | Self::Crc64Nvme
        )
    }

    /// Its bit in the mask of a row.
    pub(crate) fn bit(self) -> u16 {
        1 << (self as u16)
    }
}

impl fmt::Display for ChecksumAlgorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A set of algorithms.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Algorithms(u16);

impl Algorithms {
    /// Makes a set of its [mask](Self::mask). `None` if a bit stands for nothing that is known.
    #[must_use]
    pub fn from_mask(mask: u16) -> Option<Self> {
        (mask >> ChecksumAlgorithm::ALL.len() == 0).then_some(Self(mask))
    }

    /// Returns a number with a bit for each algorithm, to be kept. A bit never changes its meaning.
    #[must_use]
    pub fn mask(self) -> u16 {
        self.0
    }

    /// Adds an algorithm.
    #[must_use]
    pub fn with(self, algorithm: ChecksumAlgorithm) -> Self {
        Self(self.0 | algorithm.bit())
    }

    /// Says whether an algorithm is in it.
    #[must_use]
    pub fn contains(self, algorithm: ChecksumAlgorithm) -> bool {
        self.0 & algorithm.bit() != 0
    }

    /// Returns those that are in one of the two.
    #[must_use]
    pub fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Returns those that are in this one and not in the other.
    #[must_use]
    pub fn minus(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    /// Says whether it has none.
    #[must_use]
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Goes through them.
    pub fn iter(self) -> impl Iterator<Item = ChecksumAlgorithm> {
        let all = ChecksumAlgorithm::ALL.into_iter();
        all.filter(move |algorithm| self.contains(*algorithm))
    }
}

/// One checksum of some bytes, with its algorithm.
///
/// ```
/// use partstore::{Checksum, ChecksumAlgorithm};
/// let crc = Checksum::from_base64(ChecksumAlgorithm::Crc32, "NSRBwg==")?;
/// assert_eq!(crc, Checksum::Crc32(0x3524_41c2));
/// assert_eq!(crc.to_base64(), "NSRBwg==");
/// # Ok::<(), partstore::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Checksum {
    /// MD5.
    Md5([u8; 16]),
    /// CRC-32 (ISO-HDLC).
    Crc32(u32),
    /// CRC-32C.
    Crc32c(u32),
    /// CRC-64/XZ.
    Crc64Xz(u64),
    /// CRC-64/NVME.
    Crc64Nvme(u64),
    /// SHA-1.
    Sha1([u8; 20]),
    /// SHA-256.
    Sha256([u8; 32]),
}

impl Checksum {
    /// Returns its algorithm.
    #[must_use]
    pub fn algorithm(&self) -> ChecksumAlgorithm {
        match self {
            Self::Md5(_) => ChecksumAlgorithm::Md5,
            Self::Crc32(_) => ChecksumAlgorithm::Crc32,
            Self::Crc32c(_) => ChecksumAlgorithm::Crc32c,
            Self::Crc64Xz(_) => ChecksumAlgorithm::Crc64Xz,
            Self::Crc64Nvme(_) => ChecksumAlgorithm::Crc64Nvme,
            Self::Sha1(_) => ChecksumAlgorithm::Sha1,
            Self::Sha256(_) => ChecksumAlgorithm::Sha256,
        }
    }

    /// The checksum of a CRC with this value. `None` if the algorithm is no CRC.
    pub(crate) fn of_crc(algorithm: ChecksumAlgorithm, crc: u64) -> Option<Self> {
        let low = || u32::try_from(crc & u64::from(u32::MAX)).ok();
        match algorithm {
            ChecksumAlgorithm::Crc32 => low().map(Self::Crc32),
            ChecksumAlgorithm::Crc32c => low().map(Self::Crc32c),
            ChecksumAlgorithm::Crc64Xz => Some(Self::Crc64Xz(crc)),
            ChecksumAlgorithm::Crc64Nvme => Some(Self::Crc64Nvme(crc)),
            ChecksumAlgorithm::Md5 | ChecksumAlgorithm::Sha1 | ChecksumAlgorithm::Sha256 => None,
        }
    }

    /// The value of a CRC.
    pub(crate) fn crc(&self) -> Option<u64> {
        match self {
            Self::Crc32(crc) | Self::Crc32c(crc) => Some((*crc).into()),
            Self::Crc64Xz(crc) | Self::Crc64Nvme(crc) => Some(*crc),
            Self::Md5(_) | Self::Sha1(_) | Self::Sha256(_) => None,
        }
    }

    /// Returns its bytes, the most significant first.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        match self {
            Self::Md5(digest) => digest.to_vec(),
            Self::Crc32(crc) | Self::Crc32c(crc) => crc.to_be_bytes().to_vec(),
            Self::Crc64Xz(crc) | Self::Crc64Nvme(crc) => crc.to_be_bytes().to_vec(),
            Self::Sha1(digest) => digest.to_vec(),
            Self::Sha256(digest) => digest.to_vec(),
        }
    }

    /// Makes a checksum of its bytes. `None` if the algorithm's have another length.
    #[must_use]
    pub fn from_bytes(algorithm: ChecksumAlgorithm, bytes: &[u8]) -> Option<Self> {
        let crc32 = || bytes.try_into().ok().map(u32::from_be_bytes);
        let crc64 = || bytes.try_into().ok().map(u64::from_be_bytes);
        match algorithm {
            ChecksumAlgorithm::Md5 => bytes.try_into().ok().map(Self::Md5),
            ChecksumAlgorithm::Crc32 => crc32().map(Self::Crc32),
            ChecksumAlgorithm::Crc32c => crc32().map(Self::Crc32c),
            ChecksumAlgorithm::Crc64Xz => crc64().map(Self::Crc64Xz),
            ChecksumAlgorithm::Crc64Nvme => crc64().map(Self::Crc64Nvme),
            ChecksumAlgorithm::Sha1 => bytes.try_into().ok().map(Self::Sha1),
            ChecksumAlgorithm::Sha256 => bytes.try_into().ok().map(Self::Sha256),
        }
    }

    /// Returns the base64 form, as S3's `x-amz-checksum-` headers have it.
    #[must_use]
    pub fn to_base64(&self) -> String {
        STANDARD.encode(self.to_bytes())
    }

    /// Reads the base64 form, as S3's `x-amz-checksum-` headers have it.
    ///
    /// # Errors
    /// [`Error::InvalidDigest`] unless the text is padded base64 of as many bytes as the algorithm's
    /// checksums have ([R6](crate::rules#r6)).
    pub fn from_base64(algorithm: ChecksumAlgorithm, text: &str) -> Result<Self> {
        let decoded = STANDARD.decode(text).ok();
        decoded
            .and_then(|bytes| Self::from_bytes(algorithm, &bytes))
            .ok_or_else(|| Error::InvalidDigest {
                found: text.chars().take(80).collect(),
            })
    }

    /// Returns the lower-case hex digits.
    #[must_use]
    pub fn to_hex(&self) -> String {
        hex::encode(self.to_bytes())
    }
}

/// Checksums of the same bytes, at most one of each algorithm.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub struct Checksums {
    md5: Option<[u8; 16]>,
    crc32: Option<u32>,
    crc32c: Option<u32>,
    crc64_xz: Option<u64>,
    crc64_nvme: Option<u64>,
    sha1: Option<[u8; 20]>,
    sha256: Option<[u8; 32]>,
}

impl Checksums {
    /// Makes an empty set.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Returns the set with this checksum, in place of one of the same algorithm.
    #[must_use]
    pub fn with(mut self, checksum: Checksum) -> Self {
        match checksum {
            Checksum::Md5(digest) => self.md5 = Some(digest),
            Checksum::Crc32(crc) => self.crc32 = Some(crc),
            Checksum::Crc32c(crc) => self.crc32c = Some(crc),
            Checksum::Crc64Xz(crc) => self.crc64_xz = Some(crc),
            Checksum::Crc64Nvme(crc) => self.crc64_nvme = Some(crc),
            Checksum::Sha1(digest) => self.sha1 = Some(digest),
            Checksum::Sha256(digest) => self.sha256 = Some(digest),
        }
        self
    }

    /// The set without the checksum of this algorithm.
    pub(crate) fn without(&self, algorithm: ChecksumAlgorithm) -> Self {
        let others = self.iter();
        others
            .filter(|checksum| checksum.algorithm() != algorithm)
            .collect()
    }

    /// Returns the checksum of this algorithm, if it is known.
    #[must_use]
    pub fn get(&self, algorithm: ChecksumAlgorithm) -> Option<Checksum> {
        match algorithm {
            ChecksumAlgorithm::Md5 => self.md5.map(Checksum::Md5),
            ChecksumAlgorithm::Crc32 => self.crc32.map(Checksum::Crc32),
            ChecksumAlgorithm::Crc32c => self.crc32c.map(Checksum::Crc32c),
            ChecksumAlgorithm::Crc64Xz => self.crc64_xz.map(Checksum::Crc64Xz),
            ChecksumAlgorithm::Crc64Nvme => self.crc64_nvme.map(Checksum::Crc64Nvme),
            ChecksumAlgorithm::Sha1 => self.sha1.map(Checksum::Sha1),
            ChecksumAlgorithm::Sha256 => self.sha256.map(Checksum::Sha256),
        }
    }

    /// Returns the CRC-32 (ISO-HDLC), S3's `CRC32`. Every part has it, and every object that was completed
    /// since the store has format 2.
    #[must_use]
    pub fn crc32(&self) -> Option<u32> {
        self.crc32
    }

    /// Returns the CRC-64/XZ, COS's `x-cos-hash-crc64ecma`. Every part and object has it.
    #[must_use]
    pub fn crc64_xz(&self) -> Option<u64> {
        self.crc64_xz
    }

    /// Returns the checksums, in the order of [`ChecksumAlgorithm::ALL`].
    pub fn iter(&self) -> impl Iterator<Item = Checksum> {
        let all = ChecksumAlgorithm::ALL.into_iter();
        all.filter_map(|algorithm| self.get(algorithm))
    }

    /// The algorithms whose checksums are known.
    pub(crate) fn algorithms(&self) -> Algorithms {
        self.iter().fold(Algorithms::default(), |known, checksum| {
            known.with(checksum.algorithm())
        })
    }
}

impl FromIterator<Checksum> for Checksums {
    fn from_iter<I: IntoIterator<Item = Checksum>>(checksums: I) -> Self {
        checksums.into_iter().fold(Self::new(), Self::with)
    }
}

impl fmt::Debug for Checksums {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let known = self
            .iter()
            .map(|checksum| (checksum.algorithm(), checksum.to_hex()));
        f.debug_map().entries(known).finish()
    }
}
