//! The store under chosen schedules.
//!
//! The modules of partstore are compiled here from their own files, unchanged, but three things
//! beneath them are others: `parking_lot`, whose locks here ask [shuttle](https://docs.rs/shuttle)
//! who runs next, also in `md5_lanes`; `sled`, which here is ordered maps in memory; and `file`, which here is a
//! [disk] in memory that knows what is durable. All tasks run one at a time, and at each lock,
//! wake-up, system call and row another may go on: shuttle chooses, by chance or one schedule after
//! the other, and prints the schedule that makes a test fail, for `shuttle::replay`.
//!
//! A test is a closure that opens a store, starts tasks, joins them and looks at what is there; some
//! then cut the power, open what is left and look again. What the closure does may depend on
//! nothing but the schedule and `shuttle::rand`.
//!
//! `PARTSTORE_SCHEDULES=100` in the environment makes each test try 100 times as many schedules.
//!
//! Each test must be able to fail. Those named `..._is_found` break something beneath the engine and
//! expect the failure; `testing/mutations/run` changes a copy of the engine itself, and expects
//! the tests that the mutation names to fail.
//!
//! Not covered: the order in which processors see each other's writes (`std::sync::atomic` is left
//! as it is), the background thread, time, and an index that is trusted after a clean close.

#[path = "../../../src/ballast.rs"]
mod ballast;
#[path = "../../../src/blob/mod.rs"]
mod blob;
#[path = "../../../src/buffers.rs"]
mod buffers;
#[path = "../../../src/clock.rs"]
mod clock;
#[path = "../../../src/crc64.rs"]
mod crc64;
#[path = "../../../src/digest.rs"]
mod digest;
pub mod disk;
#[path = "../../../src/error.rs"]
mod error;
mod file;
#[path = "../../../src/going.rs"]
mod going;
#[path = "../../../src/health.rs"]
mod health;
#[path = "../../../src/id.rs"]
mod id;
#[path = "../../../src/ingest.rs"]
mod ingest;
#[path = "../../../src/locks.rs"]
mod locks;
#[path = "../../../src/meta/mod.rs"]
mod meta;
#[path = "../../../src/options.rs"]
mod options;
#[path = "../../../src/part.rs"]
mod part;
#[path = "../../../src/pins.rs"]
mod pins;
#[path = "../../../src/process.rs"]
mod process;
#[path = "../../../src/report.rs"]
mod report;
#[path = "../../../src/room.rs"]
mod room;
#[path = "../../../src/salvage.rs"]
mod salvage;
#[path = "../../../src/store/mod.rs"]
mod store;
#[path = "../../../src/suspects.rs"]
mod suspects;
#[path = "../../../src/sweep.rs"]
mod sweep;
mod thread;
#[path = "../../../src/verify.rs"]
mod verify;

#[cfg(test)]
mod tests;

pub use digest::{ContentHash, ContentMd5, ETag, ObjectETag};
pub use error::{Error, Result};
pub use id::{MAX_KEY_LEN, Upload, UploadId};
pub use options::{Background, ListUploads, MinimumAt, Numbering, Options, PageLimit, PartOptions};
pub use part::{CompletedPart, Part, PartNumber};
pub use report::{
    DamagedBlob, DamagedFile, IndexRecovery, LastSweep, Loss, MaintenanceReport, Object,
    ObjectPage, ObjectPart, PartPage, Progress, RecoveryReport, SalvageReport, Scope, Stats,
    SweepReport, UploadInfo, UploadMarker, UploadPage, VerifyReport,
};
pub use store::{ObjectReader, PartReader, PartStore, PartWriter};
