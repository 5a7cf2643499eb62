//! Reports: what opening, sweeping, verifying and the store itself have to say.

use std::fmt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use crate::{ContentHash, Error, PartNumber, Result, Upload, UploadId};

/// What opening a store found and did.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct RecoveryReport {
    /// Whether there was no store, and one was made. See [`Options::must_exist`](crate::Options::must_exist).
    pub created: bool,
    /// Whether the query index was trusted or rebuilt.
    pub index: IndexRecovery,
    /// Batches read from the journal.
    pub journal_batches: u64,
    /// Bytes of a write that a crash tore, cut off the journal's end. None of it was acknowledged.
    pub torn_bytes: u64,
    /// Files of the journal or the snapshot that were damaged, and that the index proved: both were written
    /// anew from it, and nothing is lost. The disk deserves a look.
    pub repaired: Vec<DamagedFile>,
    /// What [`Options::salvage`](crate::Options::salvage) gave back and what not, if journal or snapshot were
    /// damaged and nothing proved what they held.
    pub salvaged: Option<SalvageReport>,
    /// Whether files may lie in `blobs/` that no record names; the next sweep finds and removes
    /// them.
    pub orphans_possible: bool,
    /// What lies in `staging/`, `meta/journal/` and `meta/snapshot/` and is not the store's. It was left
    /// alone.
    pub foreign: Vec<PathBuf>,
    /// How long opening took.
    pub elapsed: Duration,
}

/// A file of the journal or the snapshot that does not hold what was written there.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct DamagedFile {
    /// The file, or the directory of one that is missing.
    pub path: PathBuf,
    /// Where the damage begins, bytes from its start.
    pub offset: u64,
    /// What is wrong.
    pub reason: String,
}

impl DamagedFile {
    /// The damage that a check of one file meets; `None` when it passes. What the disk refuses to read is
    /// read once more: that may pass.
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

    /// Why a running store accepts no more.
    pub(crate) fn refusal(&self) -> Error {
        Error::Damaged {
            path: self.path.clone(),
            offset: self.offset,
            reason: format!("{} (the store accepts no more changes)", self.reason),
        }
    }

    /// What the error says of a file.
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

/// What an open with [`Options::salvage`](crate::Options::salvage) gave back of a damaged store.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SalvageReport {
    /// Where the old files are: journal, snapshot and index as they were, blobs that no part refers to any
    /// more, and `lost.txt`, the list of what is lost. Nothing reads it again: remove it when nobody needs it.
    pub aside: PathBuf,
    /// The files that were damaged. Empty when an earlier open had done the work and was cut short at its end.
    pub damaged: Vec<DamagedFile>,
    /// What cannot be given back. Empty when an earlier open had done the work: `lost.txt` has it.
    pub lost: Vec<Loss>,
}

impl SalvageReport {
    pub(crate) fn of(aside: &Path, damaged: Vec<DamagedFile>, lost: Vec<Loss>) -> Self {
        Self {
            aside: aside.to_owned(),
            damaged,
            lost,
        }
    }
}

/// Something that a salvage could not give back.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Loss {
    /// Batches of the journal, both ends included, that were durable and do not read. What they changed is as
    /// it was before them, or as the index has it: uploads and parts may be missing, older than they were,
    /// or back after they were removed.
    Batches {
        /// The oldest.
        first: u64,
        /// The newest.
        last: u64,
    },
    /// Everything behind a batch, if there was anything: the journal's end is missing or does not read, and
    /// nothing tells how long it was. Damage there cannot be told from a write that a crash tore, which was
    /// never acknowledged.
    End {
        /// The newest batch that is left, 0 for none.
        after: u64,
    },
    /// Rows of a snapshot. What other rows tell of them is given back; what nothing else tells of is missing
    /// and not in this list.
    Rows {
        /// The snapshot, where it was.
        path: PathBuf,
        /// Where they were, bytes from its start.
        offset: u64,
        /// How much does not read, bytes; 0 when the file does not open.
        len: u64,
    },
    /// The row of an upload, and with it its key, its metadata and whether it was completed. Its parts are
    /// those of an open upload under another key.
    Upload {
        /// Its id.
        id: UploadId,
        /// The parts that are left.
        parts: Vec<PartNumber>,
        /// The upload that they belong to now; `None` when there are no parts.
        given_back: Option<Upload>,
    },
    /// An object whose parts do not add up to it. It is an open upload again: put the missing parts and
    /// complete it.
    Object {
        /// The upload.
        upload: Upload,
        /// How many parts it had.
        expected: u16,
        /// The parts that are left.
        parts: Vec<PartNumber>,
    },
    /// The bytes of a part, or its row. A part whose row is left is listed and its bytes are
    /// [`Error::DamagedBlob`](crate::Error::DamagedBlob): putting them again repairs it.
    Part {
        /// The upload; its key is empty if that is lost, too.
        upload: Upload,
        /// The part.
        number: PartNumber,
    },
    /// When a part was put. Its row was made again from its reference and its bytes; it has the time of the
    /// upload's initiation.
    StoredAt {
        /// The upload.
        upload: Upload,
        /// The part.
        number: PartNumber,
    },
    /// Metadata of an upload: it has none now, or, if the row that tells its length is lost, as much of it as
    /// was found.
    Metadata {
        /// The upload.
        upload: Upload,
    },
}

