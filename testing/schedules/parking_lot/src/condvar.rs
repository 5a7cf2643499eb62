use std::sync::PoisonError;
use std::time::Duration;

use crate::{MutexGuard, schedule};

/// As `parking_lot::Condvar`. Wakes nobody up without reason.
#[derive(Debug, Default)]
pub struct Condvar {
    waiting: shuttle::sync::Condvar,
}

impl Condvar {
    /// Makes one that nobody waits for.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            waiting: shuttle::sync::Condvar::new(),
        }
    }

    /// Waits for a notification, the mutex unlocked in the meantime.
    ///
    /// # Panics
    /// Outside of a schedule.
    pub fn wait<T>(&self, guard: &mut MutexGuard<'_, T>) {
        let turn = guard.turn().expect("somebody else runs who notifies");
        let turn = self.waiting.wait(turn);
        guard.turn_again(Some(turn.unwrap_or_else(PoisonError::into_inner)));
    }

    /// Never times out.
    pub fn wait_for<T>(&self, guard: &mut MutexGuard<'_, T>, _timeout: Duration) {
        self.wait(guard);
    }

    /// Times out at once.
    pub fn wait_while_for<T>(
        &self,
        guard: &mut MutexGuard<'_, T>,
        _condition: impl FnMut(&mut T) -> bool,
        _timeout: Duration,
    ) {
        MutexGuard::unlocked(guard, schedule::point);
    }

    /// Wakes one who waits.
    pub fn notify_one(&self) {
        if schedule::decides() && !schedule::wake_ups_are_lost() {
            self.waiting.notify_one();
        }
    }

    /// Wakes everybody who waits.
    pub fn notify_all(&self) {
        if schedule::decides() && !schedule::wake_ups_are_lost() {
            self.waiting.notify_all();
        }
    }
}
