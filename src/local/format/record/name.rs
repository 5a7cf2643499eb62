//! Names in the order of keys: those of open uploads, and those of current objects.
//!
//! A row of the default namespace begins with the key. A row of another one begins with NUL and its number.
//! No key begins with NUL, so the rows of a namespace stand together.

use super::super::cursor::Cursor;
use super::Fields;
use super::part::take_algorithms;
use super::upload::{Completion, put_object_etag, take_object_etag};
use crate::values::checksum::Algorithms;
use crate::values::namespace::NamespaceId;
use crate::{ObjectETag, UploadId};

/// The current object of a key, and what a listing of keys says of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct KeyRecord {
    pub id: UploadId,
    pub modified_ms: u64,
    pub size: u64,
    pub etag: ObjectETag,
    /// Those of the checksums of all bytes.
    pub checksums: Algorithms,
    /// Those of the checksums of the parts' checksums.
    pub composite: Algorithms,
}

impl KeyRecord {
    /// What a listing says of an object.
    pub(crate) fn of(id: UploadId, done: &Completion) -> Self {
        Self {
            id,
            modified_ms: done.modified_ms,
            size: done.size,
            etag: done.etag,
            checksums: done.checksums.algorithms(),
            composite: done.composite.algorithms(),
        }
    }

    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut fields = self.id.to_bytes().to_vec();
        fields.extend_from_slice(&self.modified_ms.to_be_bytes());
        fields.extend_from_slice(&self.size.to_be_bytes());
        put_object_etag(&mut fields, self.etag);
        fields.extend_from_slice(&self.checksums.mask().to_be_bytes());
        fields.extend_from_slice(&self.composite.mask().to_be_bytes());
        fields
    }

    pub(crate) fn decode(fields: Fields<'_>) -> Option<Self> {
        let mut cursor = Cursor::new(fields.bytes);
        let record = Self {
            id: UploadId::from_bytes(cursor.bytes(UploadId::BYTES)?)?,
            modified_ms: cursor.u64()?,
            size: cursor.u64()?,
            etag: take_object_etag(&mut cursor)?,
            checksums: take_algorithms(&mut cursor)?,
            composite: take_algorithms(&mut cursor)?,
        };
        cursor.is_empty().then_some(record)
    }
}

/// What all names of a namespace begin with. Empty for the default one.
pub(crate) fn prefix_of(namespace: NamespaceId) -> Vec<u8> {
    match namespace {
        NamespaceId::DEFAULT => Vec::new(),
        NamespaceId(number) => [&[0], number.to_be_bytes().as_slice()].concat(),
    }
}

/// Splits a name into its namespace and the rest, which begins with the key.
fn split(bytes: &[u8]) -> Option<(NamespaceId, &[u8])> {
    let mut cursor = Cursor::new(bytes);
    if bytes.first() != Some(&0) {
        return Some((NamespaceId::DEFAULT, bytes));
    }
    cursor.u8()?;
    let namespace = NamespaceId(cursor.u32()?);
    (namespace != NamespaceId::DEFAULT).then_some((namespace, cursor.rest()))
}

/// The row of an open upload's name.
pub(crate) fn name_key(namespace: NamespaceId, key: &str, id: UploadId) -> Vec<u8> {
    [object_key(namespace, key).as_slice(), &[0], &id.to_bytes()].concat()
}

/// The place where a listing of `key`'s uploads after `id` begins, or of all keys after `key`.
pub(crate) fn after_name(namespace: NamespaceId, key: &str, id: Option<UploadId>) -> Vec<u8> {
    // Without an id: above every id of this key and below every longer key, because the separator is NUL.
    let id = id.map_or([0xff; UploadId::BYTES], UploadId::to_bytes);
    [object_key(namespace, key).as_slice(), &[0], &id].concat()
}

pub(crate) fn parse_name_key(bytes: &[u8]) -> Option<(NamespaceId, &str, UploadId)> {
    let (namespace, rest) = split(bytes)?;
    let (name, id) = rest.split_last_chunk::<{ UploadId::BYTES }>()?;
    let (separator, key) = name.split_last()?;
    let key = std::str::from_utf8(key).ok()?;
    (*separator == 0).then_some((namespace, key, UploadId::from_bytes(id)?))
}

/// The row of a key's current object.
pub(crate) fn object_key(namespace: NamespaceId, key: &str) -> Vec<u8> {
    [prefix_of(namespace).as_slice(), key.as_bytes()].concat()
}

pub(crate) fn parse_object_key(bytes: &[u8]) -> Option<(NamespaceId, &str)> {
    let (namespace, key) = split(bytes)?;
    let key = std::str::from_utf8(key).ok()?;
    (!key.is_empty() && !key.contains('\0')).then_some((namespace, key))
}
