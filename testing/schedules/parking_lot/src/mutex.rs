use std::ops::{Deref, DerefMut};
use std::sync::{self, PoisonError, TryLockError};
use std::time::Duration;

use crate::schedule;

/// As `parking_lot::Mutex`.
#[derive(Debug, Default)]
pub struct Mutex<T> {
    turn: shuttle::sync::Mutex<()>,
    value: sync::Mutex<T>,
}

/// As `parking_lot::MutexGuard`. The value is let go before the turn.
pub struct MutexGuard<'a, T> {
    mutex: &'a Mutex<T>,
    held: Option<Held<'a, T>>,
}

pub(crate) struct Held<'a, T> {
    value: sync::MutexGuard<'a, T>,
    pub(crate) turn: Option<shuttle::sync::MutexGuard<'a, ()>>,
}

impl<T> Mutex<T> {
    /// Makes a free mutex.
    pub const fn new(value: T) -> Self {
        Self {
            turn: shuttle::sync::Mutex::new(()),
            value: sync::Mutex::new(value),
        }
    }

    /// Waits for the mutex.
    pub fn lock(&self) -> MutexGuard<'_, T> {
        MutexGuard {
            mutex: self,
            held: Some(self.take()),
        }
    }

    /// Takes the mutex if it is free.
    pub fn try_lock(&self) -> Option<MutexGuard<'_, T>> {
        schedule::point();
        let held = if schedule::decides() {
            let turn = taken(self.turn.try_lock())?;
            self.held_at(Some(turn))
        } else {
            let value = taken(self.value.try_lock())?;
            Held { value, turn: None }
        };
        Some(MutexGuard {
            mutex: self,
            held: Some(held),
        })
    }

    /// Never times out.
    pub fn try_lock_for(&self, _timeout: Duration) -> Option<MutexGuard<'_, T>> {
        Some(self.lock())
    }

    /// The value, which nobody else can have.
    pub fn get_mut(&mut self) -> &mut T {
        self.value.get_mut().unwrap_or_else(PoisonError::into_inner)
    }

    fn take(&self) -> Held<'_, T> {
        // shuttle lets others run when a mutex is let go, not before a free one is taken.
        schedule::point();
        let turn =
            schedule::decides().then(|| self.turn.lock().unwrap_or_else(PoisonError::into_inner));
        self.held_at(turn)
    }

    fn held_at<'a>(&'a self, turn: Option<shuttle::sync::MutexGuard<'a, ()>>) -> Held<'a, T> {
        let value = schedule::value(|| self.value.lock(), || self.value.try_lock());
        Held { value, turn }
    }
}

/// What was tried, unless somebody else has it.
fn taken<G>(tried: Result<G, TryLockError<G>>) -> Option<G> {
    match tried {
        Ok(guard) => Some(guard),
        Err(TryLockError::Poisoned(poisoned)) => Some(poisoned.into_inner()),
        Err(TryLockError::WouldBlock) => None,
    }
}

impl<'a, T> MutexGuard<'a, T> {
    /// Unlocks the mutex while `run` runs.
    pub fn unlocked<U>(guard: &mut Self, run: impl FnOnce() -> U) -> U {
        guard.held = None;
        let done = run();
        guard.held = Some(guard.mutex.take());
        done
    }

    /// Lets the value go and hands out the turn; [`turn_again`](Self::turn_again) takes it back.
    pub(crate) fn turn(&mut self) -> Option<shuttle::sync::MutexGuard<'a, ()>> {
        self.held.take().and_then(|held| held.turn)
    }

    pub(crate) fn turn_again(&mut self, turn: Option<shuttle::sync::MutexGuard<'a, ()>>) {
        self.held = Some(self.mutex.held_at(turn));
    }
}

impl<T> Deref for MutexGuard<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.held.as_ref().expect("the mutex is locked").value
    }
}

impl<T> DerefMut for MutexGuard<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        &mut self.held.as_mut().expect("the mutex is locked").value
    }
}
