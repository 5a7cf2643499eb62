//! Reports: what opening, sweeping, verifying and the store itself tell the caller.

mod loss;
mod recovery;
mod stats;

pub use loss::{Loss, SalvageReport};
pub use recovery::{DamagedFile, IndexRecovery, RecoveryReport};
pub use stats::{Housekeeping, HousekeepingStep, LastSweep, Stats};

use crate::{ContentHash, PartNumber, Upload};

/// How far a long call has come. See [`verify_with`](crate::PartStore::verify_with),
/// [`sweep_with`](crate::PartStore::sweep_with) and [`maintain_with`](crate::PartStore::maintain_with).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Progress {
    /// What is done, `0..=total`. It never decreases.
    pub done: u64,
    /// What there was to do when the call began. Each call says what it counts.
    pub total: u64,
    /// Of a [`verify`](crate::PartStore::verify_behind), the blobs that were compared. `None` before the first one, and of
    /// other calls.
    pub compared: Option<Compared>,
}

/// How far a [`verify`](crate::PartStore::verify_behind) has come among the blobs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Compared {
    /// All blobs up to this hash were compared, but for those up to the one that it began behind.
    pub through: ContentHash,
    /// How many there are.
    pub blobs: u64,
    /// Bytes that were read of those that are whole.
    pub bytes: u64,
    /// How many are damaged, or contradict other records: what the report says of them.
    pub found: u64,
}

/// What a sweep removed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct SweepReport {
    /// Blobs that had lost their last reference.
    pub blobs: u64,
    /// Their sizes, bytes.
    pub bytes: u64,
    /// Removed files in `blobs/` that no record named. A crash left them, or a part that was refused at its
    /// last step.
    pub orphans: u64,
    /// Blobs without a reference that somebody is reading or putting, and parts of removed objects that somebody
    /// reads. A later sweep looks at them again.
    pub in_use: u64,
    /// Directories in `blobs/` that have the name of a blob, if the sweep looked at all files. No store
    /// makes them. A repair of the file system may.
    pub foreign: u64,
    /// Whether a [backup](crate::PartStore::back_up) was being taken. Then nothing was removed. A later sweep does
    /// the work.
    pub deferred: bool,
    /// Whether the callback of [`sweep_with`](crate::PartStore::sweep_with) ended the sweep early.
    pub cut_short: bool,
}

/// What one round of housekeeping did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct MaintenanceReport {
    /// How many expired uploads were aborted.
    pub expired: u64,
    /// What the sweep removed.
    pub sweep: SweepReport,
    /// Whether a checkpoint was made: a layer has what changed, in place of the journal.
    pub checkpoint: bool,
    /// Whether the callback of [`maintain_with`](crate::PartStore::maintain_with) ended the round early.
    pub cut_short: bool,
}

/// How much [`verify`](crate::PartStore::verify) reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Scope {
    /// The layers, the journal and the index: whether the first two hold what was written there, and
    /// whether parts, references and blobs of the index agree with each other.
    Metadata,
    /// The same, and every byte of every blob.
    Everything,
}

/// What [`verify`](crate::PartStore::verify) found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct VerifyReport {
    /// Parts that were checked.
    pub parts: u64,
    /// Blobs that were checked.
    pub blobs: u64,
    /// Bytes that were read of blobs.
    pub bytes: u64,
    /// Files of the journal and of the layers that do not hold what was written there, with the first
    /// damage of each. If any are listed, the store accepts no more changes: see [`Stats::damaged_files`].
    pub files: Vec<DamagedFile>,
    /// Blobs that do not hold the bytes that were acknowledged.
    pub damaged: Vec<DamagedBlob>,
    /// Records that contradict each other, in words. Empty unless partstore has a bug or the index is
    /// damaged.
    pub inconsistent: Vec<String>,
    /// Whether the callback of [`verify_with`](crate::PartStore::verify_with) ended the call early. What
    /// was not checked may be damaged.
    pub cut_short: bool,
}

impl VerifyReport {
    /// Returns whether nothing was found in what was checked.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        self.files.is_empty() && self.damaged.is_empty() && self.inconsistent.is_empty()
    }
}

/// A damaged blob and the parts that use it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct DamagedBlob {
    /// The blob: the name of its file below `blobs/`.
    pub hash: ContentHash,
    /// What is wrong.
    pub reason: String,
    /// The parts that cannot be read until the same bytes are put again.
    pub parts: Vec<(Upload, PartNumber)>,
}
