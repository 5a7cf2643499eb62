//! Blocks: some neighbouring rows under one seal. A lookup reads one block.

use super::{SEAL_LEN, Salt};
use crate::local::format::cursor::{Cursor, len_u32};
use crate::local::format::mutation::{HEADER_LEN, MAX_KEY_LEN, MAX_VALUE_LEN, Mutation};

/// The most bytes that are written as one block. A smaller block is read faster, and a larger one needs less
/// memory for the block index.
pub(crate) const BLOCK_LEN: usize = 16 * 1024;
/// The most bytes that are read as one block.
pub(crate) const LONGEST_BLOCK: usize = 64 * 1024;
/// Where the mutations of a block begin.
pub(crate) const ROWS_AT: usize = 4;

const _: () = assert!(
    ROWS_AT + HEADER_LEN + MAX_KEY_LEN + MAX_VALUE_LEN + SEAL_LEN <= BLOCK_LEN,
    "a row that fits in no block"
);

/// Gathers the rows of one block.
#[derive(Debug, Default)]
pub(crate) struct BlockWriter {
    /// Room for the length, then the mutations.
    bytes: Vec<u8>,
}

impl BlockWriter {
    pub(crate) fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    pub(crate) fn has_room_for(&self, row: &Mutation<'_>) -> bool {
        self.bytes.len() + row.encoded_len() + SEAL_LEN <= BLOCK_LEN
    }

    pub(crate) fn push(&mut self, row: &Mutation<'_>) {
        if self.bytes.is_empty() {
            self.bytes.resize(ROWS_AT, 0);
        }
        row.encode(&mut self.bytes);
    }

    /// Appends the block, which begins at this place of the file, to `out`. Begins the next block. Returns
    /// the block's length.
    pub(crate) fn finish(&mut self, salt: Salt, offset: u64, out: &mut Vec<u8>) -> usize {
        let len = len_u32(self.bytes.len().saturating_sub(ROWS_AT));
        if let Some(place) = self.bytes.first_chunk_mut() {
            *place = len;
        }
        out.extend_from_slice(&self.bytes);
        out.extend(salt.seal(offset, &self.bytes));
        let whole = self.bytes.len() + SEAL_LEN;
        self.bytes.clear();
        whole
    }
}

/// The mutations of a block that begins at this place, as bytes. `None` if it is not whole.
pub(crate) fn rows_of(salt: Salt, offset: u64, block: &[u8]) -> Option<&[u8]> {
    let mut cursor = Cursor::new(salt.unseal(offset, block)?);
    let len = usize::try_from(cursor.u32()?).ok()?;
    (cursor.rest().len() == len).then(|| cursor.rest())
}

/// How long a block is that begins with these bytes. `None` if no block does.
pub(crate) fn len_of(start: &[u8]) -> Option<usize> {
    let len = usize::try_from(Cursor::new(start).u32()?).ok()?;
    let block = len.checked_add(ROWS_AT + SEAL_LEN)?;
    (len >= HEADER_LEN && block <= LONGEST_BLOCK).then_some(block)
}
