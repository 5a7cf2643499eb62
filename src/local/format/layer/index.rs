//! The block index: where each block of a layer begins, and with which row.
//!
//! It holds no whole keys. A block's *separator* is the shortest start of its first key that is above the
//! last key of the block before.

use super::block::LONGEST_BLOCK;
use super::{Footer, HEADER_LEN, SEAL_LEN, Salt};
use crate::local::format::cursor::{Cursor, len_u16, len_u32};
use crate::local::format::mutation::{MAX_KEY_LEN, Tree};

/// Bytes of an entry beside its key.
const ENTRY_LEN: usize = 7;

/// Writes the block index while the blocks are written.
#[derive(Debug, Default)]
pub(crate) struct IndexWriter {
    bytes: Vec<u8>,
    blocks: u64,
}

impl IndexWriter {
    /// Begins a block with row `first`. `before` is the last row of the block before.
    pub(crate) fn begin_block(&mut self, first: (Tree, &[u8]), before: Option<(Tree, &[u8])>) {
        let separator = separator(first, before);
        self.bytes.push(first.0 as u8);
        self.bytes.extend(len_u16(separator.len()));
        self.bytes.extend_from_slice(separator);
    }

    /// Ends the block, which has so many bytes.
    pub(crate) fn end_block(&mut self, len: usize) {
        self.bytes.extend(len_u32(len));
        self.blocks += 1;
    }

    pub(crate) fn blocks(&self) -> u64 {
        self.blocks
    }

    /// Appends the block index, which begins at this place of the file, to `out`.
    pub(crate) fn finish(self, salt: Salt, offset: u64, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.bytes);
        out.extend(salt.seal(offset, &self.bytes));
    }
}

/// The shortest start of `first`'s key that is above `before`. They are in order.
fn separator<'a>((tree, key): (Tree, &'a [u8]), before: Option<(Tree, &[u8])>) -> &'a [u8] {
    let Some((_, below)) = before.filter(|(before, _)| *before == tree) else {
        return &[];
    };
    let shared = key.iter().zip(below).take_while(|(a, b)| a == b).count();
    key.get(..=shared).unwrap_or(key)
}

/// A block index in memory.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct BlockIndex {
    /// The number of the tree and the separator of each block, one behind the other.
    keys: Vec<u8>,
    /// Where each of them ends.
    key_ends: Vec<u32>,
    /// Where each block begins, and the end of the last one.
    starts: Vec<u64>,
}

/// A part of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stretch {
    pub offset: u64,
    pub len: usize,
}

impl BlockIndex {
    /// Reads the block index that `footer` describes. `None` if it is not whole, or does not list all blocks.
    pub(crate) fn decode(footer: &Footer, bytes: &[u8]) -> Option<Self> {
        let entries = footer.header.salt.unseal(footer.index, bytes)?;
        let count = usize::try_from(footer.blocks).ok()?;
        if count > entries.len() / ENTRY_LEN {
            return None;
        }
        let mut index = Self {
            keys: Vec::with_capacity(entries.len() - count * (ENTRY_LEN - 1)),
            key_ends: Vec::with_capacity(count),
            starts: Vec::with_capacity(count + 1),
        };
        let mut end = HEADER_LEN as u64;
        let mut cursor = Cursor::new(entries);
        while !cursor.is_empty() {
            index.starts.push(end);
            end += index.read_entry(&mut cursor)?;
        }
        index.starts.push(end);
        let fits = end == footer.filter && index.len() == count;
        fits.then_some(index)
    }

    /// Reads an entry, and returns the length of its block.
    fn read_entry(&mut self, cursor: &mut Cursor<'_>) -> Option<u64> {
        let tree = Tree::from_number(cursor.u8()?)?;
        let key_len = usize::from(cursor.u16()?);
        let key = cursor.bytes(key_len)?;
        let len = cursor.u32()?;
        let block = self.len();
        let ascends = block == 0 || self.separator(block - 1) < Some((tree as u8, key));
        let is_block =
            usize::try_from(len).is_ok_and(|len| (SEAL_LEN..=LONGEST_BLOCK).contains(&len));
        self.keys.push(tree as u8);
        self.keys.extend_from_slice(key);
        self.key_ends.push(u32::try_from(self.keys.len()).ok()?);
        (ascends && is_block && key_len <= MAX_KEY_LEN).then(|| u64::from(len))
    }

    /// How many blocks the layer has.
    pub(crate) fn len(&self) -> usize {
        self.key_ends.len()
    }

    /// Bytes of memory.
    #[cfg(all(test, not(shuttle)))]
    pub(crate) fn memory(&self) -> usize {
        self.keys.capacity() + 4 * self.key_ends.capacity() + 8 * self.starts.capacity()
    }

    /// Where a block is.
    pub(crate) fn block(&self, block: usize) -> Option<Stretch> {
        let offset = *self.starts.get(block)?;
        let end = self.starts.get(block + 1)?;
        let len = usize::try_from(end - offset).ok()?;
        Some(Stretch { offset, len })
    }

    /// The only block that may have this row. `None` if no block may. It is also where rows from this one
    /// on begin.
    pub(crate) fn block_of(&self, tree: Tree, key: &[u8]) -> Option<usize> {
        self.blocks_through((tree as u8, key)).checked_sub(1)
    }

    /// The block that has the last row of a tree, if any has rows of it.
    pub(crate) fn last_block_of(&self, tree: Tree) -> Option<usize> {
        self.blocks_through((tree as u8 + 1, &[])).checked_sub(1)
    }

    /// How many blocks have a separator that is not above this.
    fn blocks_through(&self, row: (u8, &[u8])) -> usize {
        let (mut low, mut high) = (0, self.len());
        while low < high {
            let middle = low + (high - low) / 2;
            match self.separator(middle) {
                Some(separator) if separator <= row => low = middle + 1,
                _ => high = middle,
            }
        }
        low
    }

    fn separator(&self, block: usize) -> Option<(u8, &[u8])> {
        let end = *self.key_ends.get(block)? as usize;
        let start = match block.checked_sub(1) {
            Some(before) => *self.key_ends.get(before)? as usize,
            None => 0,
        };
        let (tree, key) = self.keys.get(start..end)?.split_first()?;
        Some((*tree, key))
    }
}