impl fmt::Display for Loss {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let list = |parts: &[PartNumber]| {
            let parts: Vec<_> = parts.iter().map(ToString::to_string).collect();
            parts.join(",")
        };
        match self {
            Self::Batches { first, last } => write!(f, "batches {first} to {last} of the journal"),
            Self::End { after } => write!(f, "what was behind batch {after} of the journal"),
            Self::Rows { path, offset, len } => {
                let path = path.display();
                write!(f, "rows in {len} bytes at byte {offset} of {path}")
            }
            Self::StoredAt { upload, number } => {
                let (key, id) = (upload.key(), upload.id());
                write!(f, "when part {number} of {key:?} {id} was put")
            }
            Self::Upload {
                id,
                parts,
                given_back,
            } => {
                let key = given_back.as_ref().map_or("", |upload| upload.key());
                let parts = list(parts);
                write!(f, "upload {id}: its key; parts {parts} are under {key:?}")
            }
            Self::Object {
                upload,
                expected,
                parts,
            } => {
                let (key, id, parts) = (upload.key(), upload.id(), list(parts));
                write!(
                    f,
                    "object {key:?} {id}: of {expected} parts {parts} are left"
                )
            }
            Self::Part { upload, number } => {
                let (key, id) = (upload.key(), upload.id());
                write!(f, "part {number} of {key:?} {id}")
            }
            Self::Metadata { upload } => {
                let (key, id) = (upload.key(), upload.id());
                write!(f, "metadata of {key:?} {id}")
            }
        }
    }
}

/// What became of the query index when the store was opened.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum IndexRecovery {
    /// The store had been closed cleanly, and the index holds exactly the rows that it held then.
    Trusted,
    /// It was rebuilt from snapshot and journal.
    Rebuilt {
        /// Why it was not trusted.
        reason: String,
    },
}

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

/// A sweep that has come to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct LastSweep {
    /// When it ended, by the host's clock.
    pub at: SystemTime,
    /// What it removed.
    pub report: SweepReport,
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
    /// The parts that can not be read until the same bytes are put again.
    pub parts: Vec<(Upload, PartNumber)>,
}

/// The store in numbers, kept up as things change: reading them scans nothing that grows with the
/// number of parts.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stats {
    /// Open uploads.
    pub open_uploads: u64,
    /// Completed uploads that were not removed.
    pub objects: u64,
    /// Parts, of open uploads and of objects.
    pub parts: u64,
    /// Sizes of the parts, bytes.
    pub part_bytes: u64,
    /// Blobs on disk.
    pub blobs: u64,
    /// Sizes of the blobs, bytes: `part_bytes` less what deduplication saves, plus what waits for
    /// a sweep.
    pub blob_bytes: u64,
    /// Blobs that lost a reference and wait for a sweep to look at them.
    pub garbage: u64,
    /// Blobs found damaged since the store was opened and not put again.
    pub damaged_blobs: u64,
    /// Files of the journal and the snapshot that were found damaged since the store was opened, by a
    /// snapshot or by [`verify`](crate::PartStore::verify).
    ///
    /// When there are any, every call that changes something is refused with
    /// [`Error::Damaged`](crate::Error::Damaged), as the journal can not be made shorter and after a kill
    /// the store would not open. Reads go on. [`close`](crate::PartStore::close) and open it again: the
    /// files are then written anew from the index.
    pub damaged_files: Vec<DamagedFile>,
    /// Bodies being received.
    pub staged_bodies: u64,
    /// Bytes of the disk that are held for those: received and not yet written, and up to 16 MiB
    /// ahead of what each has sent. A body that has sent nothing holds none.
    pub reserved_bytes: u64,
    /// Blobs being read or put.
    pub pinned_blobs: u64,
    /// Journal on disk, bytes.
    pub journal_bytes: u64,
    /// Rows of the index.
    pub index_rows: u64,
    /// Keys and values of those rows, bytes.
    pub index_bytes: u64,
    /// Sequence number of the snapshot, 0 for none.
    pub snapshot_seq: u64,
    /// Bytes that can still be written to the file system.
    pub free_bytes: u64,
    /// Whether bodies are written past the page cache (`O_DIRECT`): when the file system takes it.
    pub direct_writes: bool,
    /// Whether MD5 of bodies that come in at the same time is computed side by side: when the processor
    /// has AVX2.
    pub md5_lanes: bool,
    /// Why the store has stopped (I8): every call that acknowledges answers
    /// [`Error::Poisoned`](crate::Error::Poisoned) until it is opened again. `None` while it works.
    pub stopped: Option<String>,
    /// The last failure of the housekeeping thread, panics included; `None` once that has worked again.
    pub background_failure: Option<String>,
    /// When the last snapshot since the store was opened was taken, by the host's clock.
    pub last_snapshot: Option<SystemTime>,
    /// The last sweep since the store was opened that came to its end.
    pub last_sweep: Option<LastSweep>,
}
