//! One lock for all changes of an upload. Puts, completion and abort of one upload happen one after the
//! other, so exactly one order exists (R28). The lock is held for the commit in memory. It is not held
//! while bytes are received or the journal is waited for.
//!
//! Its holder may wait for a sweep that is about to remove the very blob that the call releases or uses.
//! That is rare, and takes some syncs. Whoever waits for a holder that hangs in the index gets its error.

use std::sync::Arc;

use crate::meta::Pulse;
use crate::sync::{Mutex, MutexGuard};
use crate::{Result, UploadId};

/// Uploads share locks. That costs a short wait now and then, and needs no table that grows. One lock
/// exists for each value of a `u8`.
const STRIPES: usize = 256;

pub(crate) struct UploadLocks {
    stripes: Box<[Mutex<()>]>,
    pulse: Arc<Pulse>,
}

/// The lock of an upload, until this is dropped.
pub(crate) type OneOrder<'a> = MutexGuard<'a, ()>;

impl UploadLocks {
    pub(crate) fn new(pulse: &Arc<Pulse>) -> Self {
        Self {
            stripes: (0..STRIPES).map(|_| Mutex::new(())).collect(),
            pulse: Arc::clone(pulse),
        }
    }

    /// # Errors
    /// [`Error::Index`](crate::Error::Index) if the index does not answer any more.
    pub(crate) fn lock(&self, id: UploadId) -> Result<OneOrder<'_>> {
        self.at(id.spread())
    }

    /// Locks two uploads for one change. The lower stripe is locked first, so that calls with the two in
    /// the other order cannot deadlock. If both share a stripe, it is locked once.
    pub(crate) fn lock_both(
        &self,
        one: UploadId,
        other: UploadId,
    ) -> Result<(OneOrder<'_>, Option<OneOrder<'_>>)> {
        let (one, other) = (one.spread(), other.spread());
        let lower = self.at(one.min(other))?;
        let upper = (one != other).then(|| self.at(one.max(other)));
        Ok((lower, upper.transpose()?))
    }

    #[expect(clippy::indexing_slicing, reason = "there are 256, and this is a u8")]
    fn at(&self, stripe: u8) -> Result<OneOrder<'_>> {
        self.pulse.lock(&self.stripes[usize::from(stripe)])
    }
}
