//! [`Object`]: a completed upload. [`UploadInfo`]: what is known of an upload before its completion.

use std::time::SystemTime;

use crate::{ChecksumAlgorithm, Checksums, ObjectETag, Part, Upload};

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
    /// The algorithms whose checksums each part gets beside the store's own ([`UploadOptions::checksum`]).
    ///
    /// [`UploadOptions::checksum`]: crate::UploadOptions::checksum
    pub checksums: Vec<ChecksumAlgorithm>,
    /// Those of them of which the object gets the composite checksum
    /// ([`UploadOptions::composite`](crate::UploadOptions::composite)).
    pub composite: Vec<ChecksumAlgorithm>,
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
    /// Checksums of all its bytes (S3's `FULL_OBJECT`): CRC-32, CRC-64/XZ, and each other CRC that all of
    /// its parts have. They are combined from those of the parts. An object that was put as a whole also has
    /// its MD5, SHA-1 and SHA-256, as far as they were computed.
    /// An object that was completed while the store had format 1 has its CRC-64/XZ only.
    pub checksums: Checksums,
    /// Checksums of its parts' checksums (S3's `COMPOSITE`), for the algorithms that its upload asked for
    /// in this way. One is left out if a part lacks its checksum, which can be so after a
    /// [salvage](crate::Options::salvage). [`composite_base64`](Self::composite_base64) gives the text of a
    /// header.
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

impl Object {
    /// Returns a [composite](Self::composite) checksum as S3's `x-amz-checksum-` headers have it: base64,
    /// then `-` and the number of parts.
    #[must_use]
    pub fn composite_base64(&self, algorithm: ChecksumAlgorithm) -> Option<String> {
        let checksum = self.composite.get(algorithm)?;
        Some(format!("{}-{}", checksum.to_base64(), self.parts))
    }
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
