//! [`Fold`]: many batches to the rows that they leave, sorted, in bounded memory.
//!
//! A snapshot is the fold of the older snapshot and the sealed segments; an index is rebuilt from
//! the fold of snapshot and journal. Neither ever asks the index: what sled lost can not be lost in
//! the truth as well.

use std::collections::BTreeMap;

use super::batch::{Mutation, Tree};
use super::rows::{Row, RowReader, RowWriter};
use crate::Result;
use crate::file::{self, Dir, Place};

/// Rows are written out to a run when they take more than this, bytes. In memory they take about
/// twice as much.
const SPILL_AT: usize = 16 * 1024 * 1024;
/// Estimate of what a row costs in memory beside its key and value, bytes.
const ROW_OVERHEAD: usize = 64;

/// Takes tree, key and value of each row.
pub(crate) type Sink<'a> = dyn FnMut(Tree, &[u8], &[u8]) -> Result<()> + 'a;

pub(crate) struct Fold {
    dir: Dir,
    rows: BTreeMap<(Tree, Vec<u8>), Option<Vec<u8>>>,
    bytes: usize,
    /// Oldest first.
    runs: Vec<Place>,
}

impl Fold {
    /// Runs go to `dir`, with the extension `run`; they are gone when the fold is dropped.
    pub(crate) fn new(dir: Dir) -> Self {
        Self {
            dir,
            rows: BTreeMap::new(),
            bytes: 0,
            runs: Vec::new(),
        }
    }

    /// Adds a mutation that is newer than all before it.
    pub(crate) fn add(&mut self, mutation: &Mutation<'_>) -> Result<()> {
        let value = mutation.value.map(<[u8]>::to_vec);
        self.bytes += mutation.key.len() + value.as_ref().map_or(0, Vec::len) + ROW_OVERHEAD;
        self.rows
            .insert((mutation.tree, mutation.key.to_vec()), value);
        if self.bytes > SPILL_AT {
            self.spill()
        } else {
            Ok(())
        }
    }

    /// Hands every row that is left over `base` to `sink`, by tree and key.
    pub(crate) fn finish(mut self, base: Option<RowReader>, sink: &mut Sink<'_>) -> Result<()> {
        let mut sources = Vec::new();
        for run in self.runs.iter().rev() {
            sources.push(Source::new(Rows::File(RowReader::open(run)?))?);
        }
        sources.extend(base.map(|base| Source::new(Rows::File(base))).transpose()?);
        let newest = std::mem::take(&mut self.rows);
        sources.insert(0, Source::new(Rows::Memory(newest.into_iter()))?);
        while let Some(row) = next_row(&mut sources)? {
            if let Some(value) = &row.value {
                sink(row.tree, &row.key, value)?;
            }
        }
        Ok(())
    }

    fn spill(&mut self) -> Result<()> {
        let run = self.dir.at(format!("{}.run", self.runs.len()));
        file::remove_if_present(&run)?;
        let mut writer = RowWriter::create(&run, 0)?;
        self.runs.push(run);
        for ((tree, key), value) in &self.rows {
            writer.push(*tree, key, value.as_deref())?;
        }
        writer.finish()?;
        self.rows.clear();
        self.bytes = 0;
        Ok(())
    }
}

impl Drop for Fold {
    fn drop(&mut self) {
        for run in &self.runs {
            // What stays is removed when the store is opened.
            let _ = file::remove_if_present(run);
        }
    }
}

type MemoryRows = std::collections::btree_map::IntoIter<(Tree, Vec<u8>), Option<Vec<u8>>>;

enum Rows {
    Memory(MemoryRows),
    File(RowReader),
}

/// A sorted source and its next row.
struct Source {
    rows: Rows,
    next: Option<Row>,
}

impl Source {
    fn new(rows: Rows) -> Result<Self> {
        let mut source = Self { rows, next: None };
        source.take()?;
        Ok(source)
    }

    fn take(&mut self) -> Result<Option<Row>> {
        let next = match &mut self.rows {
            Rows::Memory(rows) => rows
                .next()
                .map(|((tree, key), value)| Row { tree, key, value }),
            Rows::File(reader) => reader.next()?,
        };
        Ok(std::mem::replace(&mut self.next, next))
    }
}

/// Takes the smallest row; of the same row in several sources the newest counts, which is the
/// first.
fn next_row(sources: &mut [Source]) -> Result<Option<Row>> {
    let Some(smallest) = sources
        .iter()
        .filter_map(|source| source.next.as_ref())
        .map(|row| (row.tree, &row.key))
        .min()
    else {
        return Ok(None);
    };
    let smallest = (smallest.0, smallest.1.clone());
    let mut newest = None;
    for source in sources {
        if source
            .next
            .as_ref()
            .is_some_and(|row| (row.tree, &row.key) == (smallest.0, &smallest.1))
        {
            let row = source.take()?;
            newest = newest.or(row);
        }
    }
    Ok(newest)
}
