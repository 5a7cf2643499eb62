//! partstore stores the parts of multipart uploads, crash-safely, in one directory. Your server links it
//! and calls it from any thread; there is no daemon.
//!
//! ```text
//! data/
//!   LOCK  FORMAT            one process at a time; what this directory is
//!   blobs/3f/3f9a...e1      raw bytes, nothing else: `b3sum` of the file is its name
//!   staging/                bodies being received; emptied when the store is opened
//!   meta/
//!     journal/              append-only log of the latest changes: the truth, with the layers
//!     snapshot/             layers: sorted rows that have rested, in place of the older journal
//!     index/                sled: answers queries, rebuilt from the truth after any crash
//!     CLEAN                 exists only after a clean close
//! ```
//!
//! ```
//! use partstore::{CompletedPart, Options, PartNumber, PartOptions};
//! use std::io::{Read, Write};
//!
//! # let dir = tempfile::tempdir().unwrap();
//! # let path = dir.path().join("data");
//! let store = Options::cos().open(path)?;
//! let upload = store.initiate_upload("bucket/video.mp4")?;
//! let first = store.put_part(&upload, PartNumber::new(1)?, vec![7; 1 << 20])?;
//! let mut body = store.part_writer(&upload, PartNumber::new(2)?, PartOptions::new())?;
//! body.write_all(b"the end").expect("write");
//! let second = body.finish()?; // durable: content, name and metadata
//! let list = [&first, &second].map(CompletedPart::from);
//! let object = store.complete_upload(&upload, &list)?; // no byte is copied
//! let mut bytes = Vec::new();
//! store.open_object(&object.upload)?.read_to_end(&mut bytes).expect("read");
//! assert_eq!(bytes.len(), (1 << 20) + 7);
//! # Ok::<(), partstore::Error>(())
//! ```
//!
//! # Words
//!
//! - An **upload** is one multipart upload, from [initiate](PartStore::initiate_upload) to
//!   [complete](PartStore::complete_upload) or [abort](PartStore::abort_upload). Its key and its
//!   [id](UploadId) name it together.
//! - A **part** is bytes under a [number](PartNumber) in an upload.
//! - A **blob** is bytes under their [BLAKE3 hash](ContentHash). It is stored once, however many parts have
//!   it.
//! - An **object** is a completed upload. It keeps the upload's id and its listed parts. A body can also be
//!   [put as an object](PartStore::put_object) at once.
//! - The **current object** of a [key](Key) is the one that the key [finds](PartStore::object_by_key).
//!   Whatever takes its place, under a [condition](Condition) if the caller likes, removes it in the same
//!   commit.
//! - A **namespace** is a set of keys with a name of its own, such as a bucket. It may have a
//!   [quota](Quota).
//! - A **reference** is a record that says: this part uses this blob.
//! - A **sweep** is the search for blobs without a reference, and the removal of their files.
//! - **Housekeeping** is the work that no call waits for: it expires uploads, sweeps, and writes what has rested to layers.
//!
//! `R1` to `R34` are rules of the protocol (COS, S3). `I1` to `I9` are the store's own invariants.
//! [`rules`] lists both.
//!
//! # Guarantees
//!
//! 1. `Ok` means durable. Content, name and metadata survive `kill -9` and loss of power at any later
//!    moment ([I1](crate::rules#i1), [I2](crate::rules#i2)). After a failed sync the store acknowledges
//!    nothing until it is opened again ([I8](crate::rules#i8)).
//! 2. A part is seen whole or not at all. A refused or failed put leaves the previous part as it was
//!    ([I3](crate::rules#i3)). Of several puts to one number, the last to commit wins
//!    ([R11](crate::rules#r11)).
//! 3. Readers get the bytes that were acknowledged, or an error that names the damaged blob
//!    ([I5](crate::rules#i5)). Putting the same bytes again repairs it.
//! 4. Nothing in use is removed: neither bytes that a part refers to, nor bytes that somebody reads
//!    ([I4](crate::rules#i4)). Before a file is removed, the [sweep](PartStore::sweep) asks the journal,
//!    never the index alone.
//! 5. Nothing leaks. A sweep removes what retries, aborts, refused bodies and crashes have left
//!    ([I7](crate::rules#i7)).
//! 6. An upload is completed at most once, to exactly the listed parts. No part is added to it afterwards
//!    ([I6](crate::rules#i6)). The same completion again gets the same answer ([R25](crate::rules#r25)).
//! 7. The query index can be deleted whenever the store is closed, and nothing is lost
//!    ([I9](crate::rules#i9)).
//!
//! # Costs
//!
//! - **A part**: one pass for the digests, and three syncs: its file, its directory and the journal. All
//!   concurrent calls share the journal's sync.
//! - **Bytes that are already stored**, and [copies](PartStore::copy_part) of parts: one journal sync. The
//!   first time a process relies on a stored blob, it also syncs and reads it once. A streamed body is
//!   always staged, because its hash is known only at the end.
//! - **Completing**: about a microsecond a part, whatever its size. **Aborting and removing**: 11 to 22 µs
//!   of a processor a part.
//! - **Memory**: at most 2 MiB for each of the first 64 incoming bodies, and at most 256 KiB for each
//!   further or short one. All bodies together have at most [192
//!   MiB](Options::body_memory), and 8 KiB for each body beyond that.
//!   36 MiB of it are kept for later bodies. Each reader has 32 to 256 KiB. The index has a [cache of 32
//!   MiB](Options::index_cache), and needs two to four times as much in all.
//! - **Disk**: the bytes, some 300 bytes of journal and 1.6 KB of index for each part.
//! - **An [observer](Options::observer)** is told all of this. Without one, nothing is measured.
//!
//! # Features
//!
//! - `tracing`, off by default: calls, groups and housekeeping are spans of the crate `tracing`, with the target `partstore`.
//!
//! # Quirks
//!
//! - Readers see a change a moment before it is durable. Only the caller who made it is told when it is.
//! - [`PartOptions::content_length`] is optional. The protocol makes servers insist on a length
//!   ([R2](crate::rules#r2)); that check is your server's job.
//! - A completion makes its object the current one of its key only if it is [told
//!   so](CompleteOptions::make_current).
//! - sled starts worker threads of its own, and ends them when they have nothing to do.
//! - Only Linux is supported in practice, because of `fallocate`, directory syncs and file locks.
//!
//! # Why not ...
//!
//! - **a database for everything?** Part bodies of gigabytes belong in files. There they can be read,
//!   checked (`b3sum`) and served without copying.
//! - **plain files?** A name, its content and its record must become durable in one order, and be released
//!   in the other. This crate does that.
//! - **async?** The work is hashing and syncing. Call it from a thread that may block. The crate
//!   `partstore-tokio` has such threads, and gives futures and streams.

