//! What the verbs of a catalog are given, and give back: plain values, from which the public ones are made.

use std::time::SystemTime;

use crate::values::blocks::BlockCrcs;
use crate::values::checksum::Algorithms;
use crate::{
    Checksums, Condition, ContentHash, DamagedBlob, ETag, KeyEntry, Namespace, Object, ObjectETag,
    Part, PartNumber, Quota, Upload, UploadId, UploadInfo, UploadMarker, Usage,
};

/// What a catalog keeps of an upload, beside its name and the time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NewUpload<'a> {
    /// What the caller gave, at most [`Options::max_metadata_len`](crate::Options::max_metadata_len) bytes.
    pub metadata: &'a [u8],
    /// The checksums that each part gets, beside those that every part has.
    pub wanted: Algorithms,
    /// Of these, the object gets the checksum of the parts' checksums.
    pub composite: Algorithms,
}

impl NewUpload<'_> {
    /// Makes what [`Catalog::upload`](super::Catalog::upload) answers.
    #[must_use]
    pub fn info(&self, upload: &Upload, initiated_at: SystemTime) -> UploadInfo {
        UploadInfo {
            upload: upload.clone(),
            initiated_at,
            metadata: self.metadata.to_vec(),
            checksums: self.wanted.iter().collect(),
            composite: self.composite.iter().collect(),
        }
    }
}

/// What a catalog keeps of a part, beside its number and the time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PartRow {
    /// Its size, bytes.
    pub size: u64,
    /// Its ETag.
    pub etag: ETag,
    /// The hash of its bytes, which names its blob.
    pub content: ContentHash,
    /// All checksums that are known. If the ETag is an MD5, that is among them, so an engine need not keep
    /// it twice.
    pub checksums: Checksums,
}

impl PartRow {
    /// Makes what a listing says of it.
    #[must_use]
    pub fn part(&self, number: PartNumber, stored_at: SystemTime) -> Part {
        Part {
            number,
            size: self.size,
            etag: self.etag,
            content: self.content,
            checksums: self.checksums,
            stored_at,
        }
    }
}

impl From<&Part> for PartRow {
    fn from(part: &Part) -> Self {
        Self {
            size: part.size,
            etag: part.etag,
            content: part.content,
            checksums: part.checksums,
        }
    }
}

/// What a catalog keeps of an object, beside its name, the times and its metadata.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ObjectRow {
    /// Size of all parts, bytes.
    pub size: u64,
    /// Number of parts, `1..=10_000`.
    pub parts: u16,
    /// Its ETag.
    pub etag: ObjectETag,
    /// Checksums of all its bytes.
    pub checksums: Checksums,
    /// Checksums of its parts' checksums.
    pub composite: Checksums,
}

impl ObjectRow {
    /// Makes what [`Catalog::object`](super::Catalog::object) answers.
    #[must_use]
    pub fn object(&self, upload: &Upload, times: Times, metadata: Vec<u8>) -> Object {
        Object {
            upload: upload.clone(),
            etag: self.etag,
            size: self.size,
            parts: self.parts,
            checksums: self.checksums,
            composite: self.composite,
            initiated_at: times.initiated_at,
            completed_at: times.completed_at,
            modified_at: times.modified_at,
            metadata,
        }
    }
}

impl From<&Object> for ObjectRow {
    fn from(object: &Object) -> Self {
        Self {
            size: object.size,
            parts: object.parts,
            etag: object.etag,
            checksums: object.checksums,
            composite: object.composite,
        }
    }
}

/// The times of an object. An object that is put or copied as a whole has one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Times {
    /// When its upload was initiated.
    pub initiated_at: SystemTime,
    /// When it was completed.
    pub completed_at: SystemTime,
    /// When it was completed, or its metadata replaced.
    pub modified_at: SystemTime,
}

