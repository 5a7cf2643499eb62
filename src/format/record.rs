//! Keys and values of the rows.
//!
//! Keys are big-endian, so the order of their bytes is the order in which the protocol lists. A value is a
//! version byte, its fields, and a CRC-32 over tree, key, version and fields. A row that is damaged, or has
//! come under another key, cannot be decoded.

use super::cursor::{Cursor, len_u16};
use super::mutation::Tree;
use crate::values::digest::BlockCrcs;
use crate::{ContentHash, ETag, PartNumber, UploadId};

const VERSION: u8 = 1;

/// CRCs in one row of a blob, so that its value stays under 4 KiB. The blob of a 5 GiB part has 23
/// rows.
const CRCS_PER_ROW: usize = 900;
/// Bytes of metadata in one row.
const METADATA_PER_ROW: usize = 3000;

/// An upload, open or completed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct UploadRecord {
    pub key: String,
    pub initiated_ms: u64,
    /// Length of the metadata, bytes. It has rows of its own.
    pub metadata_len: u32,
    pub state: UploadState,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum UploadState {
    Open,
    Completed(Completion),
}

/// What the upload became when it was completed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Completion {
    pub completed_ms: u64,
    pub size: u64,
    pub parts: u16,
    /// MD5 of the parts' MD5 digests.
    pub md5: [u8; 16],
    pub crc64: u64,
    /// BLAKE3 of the list that completed it. It identifies the same call when it comes again (R25).
    pub list: [u8; 32],
}

/// A part.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PartRecord {
    pub size: u64,
    pub etag: ETag,
    pub content: ContentHash,
    pub crc32: u32,
    pub crc64: u64,
    pub stored_ms: u64,
}

/// Puts version and checksum around the fields of a value.
pub(crate) fn seal(tree: Tree, key: &[u8], fields: &[u8]) -> Vec<u8> {
    let mut value = Vec::with_capacity(fields.len() + 5);
    value.push(VERSION);
    value.extend_from_slice(fields);
    let sum = checksum(tree, key, &value);
    value.extend_from_slice(&sum.to_be_bytes());
    value
}

/// Returns the fields of a value, if it is whole and belongs to this key.
pub(crate) fn unseal<'a>(tree: Tree, key: &[u8], value: &'a [u8]) -> Option<&'a [u8]> {
    let (body, sum) = value.split_last_chunk::<4>()?;
    let (version, fields) = body.split_first()?;
    (*version == VERSION && u32::from_be_bytes(*sum) == checksum(tree, key, body)).then_some(fields)
}

fn checksum(tree: Tree, key: &[u8], body: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&[tree as u8]);
    hasher.update(key);
    hasher.update(body);
    hasher.finalize()
}

impl UploadRecord {
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut fields = Vec::with_capacity(128 + self.key.len());
        fields.extend_from_slice(&self.initiated_ms.to_be_bytes());
        fields.extend_from_slice(&self.metadata_len.to_be_bytes());
        fields.extend_from_slice(&len_u16(self.key.len()));
        fields.extend_from_slice(self.key.as_bytes());
        if let UploadState::Completed(done) = &self.state {
            fields.extend_from_slice(&done.completed_ms.to_be_bytes());
            fields.extend_from_slice(&done.size.to_be_bytes());
            fields.extend_from_slice(&done.parts.to_be_bytes());
            fields.extend_from_slice(&done.md5);
            fields.extend_from_slice(&done.crc64.to_be_bytes());
            fields.extend_from_slice(&done.list);
        }
        fields
    }

    pub(crate) fn decode(fields: &[u8]) -> Option<Self> {
        let mut cursor = Cursor::new(fields);
        let (initiated_ms, metadata_len) = (cursor.u64()?, cursor.u32()?);
        let key_len = usize::from(cursor.u16()?);
        let key = std::str::from_utf8(cursor.bytes(key_len)?).ok()?.to_owned();
        if cursor.is_empty() {
            return Some(Self {
                key,
                initiated_ms,
                metadata_len,
                state: UploadState::Open,
            });
        }
        let done = Completion {
            completed_ms: cursor.u64()?,
            size: cursor.u64()?,
            parts: cursor.u16()?,
            md5: cursor.array()?,
            crc64: cursor.u64()?,
            list: cursor.array()?,
        };
        cursor.is_empty().then_some(Self {
            key,
            initiated_ms,
            metadata_len,
            state: UploadState::Completed(done),
        })
    }
}

