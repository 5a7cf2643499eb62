//! [`Fold`]: turns many batches into the rows that they leave, sorted, in bounded memory.
//!
//! A layer and a rebuilt index are folds of the journal behind the last layer. Neither reads the index, so
//! rows that sled has lost cannot be lost in the truth, too.
//!
//! Rows that do not fit in memory are written to files (runs). As soon as sixteen runs exist, they are
//! merged into one of the next level. So few files are open at a time, however long the journal is. A run
//! frees its disk space while it is read, so a merge needs little more than the rows it merges.

use std::collections::BTreeMap;

use super::merge::{Merge, Rows, Run};
use super::rows::RowWriter;
use crate::Result;
use crate::going::Closing;
use crate::local::file::{self, Dir};
use crate::local::format::mutation::{Mutation, Tree};

/// Estimate of what a row costs in memory beside its key and value, bytes.
const ROW_OVERHEAD: usize = 64;
/// How many runs are merged at once.
const MOST_RUNS: usize = 16;

/// Takes tree, key and value of each row. A removed row has no value.
pub(crate) type Sink<'a> = dyn FnMut(Tree, &[u8], Option<&[u8]>) -> Result<()> + 'a;

/// Takes tree, key and value of each row.
type RowSink<'a> = dyn FnMut(Tree, &[u8], &[u8]) -> Result<()> + 'a;

pub(crate) struct Fold {
    dir: Dir,
    spill_at: usize,
    /// A merge may take long. It ends with an error when this begins.
    closing: Closing,
    rows: BTreeMap<(Tree, Vec<u8>), Option<Vec<u8>>>,
    bytes: usize,
    /// Runs by how often their rows were merged. Each level has the oldest first, and all of it is older
    /// than the level before. A level has fewer than [`MOST_RUNS`].
    levels: Vec<Vec<Run>>,
    runs_made: u64,
}

impl Fold {
    /// Rows are written to a run when they take more than `spill_at` bytes. In memory they take about twice
    /// as much. Runs are files in `dir`, with the extension `run`. Dropping the fold removes them.
    pub(crate) fn new(dir: Dir, spill_at: usize, closing: Closing) -> Self {
        Self {
            dir,
            spill_at,
            closing,
            rows: BTreeMap::new(),
            bytes: 0,
            levels: Vec::new(),
            runs_made: 0,
        }
    }

    /// Adds a mutation that is newer than all before it.
    pub(crate) fn add(&mut self, mutation: &Mutation<'_>) -> Result<()> {
        let value = mutation.value.map(<[u8]>::to_vec);
        self.bytes += mutation.key.len() + value.as_ref().map_or(0, Vec::len) + ROW_OVERHEAD;
        self.rows
            .insert((mutation.tree, mutation.key.to_vec()), value);
        if self.bytes > self.spill_at {
            self.spill()
        } else {
            Ok(())
        }
    }

    /// Passes the last that was said of each row to `sink`, by tree and key.
    pub(crate) fn finish(mut self, sink: &mut Sink<'_>) -> Result<()> {
        let newest = self.take_rows();
        let mut runs: Vec<Run> = self.levels.drain(..).rev().flatten().collect();
        while runs.len() > MOST_RUNS {
            // The newest runs are the shortest.
            let merged = runs.split_off(runs.len() - MOST_RUNS);
            let run = self.merge(merged)?;
            runs.push(run);
        }
        let mut sources = vec![newest];
        for run in runs.into_iter().rev() {
            sources.push(Rows::of_run(run)?);
        }
        let mut rows = Merge::of(sources)?;
        while let Some(row) = rows.next()? {
            self.closing.check()?;
            sink(row.tree, &row.key, row.value.as_deref())?;
        }
        Ok(())
    }

    /// Passes every row that is left to `sink`, by tree and key.
    pub(crate) fn finish_rows(self, sink: &mut RowSink<'_>) -> Result<()> {
        self.finish(&mut |tree, key, value| value.map_or(Ok(()), |value| sink(tree, key, value)))
    }

    fn take_rows(&mut self) -> Rows {
        self.bytes = 0;
        Rows::Memory(std::mem::take(&mut self.rows).into_iter())
    }

    fn spill(&mut self) -> Result<()> {
        let rows = self.take_rows();
        let mut run = self.write(vec![rows])?;
        for level in 0.. {
            if level == self.levels.len() {
                self.levels.push(Vec::new());
            }
            let Some(runs) = self.levels.get_mut(level) else {
                break;
            };
            runs.push(run);
            if runs.len() < MOST_RUNS {
                break;
            }
            let full = std::mem::take(runs);
            run = self.merge(full)?;
        }
        Ok(())
    }

    /// Merges several runs, oldest first, into one. A removal is kept, because the row that it removes may
    /// be in an older run.
    fn merge(&mut self, runs: Vec<Run>) -> Result<Run> {
        let newest_first = runs.into_iter().rev().map(Rows::of_run);
        let sources = newest_first.collect::<Result<_>>()?;
        self.write(sources)
    }

    pub(super) fn name_of_run(number: u64) -> String {
        format!("{number}.run")
    }

    fn write(&mut self, newest_first: Vec<Rows>) -> Result<Run> {
        let place = self.dir.at(Self::name_of_run(self.runs_made));
        self.runs_made += 1;
        file::remove_if_present(&place)?;
        let mut writer = RowWriter::create(&place, 0)?;
        let run = Run(place);
        let mut rows = Merge::of(newest_first)?;
        while let Some(row) = rows.next()? {
            self.closing.check()?;
            writer.push(row.tree, &row.key, row.value.as_deref())?;
        }
        writer.finish()?;
        Ok(run)
    }
}
