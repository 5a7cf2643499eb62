//! [`Tombstone`]: the row of an upload or object that has ended, and whose parts are not released yet.

use super::super::cursor::Cursor;
use super::Fields;

/// What is left of an upload or object. It counts nowhere any more.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Tombstone {
    /// Its parts that still have rows.
    pub parts: u64,
    /// Their sizes, bytes.
    pub bytes: u64,
}

impl Tombstone {
    /// Adds a part.
    pub(crate) fn add(&mut self, size: u64) {
        self.parts += 1;
        self.bytes += size;
    }

    pub(crate) fn encode(self) -> Vec<u8> {
        [self.parts.to_be_bytes(), self.bytes.to_be_bytes()].concat()
    }

    pub(crate) fn decode(fields: Fields<'_>) -> Option<Self> {
        let mut cursor = Cursor::new(fields.bytes);
        let tombstone = Self {
            parts: cursor.u64()?,
            bytes: cursor.u64()?,
        };
        cursor.is_empty().then_some(tombstone)
    }
}