impl PartRecord {
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut fields = Vec::with_capacity(80);
        fields.extend_from_slice(&self.size.to_be_bytes());
        fields.extend_from_slice(self.etag.as_bytes());
        fields.extend_from_slice(self.content.as_bytes());
        fields.extend_from_slice(&self.crc32.to_be_bytes());
        fields.extend_from_slice(&self.crc64.to_be_bytes());
        fields.extend_from_slice(&self.stored_ms.to_be_bytes());
        fields
    }

    pub(crate) fn decode(fields: &[u8]) -> Option<Self> {
        let mut cursor = Cursor::new(fields);
        let record = Self {
            size: cursor.u64()?,
            etag: ETag::from_md5(cursor.array()?),
            content: ContentHash::from_bytes(cursor.array()?),
            crc32: cursor.u32()?,
            crc64: cursor.u64()?,
            stored_ms: cursor.u64()?,
        };
        cursor.is_empty().then_some(record)
    }
}

/// The rows of a blob. The first begins with the size, and each holds up to [`CRCS_PER_ROW`] block CRCs.
pub(crate) fn blob_rows(sums: &BlockCrcs) -> Vec<Vec<u8>> {
    let mut first = sums.size.to_be_bytes().to_vec();
    let mut rows = Vec::new();
    let mut chunks = sums.crcs.chunks(CRCS_PER_ROW);
    extend_crcs(&mut first, chunks.next().unwrap_or_default());
    rows.push(first);
    for chunk in chunks {
        let mut row = Vec::with_capacity(chunk.len() * 4);
        extend_crcs(&mut row, chunk);
        rows.push(row);
    }
    rows
}

fn extend_crcs(row: &mut Vec<u8>, crcs: &[u32]) {
    for crc in crcs {
        row.extend_from_slice(&crc.to_be_bytes());
    }
}

/// How many rows a blob of this size has.
pub(crate) fn blob_row_count(size: u64) -> u16 {
    let rows = BlockCrcs::blocks(size).div_ceil(CRCS_PER_ROW as u64).max(1);
    u16::try_from(rows).unwrap_or(u16::MAX)
}

/// The size that the first row of a blob begins with.
pub(crate) fn blob_size(first_row: &[u8]) -> Option<u64> {
    Cursor::new(first_row).u64()
}

/// Adds a row's CRCs to what the rows before it held.
pub(crate) fn read_crcs(row: &[u8], crcs: &mut Vec<u32>) -> Option<()> {
    let mut cursor = Cursor::new(row);
    while !cursor.is_empty() {
        crcs.push(cursor.u32()?);
    }
    Some(())
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

pub(crate) fn name_key(key: &str, id: UploadId) -> Vec<u8> {
    [key.as_bytes(), &[0], &id.to_bytes()].concat()
}

pub(crate) fn parse_name_key(bytes: &[u8]) -> Option<(&str, UploadId)> {
    let (name, id) = bytes.split_last_chunk::<{ UploadId::BYTES }>()?;
    let (separator, key) = name.split_last()?;
    let key = std::str::from_utf8(key).ok()?;
    (*separator == 0).then_some((key, UploadId::from_bytes(id)?))
}

pub(crate) fn parse_content_key(key: &[u8]) -> Option<ContentHash> {
    key.try_into().ok().map(ContentHash::from_bytes)
}
