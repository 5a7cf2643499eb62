//! [`NamespaceRecord`]: the row of a namespace. It also has the rows of what namespaces hold.

use super::super::cursor::Cursor;
use super::Fields;
use crate::values::namespace::NamespaceId;
use crate::{Quota, Usage};

/// A namespace. It has two rows: by its name, and by its number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct NamespaceRecord {
    pub id: NamespaceId,
    pub created_ms: u64,
    pub quota: Quota,
}

/// Stands for no limit.
const NO_LIMIT: u64 = u64::MAX;

impl NamespaceRecord {
    /// Length of the fields, bytes.
    const LEN: usize = 4 + 8 + 2 * 8;

    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut fields = self.id.0.to_be_bytes().to_vec();
        fields.extend_from_slice(&self.created_ms.to_be_bytes());
        for limit in [self.quota.bytes, self.quota.keys] {
            fields.extend_from_slice(&limit.unwrap_or(NO_LIMIT).to_be_bytes());
        }
        fields
    }

    /// The fields of the row by number, which has the name, too. The two rows prove each other when one is
    /// damaged.
    pub(crate) fn encode_with(&self, name: &str) -> Vec<u8> {
        [self.encode().as_slice(), name.as_bytes()].concat()
    }

    /// Reads the fields of the row by number.
    pub(crate) fn decode_with(fields: Fields<'_>) -> Option<(Self, &str)> {
        let (record, name) = fields.bytes.split_at_checked(Self::LEN)?;
        let record = Self::decode(Fields {
            bytes: record,
            ..fields
        })?;
        Some((record, std::str::from_utf8(name).ok()?))
    }

    pub(crate) fn decode(fields: Fields<'_>) -> Option<Self> {
        let mut cursor = Cursor::new(fields.bytes);
        let (id, created_ms) = (NamespaceId(cursor.u32()?), cursor.u64()?);
        let mut limit = || {
            let limit = cursor.u64()?;
            Some(Some(limit).filter(|limit| *limit != NO_LIMIT))
        };
        let quota = Quota {
            bytes: limit()?,
            keys: limit()?,
        };
        cursor.is_empty().then_some(Self {
            id,
            created_ms,
            quota,
        })
    }
}

/// The fields of a sum: what some uploads and objects of a namespace add up to. It is those whose ids share
/// a [stripe](crate::UploadId::spread), so that their lock covers the row.
pub(crate) fn usage_fields(usage: &Usage) -> Vec<u8> {
    let Usage {
        keys,
        objects,
        bytes,
        open_uploads,
    } = *usage;
    let counts = [keys, objects, bytes, open_uploads];
    counts
        .iter()
        .flat_map(|count| count.to_be_bytes())
        .collect()
}

pub(crate) fn read_usage(fields: Fields<'_>) -> Option<Usage> {
    let mut cursor = Cursor::new(fields.bytes);
    let usage = Usage {
        keys: cursor.u64()?,
        objects: cursor.u64()?,
        bytes: cursor.u64()?,
        open_uploads: cursor.u64()?,
    };
    cursor.is_empty().then_some(usage)
}

/// The row of a namespace by its number. No name begins with NUL.
pub(crate) fn namespace_key(id: NamespaceId) -> Vec<u8> {
    [&[0], id.0.to_be_bytes().as_slice()].concat()
}

pub(crate) fn parse_namespace_key(key: &[u8]) -> Option<NamespaceId> {
    let mut cursor = Cursor::new(key);
    (cursor.u8()? == 0).then_some(())?;
    let id = NamespaceId(cursor.u32()?);
    cursor.is_empty().then_some(id)
}

/// The row of a stripe's sum.
pub(crate) fn usage_key(namespace: NamespaceId, stripe: u8) -> Vec<u8> {
    [namespace.0.to_be_bytes().as_slice(), &[stripe]].concat()
}

pub(crate) fn parse_usage_key(key: &[u8]) -> Option<(NamespaceId, u8)> {
    let mut cursor = Cursor::new(key);
    let parsed = (NamespaceId(cursor.u32()?), cursor.u8()?);
    cursor.is_empty().then_some(parsed)
}
