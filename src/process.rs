//! [`Process`]: whether this is still the process that opened the store.
//!
//! A process that forks has a child with copies of all its memory and descriptors, and with none of
//! its threads. A store belongs to the process that opened it: in the child every call fails, and
//! dropping a handle does nothing. Locks may be held there by threads that do not exist, so this is
//! asked before any lock is taken.

use crate::{Error, Result};

/// The process that made something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Process(u32);

impl Process {
    pub(crate) fn current() -> Self {
        Self(std::process::id())
    }

    /// Whether this runs in another process than the one that is meant: in a child that it forked.
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
