//! [`Batch`]: one state change as idempotent mutations of rows, in the byte form that the journal stores.
//!
//! A mutation sets a whole row or removes it, so that applying a batch twice is applying it once.
//! That is what lets a snapshot be taken while batches are applied, and a journal be read again
//! after any crash.

use super::codec::Cursor;

/// The trees of the index. The numbers stand in journals and snapshots and never change.
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
}

impl Tree {
    pub(crate) const ALL: [Self; 7] = [
        Self::Uploads,
        Self::UploadNames,
        Self::Metadata,
        Self::Parts,
        Self::Blobs,
        Self::Refs,
        Self::Garbage,
    ];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Uploads => "uploads",
            Self::UploadNames => "upload_names",
            Self::Metadata => "metadata",
            Self::Parts => "parts",
            Self::Blobs => "blobs",
            Self::Refs => "refs",
            Self::Garbage => "garbage",
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

/// Longest key and longest value of a row, bytes: sled keeps values above 4 KiB in side files that
/// it never syncs.
pub(crate) const MAX_KEY_LEN: usize = 1100;
pub(crate) const MAX_VALUE_LEN: usize = 4000;

/// Mutations that take effect together, or after a crash not at all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Batch {
    payload: Vec<u8>,
}

/// One row set (`Some`) or removed (`None`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Mutation<'a> {
    pub tree: Tree,
    pub key: &'a [u8],
    pub value: Option<&'a [u8]>,
}

impl Batch {
    pub(crate) fn put(&mut self, tree: Tree, key: &[u8], value: &[u8]) {
        self.push(PUT, tree, key, value);
    }

    pub(crate) fn remove(&mut self, tree: Tree, key: &[u8]) {
        self.push(REMOVE, tree, key, &[]);
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.payload.is_empty()
    }

    pub(crate) fn payload(&self) -> &[u8] {
        &self.payload
    }

    fn push(&mut self, op: u8, tree: Tree, key: &[u8], value: &[u8]) {
        debug_assert!(
            key.len() <= MAX_KEY_LEN && value.len() <= MAX_VALUE_LEN,
            "a row over its limits"
        );
        let len = |bytes: &[u8]| u16::try_from(bytes.len()).unwrap_or(u16::MAX).to_be_bytes();
        self.payload.extend_from_slice(&[op, tree as u8]);
        self.payload.extend_from_slice(&len(key));
        self.payload.extend_from_slice(&len(value));
        self.payload.extend_from_slice(key);
        self.payload.extend_from_slice(value);
    }
}

/// Reads a batch back; `None` when any byte of it is not what [`Batch`] writes.
pub(crate) fn mutations(payload: &[u8]) -> Option<Vec<Mutation<'_>>> {
    let mut cursor = Cursor::new(payload);
    let mut mutations = Vec::new();
    while !cursor.is_empty() {
        mutations.push(mutation(&mut cursor)?);
    }
    Some(mutations)
}

fn mutation<'a>(cursor: &mut Cursor<'a>) -> Option<Mutation<'a>> {
    let op = cursor.u8()?;
    let tree = Tree::from_number(cursor.u8()?)?;
    let (key_len, value_len) = (usize::from(cursor.u16()?), usize::from(cursor.u16()?));
    let (key, value) = (cursor.bytes(key_len)?, cursor.bytes(value_len)?);
    match op {
        _ if key_len > MAX_KEY_LEN || value_len > MAX_VALUE_LEN => None,
        PUT => Some(Mutation {
            tree,
            key,
            value: Some(value),
        }),
        REMOVE if value.is_empty() => Some(Mutation {
            tree,
            key,
            value: None,
        }),
        _ => None,
    }
}
