//! [`Health`]: whether the store may still acknowledge (I8).
//!
//! Each store has one. Whatever finds a reason to stop poisons it: the file layer, when a sync fails or the
//! directory is no longer the store's alone; the journal, when a group is not written; the index, when it
//! fails, loses rows or does not answer. The layers above need not remember it. Only opening the store
//! again helps.

use std::sync::OnceLock;

use crate::{Error, Result};

#[derive(Debug, Default)]
pub(crate) struct Health {
    cause: OnceLock<String>,
}

impl Health {
    /// Stops all acknowledging. The first cause is kept.
    pub(crate) fn poison(&self, cause: &Error) {
        self.cause.get_or_init(|| cause.one_line());
    }

    /// # Errors
    /// [`Error::Poisoned`] if something has poisoned it.
    pub(crate) fn check(&self) -> Result<()> {
        match self.cause.get() {
            Some(cause) => Err(Error::Poisoned {
                cause: cause.clone(),
            }),
            None => Ok(()),
        }
    }

    /// The cause, if something has poisoned it.
    pub(crate) fn cause(&self) -> Option<&str> {
        self.cause.get().map(String::as_str)
    }
}
