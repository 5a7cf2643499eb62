//! [`Health`]: whether the store may still acknowledge (I8).
//!
//! It also has the [`Witness`] of the store, because every layer of the engine knows it.
//!
//! Each store has one. Whatever finds a reason to stop poisons it: the file layer, when a sync fails or the
//! directory is no longer the store's alone; the journal, when a group is not written; the index, when it
//! fails, loses rows or does not answer. The layers above need not remember it. Only opening the store
//! again helps.

use std::sync::OnceLock;

use crate::values::observer::Witness;
use crate::{Error, Event, Result};

#[derive(Debug, Default)]
pub(crate) struct Health {
    cause: OnceLock<String>,
    witness: OnceLock<Witness>,
}

/// Tells nobody.
static NOBODY: Witness = Witness::nobody();

impl Health {
    /// Stops all acknowledging. The first cause is kept.
    pub(crate) fn poison(&self, cause: &Error) {
        let mut is_first = false;
        let cause = self.cause.get_or_init(|| {
            is_first = true;
            cause.one_line()
        });
        if is_first {
            self.witness().note(|| Event::Stopped {
                cause: cause.clone(),
            });
        }
    }

    /// Whoever asks for the witness from now on gets this one. The first one is kept.
    pub(crate) fn observed_by(&self, witness: &Witness) {
        self.witness.get_or_init(|| witness.clone());
    }

    /// What tells the observer of the store.
    pub(crate) fn witness(&self) -> &Witness {
        self.witness.get().unwrap_or(&NOBODY)
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
