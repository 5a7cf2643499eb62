//! An embedded, crash-safe store for the parts of multipart uploads: a storage server links it in
//! and calls it.

mod blob;
mod clock;
mod crc64;
mod digest;
mod error;
mod file;
mod id;
mod ingest;
mod locks;
mod meta;
mod options;
mod part;
mod pins;
mod report;
mod room;
mod store;
mod sweep;
mod verify;

pub use digest::{ContentHash, ContentMd5, ETag, ObjectETag};
pub use error::{Error, Result};
pub use id::{MAX_KEY_LEN, Upload, UploadId};
pub use options::{Background, ListUploads, MinimumAt, Numbering, Options, PageLimit, PartOptions};
pub use part::{CompletedPart, Part, PartNumber};
pub use report::{
    DamagedBlob, IndexRecovery, MaintenanceReport, Object, ObjectPart, PartPage, RecoveryReport,
    Scope, Stats, SweepReport, UploadInfo, UploadMarker, UploadPage, VerifyReport,
};
pub use store::{ObjectReader, PartReader, PartStore, PartWriter};
