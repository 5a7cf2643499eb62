//! [`PartNumber`], [`Part`] and [`CompletedPart`]: bytes under a number in an upload.

use std::fmt;
use std::str::FromStr;
use std::time::SystemTime;

use crate::{Checksum, Checksums, ContentHash, ETag, Error, Result, Upload};

/// The number of a part: `1..=10_000` ([R1](crate::rules#r1)).
///
/// ```
/// use partstore::PartNumber;
/// assert_eq!("10000".parse::<PartNumber>()?.get(), 10_000);
/// assert_eq!(PartNumber::new(0).unwrap_err().code(), "InvalidArgument");
/// # Ok::<(), partstore::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PartNumber(u16);

impl PartNumber {
    /// The smallest number.
    pub const MIN: Self = Self(1);
    /// The largest number, inclusive.
    pub const MAX: Self = Self(10_000);

    /// Checks a number.
    ///
    /// # Errors
    /// [`Error::InvalidPartNumber`] outside `1..=10_000`.
    pub fn new(number: u32) -> Result<Self> {
        match u16::try_from(number) {
            Ok(small @ 1..=10_000) => Ok(Self(small)),
            _ => Err(Error::InvalidPartNumber {
                found: number.to_string(),
            }),
        }
    }

    /// Returns the number, `1..=10_000`.
    #[must_use]
    pub fn get(self) -> u16 {
        self.0
    }
}

impl From<PartNumber> for u32 {
    fn from(number: PartNumber) -> Self {
        number.0.into()
    }
}

impl fmt::Display for PartNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for PartNumber {
    type Err = Error;

    /// # Errors
    /// [`Error::InvalidPartNumber`] for anything but the decimal digits of `1..=10_000`.
    fn from_str(text: &str) -> Result<Self> {
        let refuse = || Error::InvalidPartNumber {
            found: text.chars().take(32).collect(),
        };
        let digits_only = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        let number = text
            .parse::<u32>()
            .ok()
            .filter(|_| digits_only)
            .ok_or_else(refuse)?;
        Self::new(number).map_err(|_| refuse())
    }
}

/// The place of a part: a number in an upload.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Slot<'a> {
    pub upload: &'a Upload,
    pub number: PartNumber,
}

/// A stored part. [`put_part`](crate::PartStore::put_part) returns it, and
/// [`list_parts`](crate::PartStore::list_parts) lists it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Part {
    /// Its number in the upload.
    pub number: PartNumber,
    /// Its size, bytes.
    pub size: u64,
    /// Its ETag ([R14](crate::rules#r14)): the MD5 of its bytes, unless the store was opened with
    /// [`ETagKind::Opaque`](crate::ETagKind::Opaque).
    pub etag: ETag,
    /// The BLAKE3 hash of its bytes, which is the name of their blob.
    pub content: ContentHash,
    /// Checksums of its bytes: CRC-32, CRC-64/XZ, the MD5 if it is known, and those that its upload or its
    /// own options asked for.
    pub checksums: Checksums,
    /// When it was stored, by the host's clock, to the millisecond.
    pub stored_at: SystemTime,
}

/// One line of a completion: a part's number, and the ETag that the client got for it.
///
/// ```
/// use partstore::CompletedPart;
/// let line = CompletedPart::parse("1", "&quot;D41D8CD98F00B204E9800998ECF8427E&quot;")?;
/// assert_eq!(line.etag.to_string(), "d41d8cd98f00b204e9800998ecf8427e");
/// assert_eq!(CompletedPart::parse("0", "").unwrap_err().code(), "InvalidArgument");
/// assert_eq!(CompletedPart::parse("10001", "").unwrap_err().code(), "InvalidPart");
/// # Ok::<(), partstore::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct CompletedPart {
    /// The number of the part.
    pub number: PartNumber,
    /// Its ETag, as the client knows it.
    pub etag: ETag,
    /// Its checksums, as far as the client says them. The part must have each of them.
    pub checksums: Checksums,
}

impl CompletedPart {
    /// Names a part for a completion.
    #[must_use]
    pub fn new(number: PartNumber, etag: ETag) -> Self {
        Self {
            number,
            etag,
            checksums: Checksums::new(),
        }
    }

    /// Adds a checksum of the part, as S3's `<ChecksumCRC32>` elements have them.
    #[must_use]
    pub fn checksum(mut self, checksum: Checksum) -> Self {
        self.checksums = self.checksums.with(checksum);
        self
    }

    /// Reads the two texts of a `<Part>` element.
    ///
    /// # Errors
    /// - [`Error::InvalidPartNumber`]: the number is below 1, or not an integer.
    /// - [`Error::InvalidPart`]: the number is above 10,000 ([R20](crate::rules#r20)), or the ETag is not
    ///   one that a store gives ([R22](crate::rules#r22)). No part can have such a number or ETag.
    pub fn parse(number: &str, etag: &str) -> Result<Self> {
        let unusable = |reason| Error::InvalidPart {
            number: number.chars().take(32).collect(),
            etag: etag.chars().take(80).collect(),
            reason,
        };
        let too_high = !number.is_empty()
            && number.bytes().all(|byte| byte.is_ascii_digit())
            && number.trim_start_matches('0').parse::<u128>().map_or_else(
                |_| number.bytes().any(|byte| byte != b'0'),
                |value| value > u128::from(PartNumber::MAX.0),
            );
        if too_high {
            return Err(unusable("the greatest part number is 10000"));
        }
        let number = number.parse()?;
        let etag = etag
            .parse()
            .map_err(|_| unusable("its ETag is not one that a store gives"))?;
        Ok(Self::new(number, etag))
    }
}

impl From<&Part> for CompletedPart {
    fn from(part: &Part) -> Self {
        Self::new(part.number, part.etag)
    }
}

impl From<(PartNumber, ETag)> for CompletedPart {
    fn from((number, etag): (PartNumber, ETag)) -> Self {
        Self::new(number, etag)
    }
}
