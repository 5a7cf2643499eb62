//! What opening a store found and did.

use std::path::PathBuf;
use std::time::Duration;

#[cfg(doc)]
use crate::Options;
use crate::{Error, Result, SalvageReport};

/// What opening a store found and did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct RecoveryReport {
    /// Whether no store existed, and one was made. See [`Options::must_exist`](crate::Options::must_exist).
    pub created: bool,
    /// Whether the query index was trusted or rebuilt.
    pub index: IndexRecovery,
    /// Batches read from the journal.
    pub journal_batches: u64,
    /// Bytes of a write that a crash tore, which were cut off the journal's end. None of them was
    /// acknowledged.
    pub torn_bytes: u64,
    /// Damaged files of the journal or a layer whose content the index proved. Both were written anew
    /// from the index, and nothing is lost. Check the disk.
    pub repaired: Vec<DamagedFile>,
    /// What [`Options::salvage`](crate::Options::salvage) gave back and what it could not. `None` unless
    /// the journal or a layer was damaged and nothing proved what they held.
    pub salvaged: Option<SalvageReport>,
    /// Whether `blobs/` may hold files that no record names. The next sweep finds and removes them.
    pub orphans_possible: bool,
    /// Files in `staging/`, `meta/journal/` and `meta/snapshot/` that do not belong to the store. It left
    /// them alone.
    pub foreign: Vec<PathBuf>,
    /// How long opening took.
    pub elapsed: Duration,
}

/// What was done with the query index when the store was opened.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum IndexRecovery {
    /// The store had been closed cleanly, and the index holds exactly the rows that it held then.
    #[default]
    Trusted,
    /// It was rebuilt from the journal behind the layers.
    Rebuilt {
        /// Why it was not trusted.
        reason: String,
    },
}

/// A file of the journal or of a layer that does not hold what was written there.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct DamagedFile {
    /// The file. If one is missing: its path, the layer behind the gap, or the directory.
    pub path: PathBuf,
    /// Where the damage begins, bytes from its start.
    pub offset: u64,
    /// What is wrong.
    pub reason: String,
}

impl DamagedFile {
    /// The damage that a check of one file finds. `None` if the check passes. A read that the disk refuses
    /// is tried once more, because such a failure may pass.
    pub(crate) fn met_by(check: &dyn Fn() -> Result<()>) -> Result<Option<Self>> {
        let checked = match check() {
            Err(Error::Io { .. }) => check(),
            checked => checked,
        };
        match checked {
            Ok(()) => Ok(None),
            Err(error) if error.tells_of_damage() => Ok(Some(Self::of(&error))),
            Err(error) => Err(error),
        }
    }

    /// The error with which a running store refuses changes.
    pub(crate) fn refusal(&self) -> Error {
        Error::Damaged {
            path: self.path.clone(),
            offset: self.offset,
            reason: format!("{} (the store accepts no more changes)", self.reason),
        }
    }

    /// The damage as an error.
    pub(crate) fn as_error(&self) -> Error {
        Error::Damaged {
            path: self.path.clone(),
            offset: self.offset,
            reason: self.reason.clone(),
        }
    }

    /// What the error says about a file.
    pub(crate) fn of(error: &Error) -> Self {
        match error {
            Error::Damaged {
                path,
                offset,
                reason,
            } => Self {
                path: path.clone(),
                offset: *offset,
                reason: reason.clone(),
            },
            Error::Io { path, .. } => Self {
                path: path.clone(),
                offset: 0,
                reason: error.one_line(),
            },
            other => Self {
                path: PathBuf::new(),
                offset: 0,
                reason: other.one_line(),
            },
        }
    }
}
