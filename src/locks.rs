//! One lock for all changes to an upload: puts, completion and abort of one upload happen one after
//! the other, so that exactly one order exists (R28). Held for the commit in memory, not while
//! bytes are received or the journal is waited for. (It may wait for a sweep that is about to remove
//! the very blob that a call releases or takes up: rare, and some syncs long.)

use parking_lot::{Mutex, MutexGuard};

use crate::UploadId;

/// Uploads share locks: that costs a short wait now and then, and needs no table that grows.
const STRIPES: usize = 256;

pub(crate) struct UploadLocks {
    stripes: Vec<Mutex<()>>,
}

impl UploadLocks {
    pub(crate) fn new() -> Self {
        Self {
            stripes: (0..STRIPES).map(|_| Mutex::new(())).collect(),
        }
    }

    pub(crate) fn lock(&self, id: UploadId) -> Option<MutexGuard<'_, ()>> {
        self.at(stripe(id))
    }

    /// For a change to two uploads. The lower stripe first, so that calls which name the two the other
    /// way round do not wait for each other; once, when both share a stripe.
    pub(crate) fn lock_both(
        &self,
        one: UploadId,
        other: UploadId,
    ) -> [Option<MutexGuard<'_, ()>>; 2] {
        let (one, other) = (stripe(one), stripe(other));
        let lower = self.at(one.min(other));
        let upper = (one != other).then(|| self.at(one.max(other)));
        [lower, upper.flatten()]
    }

    fn at(&self, stripe: usize) -> Option<MutexGuard<'_, ()>> {
        self.stripes.get(stripe).map(Mutex::lock)
    }
}

fn stripe(id: UploadId) -> usize {
    id.spread() % STRIPES
}
