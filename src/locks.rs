//! One lock for all changes to an upload: puts, completion and abort of one upload happen one after
//! the other, so that exactly one order exists (R28). Held for the commit in memory, not while
//! bytes are received or the journal is waited for. (It may wait for a sweep that is about to remove
//! the very blob that a call releases or takes up: rare, and some syncs long.) Whoever waits for one that
//! hangs in the index gives up with it.

use std::sync::Arc;

use parking_lot::{Condvar, Mutex};

use crate::meta::{GLANCE, Pulse};
use crate::{Result, UploadId};

/// Uploads share locks: that costs a short wait now and then, and needs no table that grows.
const STRIPES: usize = 256;

pub(crate) struct UploadLocks {
    stripes: Vec<Arc<Stripe>>,
    pulse: Arc<Pulse>,
}

#[derive(Default)]
struct Stripe {
    is_taken: Mutex<bool>,
    freed: Condvar,
}

/// The lock of an upload, until this is dropped: by the thread that applies the change to the index, which
/// is not the one that took it.
pub(crate) struct OneOrder {
    stripe: Arc<Stripe>,
}

impl UploadLocks {
    pub(crate) fn new(pulse: &Arc<Pulse>) -> Self {
        Self {
            stripes: (0..STRIPES).map(|_| Arc::default()).collect(),
            pulse: Arc::clone(pulse),
        }
    }

    /// # Errors
    /// [`Error::Index`](crate::Error::Index) when the index does not answer any more.
    pub(crate) fn lock(&self, id: UploadId) -> Result<Option<OneOrder>> {
        self.at(stripe(id))
    }

    /// For a change to two uploads. The lower stripe first, so that calls which name the two the other
    /// way round do not wait for each other; once, when both share a stripe.
    pub(crate) fn lock_both(
        &self,
        one: UploadId,
        other: UploadId,
    ) -> Result<[Option<OneOrder>; 2]> {
        let (one, other) = (stripe(one), stripe(other));
        let lower = self.at(one.min(other))?;
        let upper = (one != other).then(|| self.at(one.max(other)));
        Ok([lower, upper.transpose()?.flatten()])
    }

    fn at(&self, stripe: usize) -> Result<Option<OneOrder>> {
        let Some(stripe) = self.stripes.get(stripe) else {
            return Ok(None);
        };
        let mut is_taken = stripe.is_taken.lock();
        while *is_taken {
            // Whoever has it may hang in the index.
            stripe.freed.wait_for(&mut is_taken, GLANCE);
            self.pulse.check()?;
        }
        *is_taken = true;
        let stripe = Arc::clone(stripe);
        Ok(Some(OneOrder { stripe }))
    }
}

impl Drop for OneOrder {
    fn drop(&mut self) {
        *self.stripe.is_taken.lock() = false;
        self.stripe.freed.notify_one();
    }
}

fn stripe(id: UploadId) -> usize {
    id.spread() % STRIPES
}
