//! [`LayerScan`]: reads rows of a layer in their order.

use std::ops::Bound;
use std::sync::Arc;

use super::super::rows::Row;
use super::open::Open;
use super::{damaged, read_at};
use crate::Result;
use crate::local::format::cursor::Cursor;
use crate::local::format::layer::{ROWS_AT, Stretch};
use crate::local::format::mutation::{Mutation, Tree};

/// How much of the file is read at a time if all of it is.
const AHEAD: usize = 1024 * 1024;

/// Reads rows of a layer in their order. The layer stays open as long as this lives.
pub(crate) struct LayerScan {
    layer: Arc<Open>,
    range: Range,
    /// The next block.
    block: usize,
    /// How many bytes are read at a time, or one block if that has more.
    ahead: usize,
    /// What was read, and where it begins in the file.
    window: Vec<u8>,
    window_from: u64,
    /// The mutations that are still to be returned, as a part of the window.
    rows: std::ops::Range<usize>,
    returned: u64,
}

enum Range {
    All,
    /// The rows of a tree from here on.
    Tree(Tree, Bound<Vec<u8>>),
}

impl LayerScan {
    pub(super) fn of_all(layer: Arc<Open>) -> Self {
        Self::new(layer, (Range::All, 0, AHEAD))
    }

    pub(super) fn of_tree(layer: Arc<Open>, tree: Tree, start: Bound<&[u8]>) -> Self {
        let key = match start {
            Bound::Included(key) | Bound::Excluded(key) => key,
            Bound::Unbounded => &[],
        };
        let block = layer.index.block_of(tree, key).unwrap_or(0);
        let range = Range::Tree(tree, start.map(<[u8]>::to_vec));
        Self::new(layer, (range, block, 0))
    }

    fn new(layer: Arc<Open>, (range, block, ahead): (Range, usize, usize)) -> Self {
        Self {
            layer,
            range,
            block,
            ahead,
            window: Vec::new(),
            window_from: 0,
            rows: 0..0,
            returned: 0,
        }
    }

    /// Returns the next row, or `None` after the last.
    ///
    /// # Errors
    /// [`Error::Damaged`](crate::Error::Damaged) if the next block is not whole. [`Error::Io`](crate::Error::Io).
    pub(crate) fn next(&mut self) -> Result<Option<Row>> {
        loop {
            if self.rows.is_empty() {
                if self.block >= self.layer.index.len() {
                    return self.end();
                }
                self.read_block()?;
            }
            match self.take()? {
                Taken::Row(row) => {
                    self.returned += 1;
                    return Ok(Some(row));
                }
                Taken::Before => {}
                Taken::Behind => {
                    self.rows = 0..0;
                    self.block = self.layer.index.len();
                }
            }
        }
    }

    /// Passes if all rows were returned.
    fn end(&self) -> Result<Option<Row>> {
        let all = self.layer.footer.rows;
        if matches!(self.range, Range::All) && self.returned != all {
            let reason = format!("the layer has {} rows instead of {all}", self.returned);
            return Err(damaged(
                &self.layer.handle.path(),
                self.layer.footer.end,
                &reason,
            ));
        }
        Ok(None)
    }

    fn take(&mut self) -> Result<Taken> {
        let mut cursor = Cursor::new(self.window.get(self.rows.clone()).unwrap_or_default());
        let row = Mutation::decode(&mut cursor);
        let row = row.ok_or_else(|| self.layer.damaged_block(self.window_from))?;
        self.rows.start = self.rows.end - cursor.rest().len();
        Ok(self.range.take(row))
    }

    /// Goes to the first row of the next block.
    fn read_block(&mut self) -> Result<()> {
        let Some(Stretch { offset, len }) = self.layer.index.block(self.block) else {
            return Ok(());
        };
        let window_end = self.window_from + self.window.len() as u64;
        if offset < self.window_from || offset + len as u64 > window_end {
            self.read_window(offset, len)?;
        }
        let start = usize::try_from(offset - self.window_from).unwrap_or_default();
        let block = self.window.get(start..start + len).unwrap_or_default();
        let rows = self.layer.rows_of(offset, block)?.len();
        let first = start + ROWS_AT;
        self.rows = first..first + rows;
        self.block += 1;
        Ok(())
    }

    fn read_window(&mut self, offset: u64, len: usize) -> Result<()> {
        let left = self.layer.footer.filter.saturating_sub(offset);
        let left = usize::try_from(left).unwrap_or(usize::MAX);
        self.window.resize(self.ahead.max(len).min(left), 0);
        self.window_from = offset;
        read_at(&self.layer.handle, &mut self.window, offset)
    }
}

/// A row, if the range has it.
enum Taken {
    Row(Row),
    Before,
    Behind,
}

impl Range {
    fn take(&self, row: Mutation<'_>) -> Taken {
        match self {
            Self::Tree(tree, _) if row.tree > *tree => Taken::Behind,
            Self::Tree(tree, start) if row.tree < *tree || is_before(row.key, start) => {
                Taken::Before
            }
            _ => Taken::Row(Row {
                tree: row.tree,
                key: row.key.to_vec(),
                value: row.value.map(<[u8]>::to_vec),
            }),
        }
    }
}

fn is_before(key: &[u8], start: &Bound<Vec<u8>>) -> bool {
    match start {
        Bound::Included(start) => key < start.as_slice(),
        Bound::Excluded(start) => key <= start.as_slice(),
        Bound::Unbounded => false,
    }
}
