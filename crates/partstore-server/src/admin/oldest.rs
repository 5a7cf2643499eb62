//! [`Oldest`]: when the oldest open upload was initiated.

use std::time::{Duration, Instant, SystemTime};

use parking_lot::Mutex;
use partstore::{PartStore, Result};

/// What is known is given out for so many times as long as the search took. So it takes at most 5 % of the time.
const RESTS: u32 = 20;

/// A search reads all open uploads, so its result is kept for a while.
#[derive(Default)]
pub(super) struct Oldest {
    known: Mutex<Option<Known>>,
    /// Held while a search is under way.
    search: Mutex<()>,
}

#[derive(Clone, Copy)]
struct Known {
    at: Instant,
    took: Duration,
    found: Found,
}

/// What the last search found.
#[derive(Clone, Copy)]
pub(super) struct Found {
    /// `None` if no upload was open.
    pub initiated: Option<SystemTime>,
}

impl Oldest {
    /// Searches, unless the last result is fresh or somebody searches already.
    pub(super) fn look(&self, store: &PartStore) -> Result<()> {
        let Some(_alone) = self.search.try_lock() else {
            return Ok(());
        };
        if self.known.lock().is_some_and(Known::is_fresh) {
            return Ok(());
        }
        let began = Instant::now();
        let initiated = store.oldest_upload()?.map(|info| info.initiated_at);
        *self.known.lock() = Some(Known {
            at: Instant::now(),
            took: began.elapsed(),
            found: Found { initiated },
        });
        Ok(())
    }

    /// `None` before the first search has ended.
    pub(super) fn known(&self) -> Option<Found> {
        self.known.lock().map(|known| known.found)
    }
}

impl Known {
    fn is_fresh(self) -> bool {
        self.at.elapsed() < self.took * RESTS
    }
}
