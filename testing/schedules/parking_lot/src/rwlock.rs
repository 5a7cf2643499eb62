use std::ops::{Deref, DerefMut};
use std::sync::{self, PoisonError};
use std::time::Duration;

use crate::schedule;

/// As `parking_lot::RwLock`.
#[derive(Debug, Default)]
pub struct RwLock<T> {
    turn: shuttle::sync::RwLock<()>,
    value: sync::RwLock<T>,
}

/// As `parking_lot::RwLockReadGuard`. The value is let go before the turn.
pub struct RwLockReadGuard<'a, T> {
    value: sync::RwLockReadGuard<'a, T>,
    _turn: Option<shuttle::sync::RwLockReadGuard<'a, ()>>,
}

/// As `parking_lot::RwLockWriteGuard`. The value is let go before the turn.
pub struct RwLockWriteGuard<'a, T> {
    value: sync::RwLockWriteGuard<'a, T>,
    _turn: Option<shuttle::sync::RwLockWriteGuard<'a, ()>>,
}

/// As `parking_lot::MappedRwLockReadGuard`.
pub struct MappedRwLockReadGuard<'a, U> {
    part: Box<dyn Deref<Target = U> + 'a>,
}

impl<T> RwLock<T> {
    /// Makes a free lock.
    pub const fn new(value: T) -> Self {
        Self {
            turn: shuttle::sync::RwLock::new(()),
            value: sync::RwLock::new(value),
        }
    }

    /// Waits to read.
    pub fn read(&self) -> RwLockReadGuard<'_, T> {
        let turn =
            schedule::decides().then(|| self.turn.read().unwrap_or_else(PoisonError::into_inner));
        RwLockReadGuard {
            value: schedule::value(|| self.value.read(), || self.value.try_read()),
            _turn: turn,
        }
    }

    /// Waits to read. The same as [`read`](Self::read): here a reader passes writers that wait.
    pub fn read_recursive(&self) -> RwLockReadGuard<'_, T> {
        self.read()
    }

    /// Waits to write.
    pub fn write(&self) -> RwLockWriteGuard<'_, T> {
        let turn =
            schedule::decides().then(|| self.turn.write().unwrap_or_else(PoisonError::into_inner));
        RwLockWriteGuard {
            value: schedule::value(|| self.value.write(), || self.value.try_write()),
            _turn: turn,
        }
    }
}

impl<T> RwLock<T> {
    /// Never times out.
    pub fn try_write_for(&self, _timeout: Duration) -> Option<RwLockWriteGuard<'_, T>> {
        Some(self.write())
    }
}

impl<'a, T> RwLockReadGuard<'a, T> {
    /// Narrows the guard to a part of the value, if there is one.
    ///
    /// # Errors
    /// The guard, when there is none.
    pub fn try_map<U, F>(guard: Self, part: F) -> Result<MappedRwLockReadGuard<'a, U>, Self>
    where
        U: 'a,
        F: Fn(&T) -> Option<&U> + 'a,
    {
        if part(&guard).is_none() {
            return Err(guard);
        }
        Ok(MappedRwLockReadGuard {
            part: Box::new(Part { guard, part }),
        })
    }
}

struct Part<'a, T, F> {
    guard: RwLockReadGuard<'a, T>,
    part: F,
}

impl<T, U, F: Fn(&T) -> Option<&U>> Deref for Part<'_, T, F> {
    type Target = U;

    fn deref(&self) -> &U {
        (self.part)(&self.guard).expect("it was there when the guard was narrowed")
    }
}

impl<T> Deref for RwLockReadGuard<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.value
    }
}

impl<T> Deref for RwLockWriteGuard<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.value
    }
}

impl<T> DerefMut for RwLockWriteGuard<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        &mut self.value
    }
}

impl<U> Deref for MappedRwLockReadGuard<'_, U> {
    type Target = U;

    fn deref(&self) -> &U {
        &self.part
    }
}
