//! [`Ages`]: how old an upload can be at most, by a clock that nobody sets.
//!
//! An upload's record says when it was initiated by the host's clock, which may jump. So its age by that
//! clock counts only as far as this process can confirm it. An upload from before the store was opened is
//! no older than it was then, plus the time since. A later one is no older than the last moment at which
//! its id had not been given out. Time during which the machine sleeps does not count.

use std::time::{Duration, Instant};

use crate::UploadId;
use crate::clock;
use crate::sync::Mutex;

/// Moments are noted at least this far apart.
const APART: Duration = Duration::from_secs(60);
/// When so many moments are noted, every second one is forgotten.
const MOST_MARKS: usize = 1024;

pub(crate) struct Ages {
    opened: Instant,
    wall_at_open_ms: u64,
    /// The first mark is the opening.
    marks: Mutex<Marks>,
}

/// A moment, and the newest id that had been given out by then.
#[derive(Clone, Copy, Debug)]
struct Mark {
    newest: UploadId,
    /// The time since the store was opened.
    at: Duration,
}

impl Ages {
    /// Begins for a store that is being opened now, and whose newest id is this.
    pub(crate) fn from_now_on(newest: UploadId) -> Self {
        let at = Duration::ZERO;
        Self {
            opened: Instant::now(),
            wall_at_open_ms: clock::now_ms(),
            marks: Mutex::new(Marks::new(Mark { newest, at })),
        }
    }

    /// Notes that no id above `newest` has been given out yet.
    pub(crate) fn note(&self, newest: UploadId) {
        let at = self.opened.elapsed();
        self.marks.lock().add(Mark { newest, at });
    }

    /// Whether the upload was initiated at least `age_ms` ago by the host's clock, and can really be that
    /// old.
    pub(crate) fn is_older(&self, id: UploadId, initiated_ms: u64, age_ms: u64) -> bool {
        let marks = self.marks.lock();
        let now = Now {
            wall_ms: clock::now_ms(),
            since_open: self.opened.elapsed(),
            wall_at_open_ms: self.wall_at_open_ms,
        };
        now.is_older(&marks, (id, initiated_ms), age_ms)
    }
}

/// Moments, evenly spaced, oldest first.
#[derive(Debug)]
struct Marks {
    marks: Vec<Mark>,
    apart: Duration,
}

impl Marks {
    fn new(first: Mark) -> Self {
        Self {
            marks: vec![first],
            apart: APART,
        }
    }

    fn add(&mut self, mark: Mark) {
        let due = self.marks.last().map(|last| last.at + self.apart);
        if due.is_some_and(|due| mark.at < due) {
            return;
        }
        if self.marks.len() >= MOST_MARKS {
            let mut keep = false;
            self.marks.retain(|_| {
                keep = !keep;
                keep
            });
            self.apart *= 2;
        }
        self.marks.push(mark);
    }

    /// The last moment at which the upload did not exist. `None` if it existed at the first.
    fn before(&self, id: UploadId) -> Option<&Mark> {
        let before = self.marks.partition_point(|mark| mark.newest < id);
        self.marks.split_at(before).0.last()
    }
}

/// What the clocks say at one moment.
struct Now {
    wall_ms: u64,
    wall_at_open_ms: u64,
    since_open: Duration,
}

impl Now {
    fn is_older(&self, marks: &Marks, (id, initiated_ms): (UploadId, u64), age_ms: u64) -> bool {
        let by_the_wall = self.wall_ms.saturating_sub(age_ms) >= initiated_ms;
        by_the_wall && self.oldest_ms(marks, id, initiated_ms) >= age_ms
    }

    /// The age that the upload has at most, ms.
    fn oldest_ms(&self, marks: &Marks, id: UploadId, initiated_ms: u64) -> u64 {
        let ms = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        if let Some(mark) = marks.before(id) {
            return ms(self.since_open.saturating_sub(mark.at));
        }
        let at_open = self.wall_at_open_ms.saturating_sub(initiated_ms);
        at_open.saturating_add(ms(self.since_open))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: u64 = 3_600_000;
    const OPENED: u64 = 1_000 * HOUR;

    fn id(seconds: u64) -> UploadId {
        format!("{seconds:010}{}", "0".repeat(64)).parse().unwrap()
    }

    fn hours(hours: u64) -> Duration {
        Duration::from_millis(hours * HOUR)
    }

    /// Opened with uploads up to number 10; ten more came in each hour.
    fn marks() -> Marks {
        let mark = |hour| Mark {
            newest: id(10 + 10 * hour),
            at: hours(hour),
        };
        let mut marks = Marks::new(mark(0));
        (1..10).for_each(|hour| marks.add(mark(hour)));
        marks
    }

    /// Ten hours after the opening, when the host's clock is ahead by so many hours (or behind).
    fn is_older(ahead: i64, upload: (u64, u64), age: u64) -> bool {
        let now = Now {
            wall_ms: OPENED.saturating_add_signed((10 + ahead) * HOUR.cast_signed()),
            wall_at_open_ms: OPENED,
            since_open: hours(10),
        };
        now.is_older(&marks(), (id(upload.0), upload.1), age * HOUR)
    }

    #[test]
    fn a_clock_that_is_right_is_believed() {
        // Before the opening, five hours.
        let old = (3, OPENED - 5 * HOUR);
        assert!(is_older(0, old, 15) && !is_older(0, old, 16));
        // Six hours after it.
        let new = (75, OPENED + 6 * HOUR);
        assert!(is_older(0, new, 4) && !is_older(0, new, 5));
    }

    #[test]
    fn a_clock_that_jumps_ahead_makes_nothing_older() {
        let (old, new) = ((3, OPENED - 5 * HOUR), (75, OPENED + 6 * HOUR));
        for ahead in [1, 2, 1_000_000] {
            assert!(is_older(ahead, old, 15) && !is_older(ahead, old, 16));
            assert!(is_older(ahead, new, 4) && !is_older(ahead, new, 5));
        }
        assert!(!is_older(-3, new, 4), "nor does one that is behind");
    }

    #[test]
    fn an_upload_that_a_clock_behind_has_stamped_is_no_older_for_it() {
        let stamped_early = (75, OPENED - 900 * HOUR);
        assert!(is_older(0, stamped_early, 4) && !is_older(0, stamped_early, 5));
    }

    #[test]
    fn marks_are_bounded_and_the_first_stays() {
        let mark = |minute| Mark {
            newest: id(minute),
            at: Duration::from_secs(60 * minute),
        };
        let mut marks = Marks::new(mark(0));
        for minute in 0..100_000 {
            marks.add(mark(minute));
            assert!(marks.marks.len() <= MOST_MARKS);
        }
        assert_eq!(marks.marks[0].at, Duration::ZERO);
        for minute in 1..100_000 {
            let at = marks.before(id(minute)).unwrap().at;
            let since = Duration::from_secs(60 * minute).checked_sub(at).unwrap();
            assert!(since <= APART * 256, "{minute}: {since:?}");
        }
    }
}
