//! Gathers every row that proves itself, from the index, the snapshots and the journal. Of each row the
//! newest one counts.

use std::ops::{Bound, ControlFlow};

use super::super::Places;
use super::super::fold::Fold;
use super::super::index::Index;
use super::super::journal::{self, Remains};
use super::super::snapshot::Snapshots;
use super::snapshot::rows_left;
use crate::going::{Closing, Going};
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
    /// `None` if it cannot be opened.
    pub index: Option<Index>,
}

/// Adds all rows to `fold`, the oldest first.
///
/// The rows of the index are added before all others. Nobody knows of which moment they are, so they count
/// only where snapshots and journal say nothing.
pub(super) fn gather(
    (places, snapshots): (&Places, &Snapshots),
    index: Option<Index>,
    marker: Option<&Marker>,
    fold: &mut Fold,
) -> Result<Gathered> {
    if let Some(index) = &index {
        add_index(index, fold)?;
    }
    let (mut damaged, mut lost) = (Vec::new(), Vec::new());
    let mut before = 0;
    for seq in snapshots.seqs()? {
        let mut rows = 0;
        add_batches(places, (before + 1, seq), fold)?;
        let holes = rows_left(&snapshots.place_of(seq), &mut |row| {
            rows += 1;
            let value = row.value.as_deref();
            let (tree, key) = (row.tree, &row.key);
            fold.add(&Mutation { tree, key, value })
        })?;
        for (from, to) in holes {
            let path = snapshots.place_of(seq).path();
            damaged.push(DamagedFile::of(&Error::Damaged {
                path: path.clone(),
                offset: from,
                reason: "rows of the snapshot cannot be read".to_owned(),
            }));
            lost.push(Loss::Rows {
                path,
                offset: from,
                len: to.saturating_sub(from),
            });
        }
        // A file that has a snapshot's name but is none says nothing about the batches before it.
        if rows > 0
            || snapshots
                .check(seq, &Going::until(&Closing::default()))
                .is_ok()
        {
            before = seq;
        }
    }
    let remains = add_batches(places, (before + 1, u64::MAX), fold)?;
    let closed = marker.map_or(0, |marker| marker.seq);
    let batches = lost_batches(&remains, before, closed);
    let batches_lost = !batches.is_empty();
    lost.extend(batches);
    Ok(Gathered {
        batches_lost,
        newest: remains.newest.max(before).max(closed),
        lost,
        damaged: [damaged, remains.damaged].concat(),
        index,
    })
}

fn add_index(index: &Index, fold: &mut Fold) -> Result<()> {
    for tree in Tree::ALL {
        let mut outcome = Ok(());
        // A tree that fails has returned the rows before its failure.
        let _ = index.scan(tree, Bound::Unbounded, &mut |key, value| {
            if record::unseal(tree, key, value).is_some() {
                let value = Some(value);
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

/// Adds the batches in a range of sequence numbers, both ends included.
fn add_batches(places: &Places, range: (u64, u64), fold: &mut Fold) -> Result<Remains> {
    journal::remains(&places.journal, &mut |seq, mutations| {
        if (range.0..=range.1).contains(&seq) {
            mutations.iter().try_for_each(|mutation| fold.add(mutation))
        } else {
            Ok(())
        }
    })
}

/// Batches behind snapshot `base` that were durable and cannot be read.
fn lost_batches(remains: &Remains, base: u64, closed: u64) -> Vec<Loss> {
    let mut lost = Vec::new();
    let mut before = base;
    let through = remains.durable.max(closed);
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
    if remains.end_is_open && closed < remains.last().max(base) {
        let after = remains.last().max(base);
        lost.push(Loss::End { after });
    }
    lost
}
