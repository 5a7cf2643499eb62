//! [`UploadId`] and [`Upload`]: which upload a call means.

use std::fmt;
use std::str::FromStr;
use std::time::{SystemTime, UNIX_EPOCH};

use crate::sync::Mutex;
use crate::{Error, Key, Result};

const HEX_BYTES: usize = 32;
const TICK_BYTES: usize = 4;
const MAX_SECONDS: u64 = 9_999_999_999;

/// The name of one upload: 10 decimal digits of unix seconds, then 64 lower-case hex digits.
///
/// The first 8 hex digits order uploads within a second. So the order of the texts is the order of
/// initiation, also after the clock was set back. The other 56 digits are 224 random bits from the
/// operating system.
///
/// ```
/// use partstore::UploadId;
/// let id = "1484727270323ddb949d528c629235314a9ead80f0ba5d993a3d76b460e6a9cceb9633b08e".parse::<UploadId>()?;
/// assert_eq!(id.unix_seconds(), 1_484_727_270);
/// assert_eq!("1484727270".parse::<UploadId>().unwrap_err().code(), "NoSuchUpload");
/// # Ok::<(), partstore::Error>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UploadId {
    seconds: u64,
    hex: [u8; HEX_BYTES],
}

impl UploadId {
    /// Length of the text form, characters.
    pub const TEXT_LEN: usize = 74;
    /// Length of the byte form, bytes.
    pub const BYTES: usize = 8 + HEX_BYTES;

    /// Returns the clock's second at initiation, or a later one if the clock had been set back.
    #[must_use]
    pub fn unix_seconds(&self) -> u64 {
        self.seconds
    }

    /// Returns its 40 bytes, which order as the texts do: for an engine that keeps ids.
    #[must_use]
    pub fn to_bytes(self) -> [u8; Self::BYTES] {
        let mut bytes = [0; Self::BYTES];
        let (seconds, hex) = bytes.split_at_mut(8);
        seconds.copy_from_slice(&self.seconds.to_be_bytes());
        hex.copy_from_slice(&self.hex);
        bytes
    }

    /// Reads what [`to_bytes`](Self::to_bytes) gave. `None` if it cannot have given that.
    #[must_use]
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (seconds, rest) = bytes.split_first_chunk::<8>()?;
        let seconds = u64::from_be_bytes(*seconds);
        let hex = <[u8; HEX_BYTES]>::try_from(rest).ok()?;
        (seconds <= MAX_SECONDS).then_some(Self { seconds, hex })
    }

    /// Seconds and nanoseconds, the part of the id that orders it.
    fn tick(&self) -> (u64, u32) {
        let nanos = self
            .hex
            .first_chunk::<TICK_BYTES>()
            .map_or(0, |tick| u32::from_be_bytes(*tick));
        (self.seconds, nanos)
    }

    /// Its stripe: a number that spreads ids evenly over the locks.
    pub(crate) fn spread(&self) -> u8 {
        self.hex.last().copied().unwrap_or_default()
    }
}

impl fmt::Display for UploadId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:010}{}", self.seconds, hex::encode(self.hex))
    }
}

impl fmt::Debug for UploadId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "UploadId({self})")
    }
}

impl FromStr for UploadId {
    type Err = Error;

    /// # Errors
    /// [`Error::NoSuchUpload`] for anything but 10 decimal digits and 64 lower-case hex digits, because a
    /// malformed id names no upload ([R9](crate::rules#r9)).
    fn from_str(text: &str) -> Result<Self> {
        let refuse = || Error::NoSuchUpload {
            id: text.chars().take(Self::TEXT_LEN + 1).collect(),
        };
        let well_formed = |(at, byte): (usize, u8)| {
            byte.is_ascii_digit() || (at >= 10 && matches!(byte, b'a'..=b'f'))
        };
        if text.len() != Self::TEXT_LEN || !text.bytes().enumerate().all(well_formed) {
            return Err(refuse());
        }
        let (seconds, digits) = text.split_at_checked(10).ok_or_else(refuse)?;
        let mut hex = [0; HEX_BYTES];
        hex::decode_to_slice(digits, &mut hex).map_err(|_| refuse())?;
        Ok(Self {
            seconds: seconds.parse().map_err(|_| refuse())?,
            hex,
        })
    }
}

/// Which upload a call means: its object key **and** its id. A server has both in every request.
///
/// An id under another key names nothing ([R9](crate::rules#r9)). One value holds both, so no call can
/// forget that check.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Upload {
    key: Key,
    id: UploadId,
}

impl Upload {
    /// Names an upload. Each call that takes it checks whether it exists.
    #[must_use]
    pub fn new(key: impl Into<Key>, id: UploadId) -> Self {
        Self {
            key: key.into(),
            id,
        }
    }

