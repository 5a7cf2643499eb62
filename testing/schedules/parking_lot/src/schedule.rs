//! The schedule that the calling thread runs under, if it runs under one.

use std::cell::Cell;
use std::sync::{LockResult, PoisonError, TryLockError, TryLockResult};
use std::time::Duration;

thread_local! {
    // All tasks of one execution run on one thread of the system.
    static INSIDE: Cell<bool> = const { Cell::new(false) };
    static RUNNING: Cell<bool> = const { Cell::new(false) };
    static WAKE_UPS_LOST: Cell<bool> = const { Cell::new(false) };
}

/// Runs the body of one execution. All that it spawns it joins.
pub fn run(body: impl FnOnce()) {
    INSIDE.set(true);
    RUNNING.set(true);
    body();
    RUNNING.set(false);
    INSIDE.set(false);
}

/// A lock's value. In an execution whoever has the turn has it at once; elsewhere other threads of the
/// system may have it, and are waited for.
///
/// # Panics
/// In an execution, when somebody else has the value: that is a fault of this double, or the execution
/// is torn down after a failure.
pub(crate) fn value<G>(
    wait: impl FnOnce() -> LockResult<G>,
    take: impl FnOnce() -> TryLockResult<G>,
) -> G {
    if !INSIDE.get() {
        return wait().unwrap_or_else(PoisonError::into_inner);
    }
    match take() {
        Ok(value) => value,
        Err(TryLockError::Poisoned(value)) => value.into_inner(),
        Err(TryLockError::WouldBlock) => panic!("the value is taken by somebody without a turn"),
    }
}

/// Runs what a task does while it is alone, without schedule points: more schedules differ where it
/// matters. No other task may hold a lock.
pub fn pause<T>(alone: impl FnOnce() -> T) -> T {
    let before = RUNNING.replace(false);
    let done = alone();
    RUNNING.set(before);
    done
}

/// Whether shuttle decides what happens next.
#[must_use]
pub fn decides() -> bool {
    RUNNING.get() && !std::thread::panicking()
}

/// Lets any other task run first.
pub fn point() {
    if decides() {
        shuttle::thread::sleep(Duration::ZERO);
    }
}

/// From now on `notify_all` wakes nobody, or does again: a fault that a test must find.
pub fn lose_wake_ups(lost: bool) {
    WAKE_UPS_LOST.set(lost);
}

pub(crate) fn wake_ups_are_lost() -> bool {
    WAKE_UPS_LOST.get()
}