impl Times {
    /// Makes the times of an object that is made at once.
    #[must_use]
    pub fn all(at: SystemTime) -> Self {
        Self {
            initiated_at: at,
            completed_at: at,
            modified_at: at,
        }
    }
}

/// Where the bytes of a blob lie, as its blob store calls it: at most 255 bytes. The embedded engine finds
/// them by their hash, so its locations are empty.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Location(pub Vec<u8>);

/// A blob that is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredBlob {
    /// Where its bytes lie.
    pub location: Location,
    /// Its size, and the CRC of each block.
    pub crcs: BlockCrcs,
}

/// A blob that was published for the part that comes with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewBlob {
    /// What it holds, and where.
    pub stored: StoredBlob,
    /// Whether the catalog knows a blob with this hash, whose bytes were missing or damaged. Then it has
    /// these from now on.
    pub repairs: bool,
}

/// An object that is made by one verb, with all its parts.
#[derive(Clone, Copy, Debug)]
pub struct NewObject<'a> {
    /// Its parts, ascending by number. At least one.
    pub parts: &'a [(PartNumber, PartRow)],
    /// The blob of its one part, if it was published for it. Otherwise all blobs are stored, and held.
    pub blob: Option<&'a NewBlob>,
    /// What the caller gave.
    pub metadata: &'a [u8],
    /// What the object is.
    pub row: &'a ObjectRow,
}

/// How an object is renamed.
#[derive(Clone, Copy, Debug)]
pub struct Renaming<'a> {
    /// What the current object of the new key must be.
    pub condition: Condition,
    /// Metadata in place of those that it has.
    pub metadata: Option<&'a [u8]>,
    /// Whether an object of one part gets that part's ETag, as if it had been put as a whole (`ObjectETag::from`).
    pub whole_etag: bool,
}

/// Which names a listing has.
#[derive(Clone, Copy, Debug)]
pub struct Names<'a> {
    /// Those of this namespace.
    pub namespace: &'a str,
    /// Those that begin with this.
    pub prefix: &'a str,
    /// What is rolled up: a name that has this text behind the prefix counts as its beginning, up to and
    /// including the text. It is not empty.
    pub delimiter: Option<&'a str>,
    /// Those after this one. If it is a common prefix of this listing, those that it stands for are left
    /// out.
    pub after: Option<&'a str>,
    /// In a listing of uploads: also those of the key `after` that have a greater id. Then `after` is a key,
    /// and stands for no others.
    pub after_id: Option<UploadId>,
    /// So many entries and common prefixes together, `1..=1000`.
    pub limit: usize,
}

impl KeyEntry {
    /// Makes what a listing says of a key's current object.
    #[must_use]
    pub fn of(object: &Object) -> Self {
        Self {
            key: object.upload.key().to_owned(),
            id: object.upload.id(),
            size: object.size,
            etag: object.etag,
            modified_at: object.modified_at,
            checksums: object.checksums.algorithms().iter().collect(),
            composite: object.composite.algorithms().iter().collect(),
        }
    }
}

impl UploadMarker {
    /// Makes the marker of a page that ended with this upload, or with a common prefix.
    #[must_use]
    pub fn new(key: &str, id: Option<UploadId>) -> Self {
        Self {
            key: key.to_owned(),
            id,
        }
    }
}

impl DamagedBlob {
    /// Makes an entry of a [`VerifyReport`](crate::VerifyReport).
    #[must_use]
    pub fn new(hash: ContentHash, reason: String, parts: Vec<(Upload, PartNumber)>) -> Self {
        Self {
            hash,
            reason,
            parts,
        }
    }
}

impl Namespace {
    /// Makes what [`Catalog::namespace`](super::Catalog::namespace) answers.
    #[must_use]
    pub fn new(name: &str, created_at: Option<SystemTime>, quota: Quota, usage: Usage) -> Self {
        Self {
            name: name.to_owned(),
            created_at,
            quota,
            usage,
        }
    }
}
