//! Keys and values of the rows.
//!
//! Keys are big-endian, so the order of their bytes is the order in which the protocol lists. A value is a
//! version byte, its fields, and a CRC-32 over tree, key, version and fields. A row that is damaged, or has
//! come under another key, cannot be decoded.
//!
//! Rows of both [versions](Version) may stand in one store. New rows have the newest one.

mod blob;
mod marks;
mod name;
mod namespace;
mod part;
mod tombstone;
mod upload;

pub(crate) use blob::{BlobHead, blob_row_count, blob_rows, read_crcs};
pub(crate) use marks::Marks;
pub(crate) use name::{
    KeyRecord, after_name, name_key, object_key, parse_name_key, parse_object_key, prefix_of,
};
pub(crate) use namespace::{
    NamespaceRecord, namespace_key, parse_namespace_key, parse_usage_key, read_usage, usage_fields,
    usage_key,
};
pub(crate) use part::PartRecord;
pub(crate) use tombstone::Tombstone;
pub(crate) use upload::{Completion, UploadRecord, UploadState};

use super::mutation::Tree;
use crate::{ContentHash, PartNumber, UploadId};

/// Bytes of metadata in one row.
const METADATA_PER_ROW: usize = 3000;

/// The form of a value's fields.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Version {
    /// Until format 1.
    One = 1,
    /// Since format 2.
    Two = 2,
}

impl Version {
    pub(crate) const NEWEST: Self = Self::Two;

    pub(crate) fn from_number(number: u8) -> Option<Self> {
        [Self::One, Self::Two]
            .into_iter()
            .find(|version| *version as u8 == number)
    }
}

/// The fields of a value, and their form.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Fields<'a> {
    pub version: Version,
    pub bytes: &'a [u8],
}

/// Puts version and checksum around the fields of a value.
pub(crate) fn seal(tree: Tree, key: &[u8], fields: &[u8]) -> Vec<u8> {
    let mut value = Vec::with_capacity(fields.len() + 5);
    value.push(Version::NEWEST as u8);
    value.extend_from_slice(fields);
    let sum = checksum(tree, key, &value);
    value.extend_from_slice(&sum.to_be_bytes());
    value
}

/// Returns the fields of a value, if it is whole and belongs to this key.
pub(crate) fn unseal<'a>(tree: Tree, key: &[u8], value: &'a [u8]) -> Option<Fields<'a>> {
    let (body, sum) = value.split_last_chunk::<4>()?;
    let (version, bytes) = body.split_first()?;
    let version = Version::from_number(*version)?;
    let whole = u32::from_be_bytes(*sum) == checksum(tree, key, body);
    whole.then_some(Fields { version, bytes })
}

fn checksum(tree: Tree, key: &[u8], body: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&[tree as u8]);
    hasher.update(key);
    hasher.update(body);
    hasher.finalize()
}

/// Splits metadata into pieces that fit in a row each.
pub(crate) fn metadata_rows(metadata: &[u8]) -> impl Iterator<Item = &[u8]> {
    metadata.chunks(METADATA_PER_ROW)
}

/// How many rows metadata of this length has.
pub(crate) fn metadata_row_count(len: u32) -> u16 {
    let rows = (len as usize).div_ceil(METADATA_PER_ROW);
    u16::try_from(rows).unwrap_or(u16::MAX)
}

pub(crate) fn numbered_key(prefix: &[u8], number: u16) -> Vec<u8> {
    [prefix, &number.to_be_bytes()].concat()
}

pub(crate) fn parse_metadata_key(key: &[u8]) -> Option<(UploadId, u16)> {
    let (id, number) = key.split_last_chunk::<2>()?;
    Some((UploadId::from_bytes(id)?, u16::from_be_bytes(*number)))
}

pub(crate) fn part_key(id: UploadId, number: PartNumber) -> Vec<u8> {
    numbered_key(&id.to_bytes(), number.get())
}

pub(crate) fn parse_part_key(key: &[u8]) -> Option<(UploadId, PartNumber)> {
    let (id, number) = key.split_last_chunk::<2>()?;
    let number = PartNumber::new(u32::from(u16::from_be_bytes(*number))).ok()?;
    Some((UploadId::from_bytes(id)?, number))
}

pub(crate) fn ref_key(content: &ContentHash, id: UploadId, number: PartNumber) -> Vec<u8> {
    [content.as_bytes().as_slice(), &part_key(id, number)].concat()
}

pub(crate) fn parse_ref_key(key: &[u8]) -> Option<(ContentHash, UploadId, PartNumber)> {
    let (content, part) = key.split_first_chunk::<32>()?;
    let (id, number) = parse_part_key(part)?;
    Some((ContentHash::from_bytes(*content), id, number))
}

pub(crate) fn parse_content_key(key: &[u8]) -> Option<ContentHash> {
    key.try_into().ok().map(ContentHash::from_bytes)
}
