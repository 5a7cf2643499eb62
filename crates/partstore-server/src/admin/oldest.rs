//! [`Oldest`]: when the oldest open upload was initiated.

use std::time::{Duration, Instant, SystemTime};

use parking_lot::Mutex;
use partstore::{PartStore, Result};

/// What is known is given out for so many times as long as the search took. So it takes at most 5 % of the time.
const RESTS: u32 = 20;

/// A search reads all open uploads, so its result is kept for a while.
#[derive(Default)]
pub(super) struct Oldest(Mutex<Option<Known>>);

struct Known {
    at: Instant,
    took: Duration,
    initiated: Option<SystemTime>,
}

impl Oldest {
    /// `None` if no upload is open.
    pub(super) fn of(&self, store: &PartStore) -> Result<Option<SystemTime>> {
        // One search at a time: the others wait for it, and get its result.
        let mut known = self.0.lock();
        if let Some(known) = known.as_ref().filter(|known| known.is_fresh()) {
            return Ok(known.initiated);
        }
        let began = Instant::now();
        let oldest = store.oldest_upload()?;
        let initiated = oldest.map(|info| info.initiated_at);
        *known = Some(Known {
            at: Instant::now(),
            took: began.elapsed(),
            initiated,
        });
        Ok(initiated)
    }
}

impl Known {
    fn is_fresh(&self) -> bool {
        self.at.elapsed() < self.took * RESTS
    }
}
