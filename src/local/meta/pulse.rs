//! [`Pulse`]: whether the index still answers.
//!
//! sled can hang for ever, because one of its threads has panicked or in a deadlock of its own. A thread
//! inside sled cannot be stopped. The store can notice it, and then let nobody else enter or wait.
//!
//! Each call that reads or changes rows takes a slot. The slot says when the call enters sled and when it
//! is back. A watcher that finds the same visit for 30 s has found one that hangs. Calls watch when they
//! begin, and while they wait for another call, so no thread is needed for it. A pause in which nobody
//! watched counts for 5 s at most, because the whole process may have stood still.
//!
//! One caller waits while the index is opened, counted, loaded or closed. It gives up after a time.

use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex as StdMutex, TryLockError};
use std::time::{Duration, Instant};

use crate::sync::{GLANCE, Mutex, MutexGuard};
use crate::{Error, Result};

/// How long the index is waited for, at least.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// How many looks it takes, at least, to find that a call hangs.
const LOOKS: u32 = 6;

/// How many concurrent calls are watched. Further ones are not.
const SLOTS: usize = 64;

/// What the low bits of a slot hold. The bits above are the number of the visit.
const FREE: u64 = 0;
const OUTSIDE: u64 = 1;
const INSIDE: u64 = 2;
const STATE: u64 = 3;
const NEXT_VISIT: u64 = 4;

pub(crate) struct Pulse {
    lost: AtomicBool,
    slots: [AtomicU64; SLOTS],
    /// The slot that the next call tries first.
    turn: AtomicUsize,
    seen: StdMutex<Seen>,
    /// When the next look is due, in ms after `begun`.
    due_ms: AtomicU64,
    begun: Instant,
    patience: Duration,
}

/// What the last look found.
struct Seen {
    at: Instant,
    /// What each slot held, and how long it has been seen with that.
    slots: [(u64, Duration); SLOTS],
}

impl Default for Pulse {
    fn default() -> Self {
        Self::with_patience(PATIENCE)
    }
}

impl Pulse {
    fn with_patience(patience: Duration) -> Self {
        let begun = Instant::now();
        Self {
            patience,
            lost: AtomicBool::new(false),
            slots: [const { AtomicU64::new(FREE) }; SLOTS],
            turn: AtomicUsize::new(0),
            seen: StdMutex::new(Seen {
                at: begun,
                slots: [(FREE, Duration::ZERO); SLOTS],
            }),
            due_ms: AtomicU64::new(0),
            begun,
        }
    }

    /// Looks, if nobody has looked for [`GLANCE`].
    ///
    /// # Errors
    /// [`Error::Index`] if the index does not answer any more.
    pub(crate) fn check(&self) -> Result<()> {
        self.look_if_due();
        if self.is_lost() {
            Err(silent())
        } else {
            Ok(())
        }
    }

    pub(crate) fn is_lost(&self) -> bool {
        self.lost.load(Ordering::Relaxed)
    }

    /// Locks a mutex whose holder may hang in the index.
    ///
    /// # Errors
    /// As for [`check`](Self::check).
    pub(crate) fn lock<'a, T>(&self, mutex: &'a Mutex<T>) -> Result<MutexGuard<'a, T>> {
        loop {
            if let Some(guard) = mutex.try_lock_for(GLANCE) {
                return Ok(guard);
            }
            self.check()?;
        }
    }

    /// Notes that the index does not answer, and returns the error.
    pub(crate) fn lose(&self) -> Error {
        self.lost.store(true, Ordering::Relaxed);
        silent()
    }

    /// Begins a call that reads or changes rows.
    ///
    /// # Errors
    /// As for [`check`](Self::check).
    pub(crate) fn visit(&self) -> Result<Visit<'_>> {
        self.check()?;
        let first = self.turn.fetch_add(1, Ordering::Relaxed);
        let slots = (0..SLOTS).filter_map(|more| self.slots.get(first.wrapping_add(more) % SLOTS));
        let taken = slots.into_iter().find_map(|slot| {
            let number = slot.load(Ordering::Relaxed);
            let is_free = number & STATE == FREE;
            let took = is_free
                && slot
                    .compare_exchange(
                        number,
                        number + OUTSIDE,
                        Ordering::Relaxed,
                        Ordering::Relaxed,
                    )
                    .is_ok();
            took.then_some((slot, number))
        });
        Ok(Visit { taken })
    }

    fn look_if_due(&self) {
        let now_ms = u64::try_from(self.begun.elapsed().as_millis()).unwrap_or(u64::MAX);
        if now_ms >= self.due_ms.load(Ordering::Relaxed) {
            let glance_ms = GLANCE.as_secs() * 1000;
            self.due_ms
                .store(now_ms.saturating_add(glance_ms), Ordering::Relaxed);
            self.look();
        }
    }

    /// Checks whether a call hangs. Returns at once if another thread is looking.
    fn look(&self) {
        let mut seen = match self.seen.try_lock() {
            Ok(seen) => seen,
            Err(TryLockError::Poisoned(seen)) => seen.into_inner(),
            Err(TryLockError::WouldBlock) => return,
        };
        let gap = seen.at.elapsed().min(self.patience / LOOKS);
        seen.at = Instant::now();
        for (slot, (before, watched)) in self.slots.iter().zip(&mut seen.slots) {
            let found = slot.load(Ordering::Relaxed);
            if found != *before {
                (*before, *watched) = (found, Duration::ZERO);
            } else if found & STATE == INSIDE {
                *watched += gap;
                if *watched >= self.patience {
                    self.lose();
                }
            }
        }
    }
}

