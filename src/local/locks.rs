//! One lock for all changes of an upload, and one for the current object of a key. Puts, completion and
//! abort of one upload happen one after the other, so exactly one order exists (R28). So do completions,
//! puts and removals under one key. A lock is held for the commit in memory. It is not held while bytes are
//! received or the journal is waited for.
//!
//! Whoever needs both takes the lock of the key first.
//!
//! Its holder may wait for a sweep that is about to remove the very blob that the call releases or uses.
//! That is rare, and takes some syncs. Whoever waits for a holder that hangs in the index gets its error.

use std::sync::Arc;

use crate::local::meta::Pulse;
use crate::sync::{Mutex, MutexGuard};
use crate::{Key, Result, UploadId};

/// Uploads share locks, and so do keys. That costs a short wait now and then, and needs no table that grows.
/// One lock exists for each value of a `u8`.
const STRIPES: usize = 256;

pub(crate) struct Locks {
    uploads: Stripes,
    keys: Stripes,
}

struct Stripes {
    locks: Box<[Mutex<()>]>,
    pulse: Arc<Pulse>,
}

/// A lock, until this is dropped.
pub(crate) type OneOrder<'a> = MutexGuard<'a, ()>;
/// One or two locks.
pub(crate) type Both<'a> = (OneOrder<'a>, Option<OneOrder<'a>>);

impl Locks {
    pub(crate) fn new(pulse: &Arc<Pulse>) -> Self {
        Self {
            uploads: Stripes::new(pulse),
            keys: Stripes::new(pulse),
        }
    }

    /// Locks an upload, or an object.
    ///
    /// # Errors
    /// [`Error::Index`](crate::Error::Index) if the index does not answer any more.
    pub(crate) fn lock(&self, id: UploadId) -> Result<OneOrder<'_>> {
        self.uploads.at(id.spread())
    }

    /// Returns when every change is applied that was appended before.
    pub(crate) fn pass_uploads(&self) -> Result<()> {
        (0..=u8::MAX).try_for_each(|stripe| self.uploads.at(stripe).map(drop))
    }

    /// Locks two uploads for one change.
    pub(crate) fn lock_both(&self, one: UploadId, other: UploadId) -> Result<Both<'_>> {
        self.uploads.both(one.spread(), other.spread())
    }

    /// Locks the current object of a key.
    pub(crate) fn lock_key(&self, key: &Key) -> Result<OneOrder<'_>> {
        self.keys.at(spread(key))
    }

    /// Locks the current objects of two keys.
    pub(crate) fn lock_keys(&self, one: &Key, other: &Key) -> Result<Both<'_>> {
        self.keys.both(spread(one), spread(other))
    }
}

/// A number that spreads keys evenly over the locks.
fn spread(key: &Key) -> u8 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(key.namespace().as_bytes());
    hasher.update(&[0]);
    hasher.update(key.as_str().as_bytes());
    let [_, _, _, low] = hasher.finalize().to_be_bytes();
    low
}

impl Stripes {
    fn new(pulse: &Arc<Pulse>) -> Self {
        Self {
            locks: (0..STRIPES).map(|_| Mutex::new(())).collect(),
            pulse: Arc::clone(pulse),
        }
    }

    /// The lower stripe is locked first, so that calls with the two in the other order cannot deadlock. If
    /// both are one, it is locked once.
    fn both(&self, one: u8, other: u8) -> Result<Both<'_>> {
        let lower = self.at(one.min(other))?;
        let upper = (one != other).then(|| self.at(one.max(other)));
        Ok((lower, upper.transpose()?))
    }

    #[expect(clippy::indexing_slicing, reason = "there are 256, and this is a u8")]
    fn at(&self, stripe: u8) -> Result<OneOrder<'_>> {
        self.pulse.lock(&self.locks[usize::from(stripe)])
    }
}