#![forbid(unsafe_code)]
#![cfg_attr(
    not(test),
    warn(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::indexing_slicing,
        clippy::panic,
        clippy::disallowed_methods,
        clippy::disallowed_types
    )
)]

pub mod backend;
mod buffers;
mod clock;
#[cfg(fuzzing)]
#[doc(hidden)]
pub mod fuzzing;
mod going;
mod ingest;
mod local;
mod process;
pub mod rules;
mod spans;
mod store;
mod sync;
mod values;

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

#[cfg(not(shuttle))]
pub use local::backup::Backups;
pub use store::{ObjectReader, ObjectWriter, PartReader, PartStore, PartWriter};
pub use values::backup::{
    BackupReport, BackupState, BackupVerifyReport, Brought, PruneReport, RestoreReport, Transfer,
};
pub use values::checksum::{Checksum, ChecksumAlgorithm, Checksums};
pub use values::digest::{ContentHash, ContentMd5, ETag, ObjectETag};
pub use values::error::{Error, ErrorKind, Result};
pub use values::export::{ExportOptions, ExportReport};
pub use values::id::{Upload, UploadId};
pub use values::key::{Key, MAX_KEY_LEN, MAX_NAMESPACE_LEN};
pub use values::listing::{
    KeyEntry, KeyPage, ListKeys, ListNamespaces, ListObjects, ListParts, ListUploads,
    NamespacePage, ObjectPage, PartPage, UploadMarker, UploadPage,
};
pub use values::namespace::{Namespace, Quota, Usage};
pub use values::object::{Object, ObjectPart, UploadInfo};
pub use values::observer::{Event, Observer, PutKind, Remote, SyncKind};
pub use values::options::{Background, ETagKind, MinimumAt, Numbering, Options, PageLimit};
pub use values::part::{CompletedPart, Part, PartNumber};
pub use values::report::{
    Compared, DamagedBlob, DamagedFile, Housekeeping, HousekeepingStep, IndexRecovery, LastSweep,
    Loss, MaintenanceReport, Progress, RecoveryReport, SalvageReport, Scope, Stats, SweepReport,
    VerifyReport,
};
pub use values::request::{CompleteOptions, Condition, ObjectOptions, PartOptions, UploadOptions};
