//! [`Object`]: a completed upload. [`UploadInfo`]: what is known of an upload before its completion.

use std::time::SystemTime;

use crate::{Checksums, ObjectETag, Part, Upload};

/// An open upload.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct UploadInfo {
    /// Its key and id.
    pub upload: Upload,
    /// When it was initiated, by the host's clock, to the millisecond.
    pub initiated_at: SystemTime,
    /// What the caller gave at initiation, unchanged.
    pub metadata: Vec<u8>,
}

/// A completed upload.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Object {
    /// The key and id of the upload, which name the object.
    pub upload: Upload,
    /// Its ETag ([R34](crate::rules#r34)).
    pub etag: ObjectETag,
    /// Size of all parts, bytes.
    pub size: u64,
    /// Number of parts, `1..=10_000`.
    pub parts: u16,
    /// Checksums of all its bytes. Those of an object of several parts are combined from its parts.
    pub checksums: Checksums,
    /// Checksums of its parts' checksums (S3's `COMPOSITE`), for the algorithms that its upload asked for
    /// in this way.
    pub composite: Checksums,
    /// When it was initiated.
    pub initiated_at: SystemTime,
    /// When it was completed.
    pub completed_at: SystemTime,
    /// When its metadata was last [replaced](crate::PartStore::replace_metadata), or it was completed.
    pub modified_at: SystemTime,
    /// What the caller gave at initiation, or in place of that since.
    pub metadata: Vec<u8>,
}

/// A part of an object, with its place.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ObjectPart {
    /// The part, as it was put.
    pub part: Part,
    /// Where the part begins, bytes from the start of the object.
    pub offset: u64,
}