    /// Names an upload by the two texts of a request.
    ///
    /// # Errors
    /// [`Error::NoSuchUpload`] when `id` is malformed ([R9](crate::rules#r9)).
    pub fn parse(key: impl Into<Key>, id: &str) -> Result<Self> {
        Ok(Self::new(key, id.parse()?))
    }

    /// Returns the object key, as it was given at initiation, without its namespace.
    #[must_use]
    pub fn key(&self) -> &str {
        self.key.as_str()
    }

    /// Returns the name of the namespace. It is empty for the default one.
    #[must_use]
    pub fn namespace(&self) -> &str {
        self.key.namespace()
    }

    /// Returns the object key with its namespace.
    #[must_use]
    pub fn full_key(&self) -> &Key {
        &self.key
    }

    /// Returns the id.
    #[must_use]
    pub fn id(&self) -> UploadId {
        self.id
    }

    /// Makes the error that says that no such upload is open.
    #[must_use]
    pub fn not_found(&self) -> Error {
        Error::NoSuchUpload {
            id: self.id.to_string(),
        }
    }

    /// Makes the error that says that no such object exists.
    #[must_use]
    pub fn object_not_found(&self) -> Error {
        Error::NoSuchObject {
            key: self.key.as_str().to_owned(),
            id: self.id.to_string(),
        }
    }

    /// Makes the error that says that it has no such part.
    #[must_use]
    pub fn part_not_found(&self, number: crate::PartNumber) -> Error {
        Error::NoSuchPart {
            id: self.id.to_string(),
            number,
        }
    }
}

/// Makes ids whose texts ascend, whatever the clock does.
#[derive(Debug)]
pub struct IdSource {
    last: Mutex<(u64, u32)>,
}

impl IdSource {
    /// Makes a source that continues after the newest id that the engine still knows.
    #[must_use]
    pub fn after(newest: Option<UploadId>) -> Self {
        Self {
            last: Mutex::new(newest.map_or((0, 0), |id| id.tick())),
        }
    }

    /// Makes the next id: 28 of its bytes are random, so nobody can guess it.
    ///
    /// # Errors
    /// [`Error::NoRandomness`] if the operating system gives none.
    pub fn next(&self) -> Result<UploadId> {
        self.next_at(SystemTime::now())
    }

    /// Makes the next id, by a clock of the engine's own.
    ///
    /// # Errors
    /// As for [`next`](Self::next).
    pub fn next_at(&self, now: SystemTime) -> Result<UploadId> {
        let mut hex = [0; HEX_BYTES];
        getrandom::fill(&mut hex).map_err(|cause| Error::NoRandomness {
            cause: cause.to_string(),
        })?;
        let (seconds, nanos) = self.tick(now);
        if let Some(tick) = hex.first_chunk_mut::<TICK_BYTES>() {
            *tick = nanos.to_be_bytes();
        }
        Ok(UploadId { seconds, hex })
    }

    /// Returns the greatest id that this source can have made so far.
    pub fn newest(&self) -> UploadId {
        let (seconds, nanos) = *self.last.lock();
        let mut hex = [0xff; HEX_BYTES];
        if let Some(tick) = hex.first_chunk_mut::<TICK_BYTES>() {
            *tick = nanos.to_be_bytes();
        }
        UploadId { seconds, hex }
    }

    fn tick(&self, now: SystemTime) -> (u64, u32) {
        let since_epoch = now.duration_since(UNIX_EPOCH).unwrap_or_default();
        let now = (
            since_epoch.as_secs().min(MAX_SECONDS),
            since_epoch.subsec_nanos(),
        );
        let mut last = self.last.lock();
        let after_last = last
            .1
            .checked_add(1)
            .map_or((last.0 + 1, 0), |nanos| (last.0, nanos));
        *last = now.max(after_last);
        *last
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_ascend_as_texts_and_as_bytes_within_a_second_and_after_the_clock_went_back() {
        let future = UploadId {
            seconds: 4_000_000_000,
            hex: [0xff; HEX_BYTES],
        };
        let source = IdSource::after(Some(future));
        let mut previous = future;
        for _ in 0..1000 {
            let next = source.next().unwrap();
            assert!(source.newest() >= next && source.newest() > previous);
            assert!(next.to_string() > previous.to_string());
            assert!(next.to_bytes() > previous.to_bytes());
            previous = source.newest();
        }
    }

    #[test]
    fn text_and_bytes_round_trip() {
        let id = IdSource::after(None).next().unwrap();
        assert_eq!(id.to_string().len(), UploadId::TEXT_LEN);
        assert_eq!(id.to_string().parse::<UploadId>().unwrap(), id);
        assert_eq!(UploadId::from_bytes(&id.to_bytes()), Some(id));
    }
}
