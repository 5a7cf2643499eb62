//! The store in numbers.

use std::time::SystemTime;

use crate::{DamagedFile, SweepReport};

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
    /// [`Error::Damaged`](crate::Error::Damaged), as the journal cannot be made shorter and after a kill
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
    /// Why the store has stopped ([I8](crate::rules#i8)): every call that acknowledges answers
    /// [`Error::Poisoned`](crate::Error::Poisoned) until it is opened again. `None` while it works.
    pub stopped: Option<String>,
    /// The last failure of the housekeeping thread, panics included; `None` once that has worked again.
    pub background_failure: Option<String>,
    /// When the last snapshot since the store was opened was taken, by the host's clock.
    pub last_snapshot: Option<SystemTime>,
    /// The last sweep since the store was opened that came to its end.
    pub last_sweep: Option<LastSweep>,
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
