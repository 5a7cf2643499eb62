//! [`Pulse`]: whether the index still answers.
//!
//! sled can hang for ever: when one of its threads has panicked, or in a deadlock of its own. A thread
//! that is inside cannot be called back. What can be done is to notice it, and to let nobody else go in
//! or wait for it.
//!
//! Changes are waited for, and given up after a time ([`Pool`](crate::thread::Pool)). Questions are many
//! and short, so they run in their caller's thread: each takes a slot, and says there when it goes into
//! sled and when it is back. Whoever looks twice and finds the same visit has found one that hangs.

use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use parking_lot::{Mutex, MutexGuard};

use crate::{Error, Result};

/// For how long the index is waited for, at least.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);
/// How long somebody who waits for another call sleeps before he asks again whether the index answers.
pub(crate) const GLANCE: Duration = Duration::from_secs(1);

/// Questions at a time that are watched. Those above are not.
const SLOTS: usize = 64;

/// What a slot holds, in its low bits; above them the number of the visit.
const FREE: u64 = 0;
const OUTSIDE: u64 = 1;
const INSIDE: u64 = 2;
const STATE: u64 = 3;
const NEXT_VISIT: u64 = 4;

pub(crate) struct Pulse {
    lost: AtomicBool,
    slots: Vec<AtomicU64>,
    /// Where the next question looks for a slot first.
    turn: AtomicUsize,
    /// What was seen in each slot, and since when.
    seen: Mutex<Vec<(u64, Instant)>>,
    patience: Duration,
}

impl Default for Pulse {
    fn default() -> Self {
        Self::with_patience(PATIENCE)
    }
}

impl Pulse {
    fn with_patience(patience: Duration) -> Self {
        Self {
            patience,
            lost: AtomicBool::new(false),
            slots: (0..SLOTS).map(|_| AtomicU64::new(FREE)).collect(),
            turn: AtomicUsize::new(0),
            seen: Mutex::default(),
        }
    }

    /// # Errors
    /// [`Error::Index`] when the index does not answer any more.
    pub(crate) fn check(&self) -> Result<()> {
        if self.is_lost() {
            Err(silent())
        } else {
            Ok(())
        }
    }

    pub(crate) fn is_lost(&self) -> bool {
        self.lost.load(Ordering::Relaxed)
    }

    /// Locks what somebody may hold who hangs in the index.
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

    /// Says that the index does not answer.
    pub(crate) fn lose(&self) -> Error {
        self.lost.store(true, Ordering::Relaxed);
        silent()
    }

    /// A question begins.
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

    /// Looks whether a question hangs. Called every few seconds.
    pub(crate) fn look(&self) {
        let now = Instant::now();
        let mut seen = self.seen.lock();
        seen.resize(SLOTS, (FREE, now));
        for (slot, (before, since)) in self.slots.iter().zip(seen.iter_mut()) {
            let found = slot.load(Ordering::Relaxed);
            if found != *before {
                (*before, *since) = (found, now);
            } else if found & STATE == INSIDE && now.duration_since(*since) > self.patience {
                self.lose();
            }
        }
    }
}

/// A question to the index, and its slot if it has one.
pub(crate) struct Visit<'a> {
    taken: Option<(&'a AtomicU64, u64)>,
}

impl Visit<'_> {
    /// Runs what goes into sled, but for what [`outside`](Self::outside) runs.
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
            "it does not answer ({} s and more), and threads that are inside cannot be stopped: end this process",
            PATIENCE.as_secs()
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHORT: Duration = Duration::from_millis(50);

    /// Looks twice, and longer than the patience apart.
    fn look_twice(pulse: &Pulse, in_between: impl FnOnce()) {
        pulse.look();
        std::thread::sleep(SHORT * 2);
        in_between();
        pulse.look();
    }

    #[test]
    fn a_question_that_does_not_come_back_is_found() {
        let pulse = Pulse::with_patience(SHORT);
        let mut visit = pulse.visit().unwrap();
        visit.inside(|| look_twice(&pulse, || ()));
        assert!(pulse.is_lost());
        assert!(matches!(pulse.check(), Err(Error::Index { .. })));
        assert!(matches!(pulse.visit(), Err(Error::Index { .. })));
    }

    #[test]
    fn questions_that_come_back_are_not_taken_for_one_that_does_not() {
        let pulse = Pulse::with_patience(SHORT);
        let mut visit = pulse.visit().unwrap();
        // In its caller's hands for as long as that likes.
        visit.inside(|| ());
        look_twice(&pulse, || ());
        // One visit after the other.
        look_twice(&pulse, || visit.inside(|| ()));
        visit.inside(|| pulse.look());
        visit.inside(|| pulse.look());
        drop(visit);
        look_twice(&pulse, || ());
        assert!(!pulse.is_lost());
    }

    #[test]
    fn more_questions_than_slots_are_asked_all_the_same() {
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
