//! [`Process`]: whether this process is the one that opened the store.
//!
//! A forked child has copies of all memory and descriptors of its parent, and none of its threads. A store
//! belongs to the process that opened it. In the child every call fails, dropping a handle does nothing,
//! and no store can be opened. Threads that do not exist there may hold locks, so this check comes before
//! any lock is taken.

use std::sync::atomic::{AtomicU32, Ordering};

use crate::{Error, Result};

/// The first process that opened a store here: this one, or one that it was forked from. 0 for none.
static FIRST: AtomicU32 = AtomicU32::new(0);

/// The process that made a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Process(u32);

impl Process {
    pub(crate) fn current() -> Self {
        Self(std::process::id())
    }

    /// Passes unless this process was forked from one that had opened a store. In such a child sled would
    /// wait for threads that exist only in the parent, whichever store is opened.
    ///
    /// # Errors
    /// [`Error::Forked`].
    pub(crate) fn opens_a_store() -> Result<Self> {
        let this = Self::current();
        match FIRST.compare_exchange(0, this.0, Ordering::Relaxed, Ordering::Relaxed) {
            Err(first) => Self(first).check().map(|()| this),
            Ok(_) => Ok(this),
        }
    }

    /// Whether this runs in another process, a forked child.
    pub(crate) fn is_another(self) -> bool {
        self != Self::current()
    }

    /// # Errors
    /// [`Error::Forked`] in another process.
    pub(crate) fn check(self) -> Result<()> {
        if self.is_another() {
            Err(Error::Forked)
        } else {
            Ok(())
        }
    }
}

/// A value that is used and dropped only in the process that made it. A forked child leaves it as it is.
/// What its drop would touch may be locked for ever there, or belong to the parent.
pub(crate) struct Owned<T> {
    process: Process,
    /// `None` once it is taken.
    value: Option<T>,
}

impl<T> Owned<T> {
    pub(crate) fn new(value: T) -> Self {
        Self {
            process: Process::current(),
            value: Some(value),
        }
    }

    /// A reference for reading, which harms nobody.
    pub(crate) fn look(&self) -> Option<&T> {
        self.value.as_ref()
    }

    /// # Errors
    /// [`Error::Forked`] in another process.
    pub(crate) fn get(&mut self) -> Result<&mut T> {
        self.process.check()?;
        self.value.as_mut().ok_or(Error::Forked)
    }

    /// # Errors
    /// [`Error::Forked`] in another process.
    pub(crate) fn take(mut self) -> Result<T> {
        self.process.check()?;
        self.value.take().ok_or(Error::Forked)
    }
}

impl<T> Drop for Owned<T> {
    fn drop(&mut self) {
        if self.process.is_another() {
            std::mem::forget(self.value.take());
        }
    }
}
