//! Reports: what opening, sweeping, verifying and the store itself have to say.

mod loss;
mod recovery;
mod stats;

pub use loss::{Loss, SalvageReport};
pub use recovery::{DamagedFile, IndexRecovery, RecoveryReport};
pub use stats::{LastSweep, Stats};

use crate::{ContentHash, PartNumber, Upload};

/// How far a long call has come: see [`verify_with`](crate::PartStore::verify_with),
/// [`sweep_with`](crate::PartStore::sweep_with) and [`maintain_with`](crate::PartStore::maintain_with).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Progress {
    /// What is done, `0..=total`. It never becomes less.
    pub done: u64,
    /// What there was to be done when the call began. The call says what is counted.
    pub total: u64,
}

/// What a sweep removed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct SweepReport {
    /// Blobs that had lost their last reference.
    pub blobs: u64,
    /// Their sizes, bytes.
    pub bytes: u64,
    /// Files in `blobs/` that no record named: left by a crash, or by a part that was refused at
    /// its last step.
    pub orphans: u64,
    /// Unreferenced blobs that somebody is reading or putting; a later sweep looks again.
    pub in_use: u64,
    /// Directories in `blobs/` that have the name of a blob, when all files were looked at. No store
    /// makes them; a repair of the file system may.
    pub foreign: u64,
    /// Whether the callback of [`sweep_with`](crate::PartStore::sweep_with) broke it off before the end.
    pub cut_short: bool,
}

/// What one round of housekeeping did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct MaintenanceReport {
    /// Uploads that had expired.
    pub expired: u64,
    /// What was swept.
    pub sweep: SweepReport,
    /// Whether a snapshot replaced journal segments.
    pub snapshot: bool,
    /// Whether the callback of [`maintain_with`](crate::PartStore::maintain_with) broke it off before the
    /// end.
    pub cut_short: bool,
}

/// How much [`verify`](crate::PartStore::verify) reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Scope {
    /// Snapshot and journal; of the index, whether parts, references and blobs agree with each other.
    Metadata,
    /// The same, and every byte of every blob.
    Everything,
}

/// What [`verify`](crate::PartStore::verify) found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct VerifyReport {
    /// Parts looked at.
    pub parts: u64,
    /// Blobs looked at.
    pub blobs: u64,
    /// Bytes of blobs read.
    pub bytes: u64,
    /// Files of the journal and the snapshot that do not hold what was written there: the first damage of
    /// each. The store accepts no more changes then; see [`Stats::damaged_files`].
    pub files: Vec<DamagedFile>,
    /// Blobs that do not hold what was acknowledged.
    pub damaged: Vec<DamagedBlob>,
    /// Records that contradict each other, in words. Always empty unless there is a bug or the
    /// index was damaged.
    pub inconsistent: Vec<String>,
    /// Whether the callback of [`verify_with`](crate::PartStore::verify_with) broke it off before the end:
    /// what was not looked at may be damaged.
    pub cut_short: bool,
}

impl VerifyReport {
    /// Whether nothing was found, in what was looked at.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        self.files.is_empty() && self.damaged.is_empty() && self.inconsistent.is_empty()
    }
}

/// A damaged blob and the parts that it holds.
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
