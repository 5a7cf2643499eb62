//! The store in numbers.

use std::time::SystemTime;

use crate::{DamagedFile, SweepReport};

/// The store in numbers. They are counted as things change, so reading them scans nothing that grows with
/// the number of parts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stats {
    /// Open uploads.
    pub open_uploads: u64,
    /// Completed uploads that are not removed.
    pub objects: u64,
    /// Keys that have a current object, of all namespaces.
    pub keys: u64,
    /// Parts of open uploads and of objects.
    pub parts: u64,
    /// Sizes of the parts, bytes.
    pub part_bytes: u64,
    /// Blobs on disk.
    pub blobs: u64,
    /// Sizes of the blobs, bytes. This is `part_bytes` less what deduplication saves, plus what waits for a
    /// sweep.
    pub blob_bytes: u64,
    /// Blobs that have lost a reference, and that no sweep has checked since.
    pub garbage: u64,
    /// Blobs that were found damaged since the store was opened, and not put again.
    pub damaged_blobs: u64,
    /// Files of the journal and the layers that were found damaged since the store was opened. A checkpoint
    /// or [`verify`](crate::PartStore::verify) finds them.
    ///
    /// If any are listed, every call that changes something is refused with
    /// [`Error::Damaged`](crate::Error::Damaged). The reason: the journal cannot be made shorter, and after
    /// a kill the store would not open. Reads still work. [`close`](crate::PartStore::close) the store and
    /// open it again: the open writes the files anew from the index.
    pub damaged_files: Vec<DamagedFile>,
    /// Bodies that are being received.
    pub staged_bodies: u64,
    /// Bytes of the disk that are reserved for those bodies: what was received and is not yet written, and
    /// up to 16 MiB beyond what each has sent. Nothing is reserved for a body that has sent nothing.
    pub reserved_bytes: u64,
    /// Blobs that are being read or put. Each part of an object counts that is being read.
    pub pinned_blobs: u64,
    /// Journal on disk, bytes.
    pub journal_bytes: u64,
    /// Rows of the index.
    pub index_rows: u64,
    /// Keys and values of those rows, bytes.
    pub index_bytes: u64,
    /// The newest batch that a layer has. 0 for none.
    pub checkpoint_seq: u64,
    /// Bytes that can still be written to the file system.
    pub free_bytes: u64,
    /// Whether bodies are written past the page cache (`O_DIRECT`). They are if the file system allows it.
    pub direct_writes: bool,
    /// Whether the MD5s of concurrent bodies are computed side by side. They are if the processor has AVX2.
    pub md5_lanes: bool,
    /// Why the store has stopped ([I8](crate::rules#i8)). Every call that acknowledges something then
    /// answers [`Error::Poisoned`](crate::Error::Poisoned), until the store is opened again. `None` while
    /// it works.
    pub stopped: Option<String>,
    /// The last failure of the housekeeping thread, panics included. `None` once the thread has worked
    /// again.
    pub background_failure: Option<String>,
    /// When the last checkpoint was made since the store was opened, by the host's clock. A backup makes one.
    pub last_checkpoint: Option<SystemTime>,
    /// The last sweep since the store was opened that was not ended early.
    pub last_sweep: Option<LastSweep>,
    /// What the housekeeping does now, and when it works next.
    pub housekeeping: Housekeeping,
}

/// What the housekeeping does now, and when it works next.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Housekeeping {
    /// The step that it does now. `None` while it rests.
    pub now: Option<HousekeepingStep>,
    /// When its thread sweeps next, at the latest, by the host's clock. A call that leaves garbage may bring
    /// this forward. `None` with [`Background::Host`](crate::Background::Host).
    pub next_sweep: Option<SystemTime>,
    /// When its thread looks for uploads that [expire](crate::Options::expire_uploads_after) next, at the latest.
    /// `None` if none do, and with [`Background::Host`](crate::Background::Host).
    pub next_expiry: Option<SystemTime>,
}

/// A step of the housekeeping.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum HousekeepingStep {
    /// It looks for uploads that expire.
    Expiry,
    /// It removes blobs without a reference.
    Sweep,
    /// It writes what the journal has to a layer, or merges layers.
    Checkpoint,
}

/// A sweep that was not ended early.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct LastSweep {
    /// When it ended, by the host's clock.
    pub at: SystemTime,
    /// What it removed.
    pub report: SweepReport,
}
