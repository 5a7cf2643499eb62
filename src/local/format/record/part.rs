//! [`PartRecord`]: the row of a part. It also has how checksums and ETags are written.

use super::super::cursor::Cursor;
use super::{Fields, Version};
use crate::backend::PartRow;
use crate::values::checksum::Algorithms;
use crate::{Checksum, ChecksumAlgorithm, Checksums, ContentHash, ETag};

/// A part.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PartRecord {
    pub size: u64,
    pub etag: ETag,
    pub content: ContentHash,
    pub stored_ms: u64,
    /// Without the MD5, if that is the ETag.
    pub checksums: Checksums,
}

impl PartRecord {
    /// The record of a part that is stored now.
    pub(crate) fn of(part: &PartRow, stored_ms: u64) -> Self {
        Self {
            size: part.size,
            etag: part.etag,
            content: part.content,
            stored_ms,
            checksums: match part.etag.md5() {
                Some(_) => part.checksums.without(ChecksumAlgorithm::Md5),
                None => part.checksums,
            },
        }
    }

    pub(crate) fn row(&self) -> PartRow {
        PartRow {
            size: self.size,
            etag: self.etag,
            content: self.content,
            checksums: self.known_checksums(),
        }
    }

    /// All checksums that are known, with the MD5 if that is the ETag.
    pub(crate) fn known_checksums(&self) -> Checksums {
        let md5 = self.etag.md5().map(Checksum::Md5);
        md5.map_or(self.checksums, |md5| self.checksums.with(md5))
    }

    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut fields = Vec::with_capacity(96);
        fields.extend_from_slice(&self.size.to_be_bytes());
        put_etag(&mut fields, self.etag);
        fields.extend_from_slice(self.content.as_bytes());
        fields.extend_from_slice(&self.stored_ms.to_be_bytes());
        put_checksums(&mut fields, &self.checksums);
        fields
    }

    pub(crate) fn decode(fields: Fields<'_>) -> Option<Self> {
        let mut cursor = Cursor::new(fields.bytes);
        let record = match fields.version {
            Version::One => Self {
                size: cursor.u64()?,
                etag: ETag::from_md5(cursor.array()?),
                content: ContentHash::from_bytes(cursor.array()?),
                checksums: [
                    Checksum::Crc32(cursor.u32()?),
                    Checksum::Crc64Xz(cursor.u64()?),
                ]
                .into_iter()
                .collect(),
                stored_ms: cursor.u64()?,
            },
            Version::Two => Self {
                size: cursor.u64()?,
                etag: take_etag(&mut cursor)?,
                content: ContentHash::from_bytes(cursor.array()?),
                stored_ms: cursor.u64()?,
                checksums: take_checksums(&mut cursor)?,
            },
        };
        cursor.is_empty().then_some(record)
    }
}

const MD5: u8 = 0;
const OPAQUE: u8 = 1;

/// Writes an ETag: its kind, then 16 or 20 bytes.
pub(super) fn put_etag(fields: &mut Vec<u8>, etag: ETag) {
    fields.push(if etag.md5().is_some() { MD5 } else { OPAQUE });
    fields.extend_from_slice(etag.as_bytes());
}

pub(super) fn take_etag(cursor: &mut Cursor<'_>) -> Option<ETag> {
    match cursor.u8()? {
        MD5 => cursor.array().map(ETag::from_md5),
        OPAQUE => cursor.array().map(ETag::opaque),
        _ => None,
    }
}

/// Writes checksums: a bit for each algorithm, then the values.
pub(super) fn put_checksums(fields: &mut Vec<u8>, checksums: &Checksums) {
    fields.extend_from_slice(&checksums.algorithms().mask().to_be_bytes());
    for checksum in checksums.iter() {
        fields.extend_from_slice(&checksum.to_bytes());
    }
}

pub(super) fn take_algorithms(cursor: &mut Cursor<'_>) -> Option<Algorithms> {
    Algorithms::from_mask(cursor.u16()?)
}

pub(super) fn take_checksums(cursor: &mut Cursor<'_>) -> Option<Checksums> {
    let algorithms = take_algorithms(cursor)?;
    let checksum = |algorithm: ChecksumAlgorithm| {
        Checksum::from_bytes(algorithm, cursor.bytes(algorithm.digest_len())?)
    };
    algorithms.iter().map(checksum).collect()
}
