//! [`UploadRecord`]: the row of an upload, open or completed.

use super::super::cursor::{Cursor, len_u16};
use super::marks::Marks;
use super::part::{put_checksums, put_etag, take_algorithms, take_checksums, take_etag};
use super::{Fields, Version};
use crate::backend::ObjectRow;
use crate::values::checksum::Algorithms;
use crate::values::namespace::NamespaceId;
use crate::{Checksum, Checksums, ETag, ObjectETag, PartNumber};

/// An upload, open or completed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct UploadRecord {
    pub namespace: NamespaceId,
    pub key: String,
    pub initiated_ms: u64,
    /// Length of the metadata, bytes. It has rows of its own.
    pub metadata_len: u32,
    /// The checksums that each part gets, beside those that every part has.
    pub wanted: Algorithms,
    /// Of these, the object gets the checksum of the parts' checksums.
    pub composite: Algorithms,
    pub state: UploadState,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum UploadState {
    Open,
    Completed(Box<Completion>),
}

/// What the upload became when it was completed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Completion {
    pub completed_ms: u64,
    /// When its metadata were last replaced, or when it was completed.
    pub modified_ms: u64,
    pub size: u64,
    pub parts: u16,
    pub etag: ObjectETag,
    /// Of all bytes.
    pub checksums: Checksums,
    /// Of the parts' checksums.
    pub composite: Checksums,
    /// Whether it was made the current object of its key. The key's row says so, too. Whoever takes the key
    /// removes this object, so it stays true for as long as the object exists.
    pub current: bool,
    /// BLAKE3 of the list that completed it. It identifies the same call when it comes again (R25). Zeros
    /// if no list did.
    pub list: [u8; 32],
    /// Where some of its parts begin. None if the row is older than format 3.
    pub marks: Marks,
}

const OPEN: u8 = 0;
const COMPLETED: u8 = 1;
/// Completed, with marks.
const MARKED: u8 = 2;

impl UploadRecord {
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut fields = Vec::with_capacity(160 + self.key.len());
        fields.extend_from_slice(&self.initiated_ms.to_be_bytes());
        fields.extend_from_slice(&self.metadata_len.to_be_bytes());
        fields.extend_from_slice(&len_u16(self.key.len()));
        fields.extend_from_slice(self.key.as_bytes());
        fields.extend_from_slice(&self.namespace.0.to_be_bytes());
        fields.extend_from_slice(&self.wanted.mask().to_be_bytes());
        fields.extend_from_slice(&self.composite.mask().to_be_bytes());
        match &self.state {
            UploadState::Open => fields.push(OPEN),
            UploadState::Completed(done) if done.marks.is_empty() => {
                fields.push(COMPLETED);
                done.encode(&mut fields);
            }
            UploadState::Completed(done) => {
                fields.push(MARKED);
                done.encode(&mut fields);
                done.marks.encode(&mut fields);
            }
        }
        fields
    }

    pub(crate) fn decode(fields: Fields<'_>) -> Option<Self> {
        let mut cursor = Cursor::new(fields.bytes);
        let (initiated_ms, metadata_len) = (cursor.u64()?, cursor.u32()?);
        let key_len = usize::from(cursor.u16()?);
        let key = std::str::from_utf8(cursor.bytes(key_len)?).ok()?.to_owned();
        let mut record = Self {
            namespace: NamespaceId::DEFAULT,
            key,
            initiated_ms,
            metadata_len,
            wanted: Algorithms::default(),
            composite: Algorithms::default(),
            state: UploadState::Open,
        };
        match fields.version {
            Version::One if cursor.is_empty() => {}
            Version::One => {
                record.state = UploadState::Completed(Box::new(Completion::first(&mut cursor)?));
            }
            Version::Two => {
                record.namespace = NamespaceId(cursor.u32()?);
                record.wanted = take_algorithms(&mut cursor)?;
                record.composite = take_algorithms(&mut cursor)?;
                record.state = match cursor.u8()? {
                    OPEN => UploadState::Open,
                    COMPLETED => UploadState::Completed(Box::new(Completion::decode(&mut cursor)?)),
                    MARKED => {
                        let mut done = Completion::decode(&mut cursor)?;
                        done.marks = Marks::decode(&mut cursor)?;
                        UploadState::Completed(Box::new(done))
                    }
                    _ => return None,
                };
            }
        }
        cursor.is_empty().then_some(record)
    }
}

impl Completion {
    /// A completion that happens now.
    pub(crate) fn new(object: &ObjectRow, now_ms: u64, current: bool, list: [u8; 32]) -> Self {
        Self {
            completed_ms: now_ms,
            modified_ms: now_ms,
            size: object.size,
            parts: object.parts,
            etag: object.etag,
            checksums: object.checksums,
            composite: object.composite,
            current,
            list,
            marks: Marks::default(),
        }
    }

    /// The same, of an object with these parts.
    pub(crate) fn marked(self, parts: impl IntoIterator<Item = (PartNumber, u64)>) -> Self {
        let marks = Marks::of(parts);
        Self { marks, ..self }
    }

    pub(crate) fn row(&self) -> ObjectRow {
        ObjectRow {
            size: self.size,
            parts: self.parts,
            etag: self.etag,
            checksums: self.checksums,
            composite: self.composite,
        }
    }

    fn encode(&self, fields: &mut Vec<u8>) {
        fields.extend_from_slice(&self.completed_ms.to_be_bytes());
        fields.extend_from_slice(&self.modified_ms.to_be_bytes());
        fields.extend_from_slice(&self.size.to_be_bytes());
        fields.extend_from_slice(&self.parts.to_be_bytes());
        put_object_etag(fields, self.etag);
        put_checksums(fields, &self.checksums);
        put_checksums(fields, &self.composite);
        fields.push(self.current.into());
        fields.extend_from_slice(&self.list);
    }

    fn decode(cursor: &mut Cursor<'_>) -> Option<Self> {
        Some(Self {
            completed_ms: cursor.u64()?,
            modified_ms: cursor.u64()?,
            size: cursor.u64()?,
            parts: cursor.u16()?,
            etag: take_object_etag(cursor)?,
            checksums: take_checksums(cursor)?,
            composite: take_checksums(cursor)?,
            current: match cursor.u8()? {
                0 => false,
                1 => true,
                _ => return None,
            },
            list: cursor.array()?,
            marks: Marks::default(),
        })
    }

    /// The form of version 1.
    fn first(cursor: &mut Cursor<'_>) -> Option<Self> {
        let (completed_ms, size, parts) = (cursor.u64()?, cursor.u64()?, cursor.u16()?);
        Some(Self {
            completed_ms,
            modified_ms: completed_ms,
            size,
            parts,
            etag: ObjectETag::of_parts(ETag::from_md5(cursor.array()?), parts),
            checksums: Checksums::new().with(Checksum::Crc64Xz(cursor.u64()?)),
            composite: Checksums::new(),
            current: false,
            list: cursor.array()?,
            marks: Marks::default(),
        })
    }
}

/// Writes the ETag of an object: that of a part, then the number behind it.
pub(super) fn put_object_etag(fields: &mut Vec<u8>, etag: ObjectETag) {
    put_etag(fields, etag.tag);
    fields.extend_from_slice(&etag.parts.to_be_bytes());
}

pub(super) fn take_object_etag(cursor: &mut Cursor<'_>) -> Option<ObjectETag> {
    Some(ObjectETag {
        tag: take_etag(cursor)?,
        parts: cursor.u16()?,
    })
}
