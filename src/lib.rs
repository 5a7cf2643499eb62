//! An embedded, crash-safe store for the parts of multipart uploads: a storage server links it in
//! and calls it.
//!
//! ```text
//! data/
//!   LOCK  FORMAT            one process at a time; what this directory is
//!   blobs/3f/3f9a...e1      raw bytes, nothing else: `b3sum` of the file is its name
//!   staging/                bodies being received; emptied when the store is opened
//!   meta/
//!     journal/              append-only log of every change: the truth
//!     snapshot/             the live records up to some change, so that older log can go
//!     index/                sled: answers queries, rebuilt from the truth after any crash
//!     CLEAN                 there after a clean close only
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
//! An **upload** is one multipart upload, from [initiate](PartStore::initiate_upload) to
//! [complete](PartStore::complete_upload) or [abort](PartStore::abort_upload), named by its key and
//! [id](UploadId) together. A **part** is bytes under a [number](PartNumber) in an upload. A
//! **blob** is bytes under their [BLAKE3 hash](ContentHash), stored once however many parts hold
//! them. An **object** is a completed upload: it keeps the upload's id and its parts. It can be completed
//! [in place of another](PartStore::complete_upload_replacing), which goes in the same commit.
//!
//! `R1` to `R34` in these pages are rules of the protocol (COS, S3), `I1` to `I9` the store's own invariants:
//! [`rules`] lists both.
//!
//! # Guarantees
//!
//! 1. `Ok` means durable: content, name and metadata survive `kill -9` and loss of power at any
//!    later instant ([I1](crate::rules#i1), [I2](crate::rules#i2)). After a failed sync nothing is acknowledged until the store is opened
//!    again ([I8](crate::rules#i8)).
//! 2. A part is seen whole or not at all. A refused or failed put leaves the previous part as it
//!    was ([I3](crate::rules#i3)); the last commit wins ([R11](crate::rules#r11)).
//! 3. Readers get the bytes that were acknowledged, or an error that names the damaged blob ([I5](crate::rules#i5)).
//!    Putting the same bytes again repairs it.
//! 4. What is referenced or being read is never removed ([I4](crate::rules#i4)); what is not is gone after a
//!    [sweep](PartStore::sweep): no leak from retries, aborts, refused bodies or crashes ([I7](crate::rules#i7)). The sweep
//!    asks the journal, never the index alone.
//! 5. An upload is completed at most once, to exactly the listed parts, and no part is added to it
//!    afterwards ([I6](crate::rules#i6)). The same completion again answers the same ([R25](crate::rules#r25)).
//! 6. The query index can be deleted at any time while the store is closed ([I9](crate::rules#i9)).
//!
//! # Costs
//!
//! - A part: one pass for the digests, one sync of its file, one of its directory, one of the
//!   journal, which all concurrent calls share. Bytes that are stored already, and
//!   [copies](PartStore::copy_part) of parts: the journal's only.
//! - A completion: about a microsecond a part, whatever its size. Aborting or removing: 12 to 28 of a processor.
//! - Memory: [32 MiB of index cache](Options::index_cache), two to four times as much in all; 2 MiB
//!   for each of 64 bodies that come in at once, up to 256 KiB for each further or short one, 192 MiB for all of
//!   them (36 MiB stay for the next) and 8 KiB for each beyond; 256 KiB for each reader.
//! - Disk: the bytes, and some 300 bytes of journal and 1.5 KB of index a part.
//!
//! # Quirks
//!
//! - Readers see a change when it is made, moments before it is durable. Only the caller who made
//!   it is told that it is durable.
//! - [`PartOptions::content_length`] is optional; that a server must insist on it ([R2](crate::rules#r2)) is the
//!   server's business.
//! - sled starts worker threads of its own and ends them when they have nothing to do.
//! - Linux only in practice: `fallocate`, directory syncs and file locks as they are there.
//!
//! # Why not ...
//!
//! - **a database for everything?** Part bodies of gigabytes belong in files, where they can be
//!   read, checked (`b3sum`) and served without copying.
//! - **plain files?** A name, its content and its record have to become durable in one order, and
//!   be released in the other. That is what this crate does.
//! - **async?** The work is hashing and syncing. Call it from a blocking thread.

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

mod ballast;
mod blob;
mod buffers;
mod clock;
#[cfg_attr(shuttle, path = "file/memory.rs")]
mod file;
mod format;
#[cfg(fuzzing)]
#[doc(hidden)]
pub mod fuzzing;
mod going;
mod health;
mod ingest;
mod locks;
mod meta;
mod pins;
mod process;
mod room;
pub mod rules;
mod salvage;
mod store;
mod suspects;
mod sweep;
mod sync;
mod values;
mod verify;

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

pub use store::{ObjectReader, PartReader, PartStore, PartWriter};
pub use values::digest::{ContentHash, ContentMd5, ETag, ObjectETag};
pub use values::error::{Error, ErrorKind, Result};
pub use values::id::{MAX_KEY_LEN, Upload, UploadId};
pub use values::listing::{
    ListObjects, ListParts, ListUploads, ObjectPage, PartPage, UploadMarker, UploadPage,
};
pub use values::object::{Object, ObjectPart, UploadInfo};
pub use values::options::{Background, MinimumAt, Numbering, Options, PageLimit, PartOptions};
pub use values::part::{CompletedPart, Part, PartNumber};
pub use values::report::{
    DamagedBlob, DamagedFile, IndexRecovery, LastSweep, Loss, MaintenanceReport, Progress,
    RecoveryReport, SalvageReport, Scope, Stats, SweepReport, VerifyReport,
};
