//! [`Layer`]: answers questions from a layer.

use std::ops::Bound;
use std::sync::Arc;

use super::open::Open;
use super::scan::LayerScan;
use crate::Result;
use crate::local::file::Place;
use crate::local::format::layer::{FOOTER_LEN, Span};
use crate::local::format::mutation::Tree;
use crate::local::format::tally::Tally;

/// An open layer. Clones share it. The file may be removed in the meantime.
#[derive(Clone, Debug)]
pub(crate) struct Layer(Arc<Open>);

/// What a layer says of a row. `None`: nothing. `Some(None)`: it was removed.
pub(crate) type Said = Option<Option<Vec<u8>>>;

impl Layer {
    /// Reads header, footer and block index.
    ///
    /// # Errors
    /// [`Error::Damaged`](crate::Error::Damaged) if one of them is not whole. [`Error::Io`](crate::Error::Io).
    pub(crate) fn open(place: &Place) -> Result<Self> {
        Ok(Self(Arc::new(Open::at(place)?)))
    }

    /// The batches whose rows it has.
    pub(crate) fn span(&self) -> Span {
        self.0.footer.header.span
    }

    /// The sum over all rows of the store after its newest batch.
    pub(crate) fn tally(&self) -> Tally {
        self.0.footer.tally
    }

    /// How many rows it has, with removals.
    pub(crate) fn rows(&self) -> u64 {
        self.0.footer.rows
    }

    #[cfg(all(test, not(shuttle)))]
    pub(crate) fn removals(&self) -> u64 {
        self.0.footer.removals
    }

    /// Length of the file, bytes.
    pub(crate) fn len_bytes(&self) -> u64 {
        self.0.footer.end + FOOTER_LEN as u64
    }

    /// Bytes of memory that it takes.
    #[cfg(all(test, not(shuttle)))]
    pub(crate) fn memory_bytes(&self) -> usize {
        size_of::<Open>() + self.0.index.memory()
    }

    /// Returns what it says of a row.
    ///
    /// # Errors
    /// [`Error::Damaged`](crate::Error::Damaged) if the block that may have the row is not whole.
    /// [`Error::Io`](crate::Error::Io).
    pub(crate) fn get(&self, tree: Tree, key: &[u8]) -> Result<Said> {
        let Some(block) = self.0.index.block_of(tree, key) else {
            return Ok(None);
        };
        if !self.0.may_have(tree, key) {
            return Ok(None);
        }
        let mut said = None;
        self.0.visit(block, &mut |row| {
            if (row.tree, row.key) == (tree, key) {
                said = Some(row.value.map(<[u8]>::to_vec));
            }
        })?;
        Ok(said)
    }

    /// Reads the rows of a tree from `start` on, with removals.
    pub(crate) fn scan(&self, tree: Tree, start: Bound<&[u8]>) -> LayerScan {
        LayerScan::of_tree(Arc::clone(&self.0), tree, start)
    }

    /// Reads all rows of all trees, with removals, and a large piece of the file at a time.
    pub(crate) fn all(&self) -> LayerScan {
        LayerScan::of_all(Arc::clone(&self.0))
    }

    /// Returns the last key of a tree. The row may be a removal.
    ///
    /// # Errors
    /// As for [`get`](Self::get).
    pub(crate) fn last_key(&self, tree: Tree) -> Result<Option<Vec<u8>>> {
        let Some(block) = self.0.index.last_block_of(tree) else {
            return Ok(None);
        };
        let mut last = None;
        self.0.visit(block, &mut |row| {
            if row.tree == tree {
                last = Some(row.key.to_vec());
            }
        })?;
        Ok(last)
    }

    pub(super) fn parts(&self) -> &Open {
        &self.0
    }
}
