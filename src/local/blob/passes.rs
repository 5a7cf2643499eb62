//! [`Passes`]: which blobs are read past the page cache.
//!
//! A read past the cache takes memory that is there already, and costs the processor a tenth. But what is
//! read again and again from a slow disk belongs in the cache. So on such a disk only the first reader of a
//! blob passes the cache.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::remembered::Remembered;
use crate::ContentHash;
use crate::sync::Mutex;

/// On a quick disk a MiB takes less time, while up to four requests are in flight: 1 GB/s of all four.
const QUICK: Duration = Duration::from_millis(4);
/// Reads that are shorter say nothing about the rate, bytes.
const TELLING: usize = 1 << 20;
/// A read that took longer than those before counts for one of so many. One that was quicker counts at once:
/// a busy processor makes reads look slow, and nothing makes them look quick.
const SHARE: u64 = 8;

#[derive(Default)]
pub(super) struct Passes {
    /// Blobs that somebody has read so.
    passed: Mutex<Remembered>,
    /// What a MiB took lately, ns.
    took: AtomicU64,
}

impl Passes {
    /// Whether somebody who begins to read this blob in order passes the cache.
    pub(super) fn begin(&self, content: &ContentHash) -> bool {
        let mut passed = self.passed.lock();
        let is_first = !passed.contains(content);
        passed.insert(*content);
        let took = Duration::from_nanos(self.took.load(Ordering::Relaxed));
        is_first || took < QUICK
    }

    pub(super) fn forget(&self, content: &ContentHash) {
        self.passed.lock().remove(content);
    }

    /// Says what a read of so many bytes took.
    pub(super) fn note(&self, bytes: usize, took: Duration) {
        if bytes < TELLING {
            return;
        }
        let took = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX / SHARE);
        let a_mib = took / (bytes / TELLING) as u64;
        let before = self.took.load(Ordering::Relaxed);
        let slower = before + a_mib.saturating_sub(before) / SHARE;
        let now = if before == 0 {
            a_mib
        } else {
            a_mib.min(slower)
        };
        // Of two readers at the same moment one counts.
        self.took.store(now, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn on_a_slow_disk_only_the_first_reader_of_a_blob_passes_the_cache() {
        let passes = Passes::default();
        let [one, other] = [[1; 32], [2; 32]].map(ContentHash::from_bytes);
        assert!(passes.begin(&one) && passes.begin(&one), "a quick disk");
        for _ in 0..100 {
            passes.note(2 * TELLING, 10 * QUICK);
        }
        assert!(!passes.begin(&one), "it was read before");
        assert!(passes.begin(&other) && !passes.begin(&other));
        passes.forget(&one);
        assert!(passes.begin(&one));
        for _ in 0..100 {
            passes.note(TELLING, QUICK / 2);
            passes.note(TELLING - 1, 10 * QUICK);
        }
        assert!(passes.begin(&one), "it is quick again");
    }
}
