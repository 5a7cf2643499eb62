//! [`Merge`]: merges the sorted rows of several sources. Of equal keys the newest row counts.

use std::cmp::Ordering;
use std::collections::BinaryHeap;
use std::collections::binary_heap::PeekMut;
use std::collections::btree_map;

use super::layer::LayerScan;
use super::rows::{Row, RowReader};
use crate::Result;
use crate::local::file::{self, Place};
use crate::local::format::mutation::Tree;

/// Sorted rows, each key once.
pub(super) enum Rows {
    Memory(btree_map::IntoIter<(Tree, Vec<u8>), Option<Vec<u8>>>),
    Layer(LayerScan),
    /// A run. It frees its disk space as it is read, and is removed at its end.
    Run(
        RowReader,
        #[expect(dead_code, reason = "dropped with it")] Run,
    ),
}

impl Rows {
    pub(super) fn of_run(run: Run) -> Result<Self> {
        Ok(Self::Run(RowReader::consume(&run.0)?, run))
    }

    fn next(&mut self) -> Result<Option<Row>> {
        match self {
            Self::Memory(rows) => {
                Ok(rows
                    .next()
                    .map(|((tree, key), value)| Row { tree, key, value }))
            }
            Self::Layer(rows) => rows.next(),
            Self::Run(reader, _) => reader.next(),
        }
    }
}

/// A row file of a [`Fold`](super::fold::Fold). Dropping it removes the file.
pub(super) struct Run(pub Place);

impl Drop for Run {
    fn drop(&mut self) {
        // A file that remains is removed when the store is opened.
        let _ = file::remove_if_present(&self.0);
    }
}

pub(super) struct Merge {
    /// The source with the smallest row is on top.
    sources: BinaryHeap<Source>,
}

impl Merge {
    /// Merges layers, given from the newest to the oldest.
    pub(super) fn of_layers(newest_first: Vec<LayerScan>) -> Result<Self> {
        Self::of(newest_first.into_iter().map(Rows::Layer).collect())
    }

    /// Merges sources, given from the newest to the oldest.
    pub(super) fn of(newest_first: Vec<Rows>) -> Result<Self> {
        let mut sources = BinaryHeap::with_capacity(newest_first.len());
        for (age, mut rows) in newest_first.into_iter().enumerate() {
            if let Some(next) = rows.next()? {
                sources.push(Source { next, age, rows });
            }
        }
        Ok(Self { sources })
    }

    /// Returns the next row by tree and key, or `None` after the last.
    pub(super) fn next(&mut self) -> Result<Option<Row>> {
        let Some(row) = self.pop()? else {
            return Ok(None);
        };
        while self
            .sources
            .peek()
            .is_some_and(|older| older.next.is_at(&row))
        {
            self.pop()?;
        }
        Ok(Some(row))
    }

    fn pop(&mut self) -> Result<Option<Row>> {
        let Some(mut top) = self.sources.peek_mut() else {
            return Ok(None);
        };
        let row = match top.rows.next()? {
            Some(next) => std::mem::replace(&mut top.next, next),
            None => PeekMut::pop(top).next,
        };
        Ok(Some(row))
    }
}

/// A source and its next row.
struct Source {
    next: Row,
    /// 0 for the newest.
    age: usize,
    rows: Rows,
}

/// A heap has its greatest element on top. Here that is the smallest row, and of equal rows the newest.
impl Ord for Source {
    fn cmp(&self, other: &Self) -> Ordering {
        let [this, other] = [self, other].map(|of| (of.next.tree, of.next.key.as_slice(), of.age));
        other.cmp(&this)
    }
}

impl PartialOrd for Source {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Source {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Source {}