/// A call to the index, and its slot if it has one.
pub(crate) struct Visit<'a> {
    taken: Option<(&'a AtomicU64, u64)>,
}

impl Visit<'_> {
    /// Runs code that enters sled.
    pub(crate) fn inside<T>(&mut self, run: impl FnOnce() -> T) -> T {
        if let Some((slot, number)) = &mut self.taken {
            *number += NEXT_VISIT;
            slot.store(*number + INSIDE, Ordering::Relaxed);
        }
        let done = run();
        if let Some((slot, number)) = &self.taken {
            slot.store(*number + OUTSIDE, Ordering::Relaxed);
        }
        done
    }
}

impl Drop for Visit<'_> {
    fn drop(&mut self) {
        if let Some((slot, number)) = &self.taken {
            slot.store(*number, Ordering::Relaxed);
        }
    }
}

fn silent() -> Error {
    Error::Index {
        cause: format!(
            "it does not answer (for {} s or more), and the threads inside it cannot be stopped: end this process",
            PATIENCE.as_secs()
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHORT: Duration = Duration::from_millis(50);

    /// Looks often, and for longer than the patience.
    fn look_often(pulse: &Pulse, in_between: impl Fn()) {
        for _ in 0..=LOOKS + 1 {
            in_between();
            pulse.look();
            std::thread::sleep(SHORT / LOOKS);
        }
    }

    #[test]
    fn a_call_that_does_not_come_back_is_found() {
        let pulse = Pulse::with_patience(SHORT);
        let mut visit = pulse.visit().unwrap();
        visit.inside(|| look_often(&pulse, || ()));
        assert!(pulse.is_lost());
        assert!(matches!(pulse.check(), Err(Error::Index { .. })));
        assert!(matches!(pulse.visit(), Err(Error::Index { .. })));
    }

    #[test]
    fn calls_that_come_back_are_not_taken_for_one_that_does_not() {
        let pulse = Pulse::with_patience(SHORT);
        let mut visit = pulse.visit().unwrap();
        // Outside sled, a visit may last as long as its caller likes.
        visit.inside(|| ());
        look_often(&pulse, || ());
        // One visit after the other, and each look sees one inside.
        for _ in 0..=LOOKS * 2 {
            visit.inside(|| pulse.look());
            std::thread::sleep(SHORT / LOOKS);
        }
        drop(visit);
        look_often(&pulse, || ());
        assert!(!pulse.is_lost());
    }

    #[test]
    fn a_process_that_stood_still_does_not_count_as_a_call_that_hangs() {
        let pulse = Pulse::with_patience(SHORT);
        let mut visit = pulse.visit().unwrap();
        visit.inside(|| {
            pulse.look();
            std::thread::sleep(SHORT * 3);
            pulse.look();
        });
        assert!(!pulse.is_lost());
    }

    #[test]
    fn more_calls_than_slots_are_made_all_the_same() {
        let pulse = Pulse::with_patience(SHORT);
        let mut visits: Vec<Visit<'_>> = (0..=SLOTS).map(|_| pulse.visit().unwrap()).collect();
        let watched = visits.iter().filter(|visit| visit.taken.is_some());
        assert_eq!(watched.count(), SLOTS);
        for visit in &mut visits {
            assert_eq!(visit.inside(|| 7), 7);
        }
        drop(visits);
        assert!(
            pulse.visit().unwrap().taken.is_some(),
            "slots are given back"
        );
    }
}
