//! Gathers every row that proves itself, from the indexes, the layers and the journal. Of each row the newest
//! one counts.

use std::ops::{Bound, ControlFlow};

use super::super::Places;
use super::super::fold::Fold;
use super::super::index::Index;
use super::super::journal::{self, Remains};
use super::super::layer;
use super::super::layers::Layers;
use super::super::snapshot::Snapshots;
use super::snapshot::rows_left;
use crate::going::{Closing, Going};
use crate::local::file::Place;
use crate::local::format::marker::Marker;
use crate::local::format::mutation::{Mutation, Tree};
use crate::local::format::record;
use crate::{DamagedFile, Error, Loss, Result};

/// What was gathered, beside the rows.
pub(super) struct Gathered {
    /// The newest batch of which anything is known.
    pub newest: u64,
    pub damaged: Vec<DamagedFile>,
    /// Batches and rows of which nothing is left.
    pub lost: Vec<Loss>,
    pub batches_lost: bool,
    /// Those that can be opened.
    pub indexes: Vec<Index>,
    /// How many rows were found.
    pub rows: u64,
}

/// Adds all rows to `fold`, the oldest first.
///
/// The rows of the indexes are added before all others. Nobody knows of which moment they are, so they count
/// only where layers and journal say nothing.
pub(super) fn gather(
    places: &Places,
    indexes: Vec<Index>,
    marker: Option<&Marker>,
    fold: &mut Fold,
) -> Result<Gathered> {
    for index in &indexes {
        add_index(index, fold)?;
    }
    let mut gathering = Gathering {
        places,
        fold,
        before: 0,
        rows: 0,
        damaged: Vec::new(),
        lost: Vec::new(),
    };
    gathering.add_snapshots()?;
    gathering.add_layers()?;
    let before = gathering.before;
    let remains = gathering.add_batches((before + 1, u64::MAX))?;
    let Gathering {
        rows,
        damaged,
        mut lost,
        ..
    } = gathering;
    let closed = marker.map(|marker| marker.seq);
    let batches = lost_batches(&remains, before, closed);
    let batches_lost = !batches.is_empty();
    lost.extend(batches);
    Ok(Gathered {
        batches_lost,
        newest: remains.newest.max(before).max(closed.unwrap_or(0)),
        lost,
        damaged: [damaged, remains.damaged].concat(),
        indexes,
        rows,
    })
}

struct Gathering<'a> {
    places: &'a Places,
    fold: &'a mut Fold,
    /// The newest batch whose rows were added.
    before: u64,
    rows: u64,
    damaged: Vec<DamagedFile>,
    lost: Vec<Loss>,
}

impl Gathering<'_> {
    /// Adds the snapshots of a store of an older format.
    fn add_snapshots(&mut self) -> Result<()> {
        let snapshots = Snapshots::in_dir(&self.places.layers);
        for seq in snapshots.seqs()? {
            self.add_batches((self.before + 1, seq))?;
            let place = snapshots.place_of(seq);
            let (fold, mut rows) = (&mut *self.fold, 0);
            let holes = rows_left(&place, &mut |row| {
                rows += 1;
                fold.add(&row.as_mutation())
            })?;
            self.note_holes(&place, holes);
            // A file that has a snapshot's name but is none says nothing about the batches before it.
            let check = || snapshots.check(seq, &Going::until(&Closing::default()));
            if rows > 0 || check().is_ok() {
                self.before = seq;
            }
            self.rows += rows;
        }
        Ok(())
    }

    fn add_layers(&mut self) -> Result<()> {
        let layers = Layers::new(self.places.layers.clone(), 0);
        for span in layers.spans()? {
            self.add_batches((self.before + 1, span.through))?;
            let place = layers.place_of(span);
            let (fold, mut rows) = (&mut *self.fold, 0);
            let left = layer::rows_left(&place, &mut |row| {
                rows += 1;
                fold.add(&row.as_mutation())
            })?;
            let is_whole = left.holes.is_empty();
            self.note_holes(&place, left.holes);
            // A layer that is missing leaves a gap, and of the batches in it nothing is known.
            let joins = span.after <= self.before;
            if joins && (rows > 0 || is_whole) {
                self.before = self.before.max(span.through);
            }
            self.rows += rows;
        }
        Ok(())
    }

    fn note_holes(&mut self, place: &Place, holes: Vec<(u64, u64)>) {
        for (from, to) in holes {
            let path = place.path();
            self.damaged.push(DamagedFile::of(&Error::Damaged {
                path: path.clone(),
                offset: from,
                reason: "rows cannot be read".to_owned(),
            }));
            self.lost.push(Loss::Rows {
                path,
                offset: from,
                len: to.saturating_sub(from),
            });
        }
    }

    /// Adds the batches in a range of sequence numbers, both ends included.
    fn add_batches(&mut self, range: (u64, u64)) -> Result<Remains> {
        let (fold, mut added) = (&mut *self.fold, 0);
        let remains = journal::remains(&self.places.journal, &mut |seq, mutations| {
            if !(range.0..=range.1).contains(&seq) {
                return Ok(());
            }
            added += mutations.len() as u64;
            mutations.iter().try_for_each(|mutation| fold.add(mutation))
        })?;
        self.rows += added;
        Ok(remains)
    }
}

fn add_index(index: &Index, fold: &mut Fold) -> Result<()> {
    // Tombstones of the index are asked for one by one, because they count less than any row.
    for tree in Tree::ALL
        .into_iter()
        .filter(|tree| *tree != Tree::Tombstones)
    {
        let mut outcome = Ok(());
        // A tree that fails has returned the rows before its failure.
        let _ = index.scan(tree, Bound::Unbounded, &mut |key, value| {
            if value.is_some_and(|value| record::unseal(tree, key, value).is_some()) {
                outcome = fold.add(&Mutation { tree, key, value });
            }
            Ok(if outcome.is_ok() {
                ControlFlow::Continue(())
            } else {
                ControlFlow::Break(())
            })
        });
        outcome?;
    }
    Ok(())
}

/// Batches behind `base` that were durable and cannot be read. The store was `closed` behind this batch, if it was.
fn lost_batches(remains: &Remains, base: u64, closed: Option<u64>) -> Vec<Loss> {
    let mut lost = Vec::new();
    let mut before = base;
    let through = remains.durable.max(closed.unwrap_or(0));
    let ends = [(through + 1, through + 1)];
    for (oldest, newest) in remains.ranges.iter().chain(&ends) {
        if *oldest > before + 1 {
            lost.push(Loss::Batches {
                first: before + 1,
                last: oldest - 1,
            });
        }
        before = before.max(*newest);
    }
    let after = remains.last().max(base);
    if remains.end_is_open && closed.is_none_or(|closed| closed < after) {
        lost.push(Loss::End { after });
    }
    lost
}
