//! [`Mutation`]: a row that is set or removed. [`Batch`]: one change of the store's state. The journal and
//! row files have mutations in the same form:
//!
//! ```text
//! op u8 (1 put, 0 remove) | tree u8 | key length u16 | value length u16 | key | value
//! ```
//!
//! A mutation sets a whole row or removes it, so applying a batch twice is the same as applying it once.
//! That is why a layer can be written while batches are applied, and why a journal can be read again after
//! any crash.

use bytes::Bytes;

use super::cursor::{Cursor, len_u16};
use super::frame;

/// The trees of the index. Their numbers are in journals and layers and never change.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub(crate) enum Tree {
    Uploads = 1,
    UploadNames = 2,
    Metadata = 3,
    Parts = 4,
    Blobs = 5,
    Refs = 6,
    Garbage = 7,
    /// Since format 2.
    Keys = 8,
    Namespaces = 9,
    Usage = 10,
    /// Since format 3.
    Tombstones = 11,
}

impl Tree {
    pub(crate) const ALL: [Self; 11] = [
        Self::Uploads,
        Self::UploadNames,
        Self::Metadata,
        Self::Parts,
        Self::Blobs,
        Self::Refs,
        Self::Garbage,
        Self::Keys,
        Self::Namespaces,
        Self::Usage,
        Self::Tombstones,
    ];

    /// How many of [`ALL`](Self::ALL) format 1 had: the first ones.
    pub(crate) const IN_FORMAT_1: usize = 7;

    /// How many of them format 2 had.
    pub(crate) const IN_FORMAT_2: usize = 10;

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Uploads => "uploads",
            Self::UploadNames => "upload_names",
            Self::Metadata => "metadata",
            Self::Parts => "parts",
            Self::Blobs => "blobs",
            Self::Refs => "refs",
            Self::Garbage => "garbage",
            Self::Keys => "keys",
            Self::Namespaces => "namespaces",
            Self::Usage => "usage",
            Self::Tombstones => "tombstones",
        }
    }

    /// Its place in [`ALL`](Self::ALL).
    pub(crate) fn at(self) -> usize {
        self as usize - 1
    }

    pub(crate) fn from_number(number: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|tree| *tree as u8 == number)
    }
}

const REMOVE: u8 = 0;
const PUT: u8 = 1;
/// Bytes before the key.
pub(crate) const HEADER_LEN: usize = 6;

/// Longest key and longest value of a row, bytes. sled keeps values above 4 KiB in side files that it never
/// syncs.
pub(crate) const MAX_KEY_LEN: usize = 1100;
pub(crate) const MAX_VALUE_LEN: usize = 4000;

/// Mutations that take effect together. After a crash all of them exist, or none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Batch {
    payload: Vec<u8>,
    body: Option<Bytes>,
}

/// One row set (`Some`) or removed (`None`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Mutation<'a> {
    pub tree: Tree,
    pub key: &'a [u8],
    pub value: Option<&'a [u8]>,
}

/// What precedes the key of a mutation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Header {
    pub tree: Tree,
    pub key_len: usize,
    /// `None` for a row that is removed.
    pub value_len: Option<usize>,
}

impl Header {
    /// Reads [`HEADER_LEN`] bytes. `None` if no mutation begins with them.
    pub(crate) fn decode(bytes: &[u8]) -> Option<Self> {
        let mut cursor = Cursor::new(bytes);
        let (op, tree) = (cursor.u8()?, Tree::from_number(cursor.u8()?)?);
        let (key_len, value_len) = (usize::from(cursor.u16()?), usize::from(cursor.u16()?));
        let value_len = match op {
            PUT => Some(value_len),
            REMOVE if value_len == 0 => None,
            _ => return None,
        };
        let fits = key_len <= MAX_KEY_LEN && value_len.unwrap_or(0) <= MAX_VALUE_LEN;
        fits.then_some(Self {
            tree,
            key_len,
            value_len,
        })
    }

    /// Bytes of key and value.
    pub(crate) fn body_len(&self) -> usize {
        self.key_len + self.value_len.unwrap_or(0)
    }
}

impl<'a> Mutation<'a> {
    /// Appends it to `out`.
    ///
    /// # Panics
    /// If key or value is longer than its limit.
    pub(crate) fn encode(&self, out: &mut Vec<u8>) {
        let (op, value) = match self.value {
            Some(value) => (PUT, value),
            None => (REMOVE, &[][..]),
        };
        assert!(
            self.key.len() <= MAX_KEY_LEN && value.len() <= MAX_VALUE_LEN,
            "a row over its limits"
        );
        out.extend_from_slice(&[op, self.tree as u8]);
        out.extend_from_slice(&len_u16(self.key.len()));
        out.extend_from_slice(&len_u16(value.len()));
        out.extend_from_slice(self.key);
        out.extend_from_slice(value);
    }

    /// How many bytes [`encode`](Self::encode) appends.
    pub(crate) fn encoded_len(&self) -> usize {
        HEADER_LEN + self.key.len() + self.value.map_or(0, <[u8]>::len)
    }

    /// Reads one. `None` if any byte differs from what [`encode`](Self::encode) writes.
    pub(crate) fn decode(cursor: &mut Cursor<'a>) -> Option<Self> {
        let header = Header::decode(cursor.bytes(HEADER_LEN)?)?;
        let key = cursor.bytes(header.key_len)?;
        let value = match header.value_len {
            Some(len) => Some(cursor.bytes(len)?),
            None => None,
        };
        Some(Self {
            tree: header.tree,
            key,
            value,
        })
    }
}

impl Batch {
    pub(crate) fn put(&mut self, tree: Tree, key: &[u8], value: &[u8]) {
        let value = Some(value);
        Mutation { tree, key, value }.encode(&mut self.payload);
    }

    pub(crate) fn remove(&mut self, tree: Tree, key: &[u8]) {
        let value = None;
        Mutation { tree, key, value }.encode(&mut self.payload);
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.payload.is_empty()
    }

    pub(crate) fn payload(&self) -> &[u8] {
        &self.payload
    }

    /// Has the journal carry the bytes of the blob that the batch makes.
    pub(crate) fn carry(&mut self, content: &[u8; 32], bytes: &[u8]) {
        self.body = Some(frame::body(content, bytes).into());
    }

    /// The payload of the body that the journal carries.
    pub(crate) fn body(&self) -> Option<&Bytes> {
        self.body.as_ref()
    }
}

/// Reads a batch back. `None` if any byte differs from what [`Batch`] writes.
pub(crate) fn mutations(payload: &[u8]) -> Option<Vec<Mutation<'_>>> {
    let mut cursor = Cursor::new(payload);
    let mut mutations = Vec::new();
    while !cursor.is_empty() {
        mutations.push(Mutation::decode(&mut cursor)?);
    }
    Some(mutations)
}
