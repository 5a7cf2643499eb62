//! [`Suspects`]: what a sweep must check besides the garbage rows, and when the next sweep is due.

use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use crate::ContentHash;
use crate::local::format::marker::Orphans;
use crate::sync::Mutex;

/// After the truth was read, a sweep that no caller asked for waits this many times as long as the reading
/// took. So reading takes at most 5 % of the time.
const RESTS: u32 = 20;
/// The same, if the disk is nearly full.
const RESTS_IN_NEED: u32 = 1;

/// Files that may have no row.
pub(crate) struct Suspects {
    /// Published by a put that was then refused, or left by a sweep.
    known: Mutex<HashSet<ContentHash>>,
    /// Set after an unclean close: any file in `blobs/`.
    any: AtomicBool,
    /// When the truth was read last, and for how long.
    read: Mutex<Option<(Instant, Duration)>>,
    /// One sweep at a time.
    pub(super) sweeping: Mutex<()>,
    /// How many backups are being taken.
    backups: AtomicUsize,
}

/// While this exists, no sweep removes a blob.
#[cfg(not(shuttle))]
pub(crate) struct NothingRemoved<'a>(&'a AtomicUsize);

#[cfg(not(shuttle))]
impl Drop for NothingRemoved<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

/// How urgent room on the disk is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Need {
    None,
    Room,
}

impl Suspects {
    pub(crate) fn new(orphans: Orphans) -> Self {
        Self {
            known: Mutex::default(),
            any: AtomicBool::new(orphans == Orphans::Possible),
            read: Mutex::default(),
            sweeping: Mutex::default(),
            backups: AtomicUsize::new(0),
        }
    }

    /// From now on no sweep removes a blob, until what this returns is dropped. The caller has the lock of the
    /// sweeps, so none is under way.
    #[cfg(not(shuttle))]
    pub(crate) fn keep_all(&self) -> NothingRemoved<'_> {
        self.backups.fetch_add(1, Ordering::SeqCst);
        NothingRemoved(&self.backups)
    }

    /// Whether a backup needs all blobs that exist.
    pub(crate) fn all_are_kept(&self) -> bool {
        self.backups.load(Ordering::SeqCst) > 0
    }

    /// Notes that the file of this blob may have no row.
    pub(crate) fn add(&self, content: ContentHash) {
        self.known.lock().insert(content);
    }

    /// Notes that the file has a row, or does not exist. The caller has a claim on the hash.
    pub(crate) fn clear(&self, content: &ContentHash) {
        self.known.lock().remove(content);
    }

    pub(crate) fn known(&self) -> Vec<ContentHash> {
        self.known.lock().iter().copied().collect()
    }

    /// Whether a sweep has files to check.
    pub(crate) fn any_known(&self) -> bool {
        !self.known.lock().is_empty()
    }

    /// Whether a sweep must check every file.
    pub(crate) fn anywhere(&self) -> bool {
        self.any.load(Ordering::Relaxed)
    }

    pub(crate) fn suspect_all(&self) {
        self.any.store(true, Ordering::Relaxed);
    }

    /// Notes that every file was checked since all were suspected.
    pub(crate) fn looked_everywhere(&self) {
        self.any.store(false, Ordering::Relaxed);
    }

    /// What a clean close must tell the next open.
    pub(crate) fn orphans(&self) -> Orphans {
        if self.any_known() || self.anywhere() {
            Orphans::Possible
        } else {
            Orphans::RuledOut
        }
    }

    /// Notes how long reading the truth took until now.
    pub(crate) fn rest_after(&self, took: Duration) {
        *self.read.lock() = Some((Instant::now(), took));
    }

    /// How long a sweep that no caller asked for must still wait. Zero when it is due.
    pub(crate) fn rest(&self, need: Need) -> Duration {
        let rests = match need {
            Need::None => RESTS,
            Need::Room => RESTS_IN_NEED,
        };
        let rest = |(ended, took): (Instant, Duration)| {
            took.saturating_mul(rests).saturating_sub(ended.elapsed())
        };
        self.read.lock().map_or(Duration::ZERO, rest)
    }
}
