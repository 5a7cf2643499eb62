//! Repair: writes journal and snapshot anew from the index, when one of them is damaged and the index is
//! proven.
//!
//! A clean close leaves CLEAN, with a 128 bit sum over all rows. If the rows of the index add up to it, the
//! index holds what the truth held, whatever has happened to the truth since. CLEAN is the proof, so it
//! stays until the new truth has been read. A repair that is interrupted at any step is done again by the
//! next open.

use std::ops::{Bound, ControlFlow};

use super::Places;
use super::index::Index;
use super::journal;
use super::rows::RowWriter;
use super::snapshot::Snapshots;
use crate::local::file::{self, Dir, Lock, Place};
use crate::local::format::marker::Marker;
use crate::local::format::mutation::Tree;
use crate::local::format::tally::Tally;
use crate::values::options::JournalOptions;
use crate::{DamagedFile, Error, Result};

pub(super) struct Repair<'a> {
    /// `meta/`.
    pub meta: &'a Dir,
    pub marker: &'a Marker,
    pub lock: &'a Lock,
    pub options: &'a JournalOptions,
    /// Bytes of memory for the index.
    pub cache: u64,
}

impl Repair<'_> {
    /// Puts a snapshot of the index and a new journal in place of a truth in which `damage` was found.
    ///
    /// # Errors
    /// The damage, if the index is no proof or the disk has no room. Journal and snapshot are then as they
    /// were.
    pub(super) fn run(&self, damage: &Error) -> Result<DamagedFile> {
        match self.write_anew() {
            Ok(()) => Ok(DamagedFile::of(damage)),
            Err(failed) => {
                // If it cannot be removed now, the next open removes it.
                let _ = remove_copy(self.meta);
                Err(unrepaired(damage, &failed))
            }
        }
    }

    fn write_anew(&self) -> Result<()> {
        for name in ["journal", "snapshot"] {
            self.meta.create_dir(name)?;
        }
        self.meta.sync()?;
        let places = Places::below(self.meta)?;
        let snapshots = Snapshots::new(places.snapshots.clone(), self.options.spill_at);
        self.refuse_newer(&places, &snapshots)?;
        let seq = self.marker.seq;
        if seq != 0 && self.check_snapshot(&snapshots).is_err() {
            let copy = self.copy_of(&places.index)?;
            let index = Index::open(&copy, self.cache)?;
            snapshots.put(seq, &mut |writer| self.write_rows(&index, writer))?;
            self.check_snapshot(&snapshots)?;
        }
        remove_copy(self.meta)?;
        // An open that was killed may have put the snapshot there without making its name durable.
        places.snapshots.sync()?;
        self.lock.check()?;
        journal::restart(&places.journal, seq, self.options.segment_len)?;
        snapshots.remove_others(seq)
    }

    /// sled changes its files when they are opened, and a crash in the meantime may make them useless.
    /// While they are the only proof, a copy of them is opened instead.
    fn copy_of(&self, index: &Place) -> Result<Place> {
        remove_copy(self.meta)?;
        let copy = self.meta.at(COPY);
        file::copy_tree(&index.dir().dir(index.name())?, &copy)?;
        Ok(copy)
    }

    /// A marker that is older than the journal proves nothing about it, because somebody has put it back.
    fn refuse_newer(&self, places: &Places, snapshots: &Snapshots) -> Result<()> {
        let newest = journal::newest_change(&places.journal)?;
        let newest = newest.max(snapshots.newest_that_opens()?);
        if newest <= self.marker.seq {
            return Ok(());
        }
        let seq = self.marker.seq;
        Err(unproven(format!(
            "batch {newest} is newer than CLEAN, which names batch {seq}"
        )))
    }

    /// Writes all rows, if they add up to the marker's sum.
    fn write_rows(&self, index: &Index, writer: &mut RowWriter) -> Result<()> {
        let mut tally = Tally::default();
        for tree in Tree::ALL {
            index.scan(tree, Bound::Unbounded, &mut |key, value| {
                tally.add_row(tree, key, value);
                writer.push(tree, key, Some(value))?;
                Ok(ControlFlow::Continue(()))
            })?;
        }
        self.compare(&tally)
    }

    /// Reads the snapshot of the marker's batch. An earlier try may have written it.
    fn check_snapshot(&self, snapshots: &Snapshots) -> Result<()> {
        let mut tally = Tally::default();
        if let Some(mut rows) = snapshots.open(self.marker.seq)? {
            while let Some(row) = rows.next()? {
                tally.add_row(row.tree, &row.key, &row.value.unwrap_or_default());
            }
        }
        self.compare(&tally)
    }

    fn compare(&self, tally: &Tally) -> Result<()> {
        if *tally == self.marker.tally {
            return Ok(());
        }
        let (rows, expected) = (tally.total_rows(), self.marker.tally.total_rows());
        Err(unproven(format!(
            "its {rows} rows do not add up to the {expected} that it had"
        )))
    }
}

/// The copy of the index, below `meta/`.
const COPY: &str = "index.copy";

/// Removes the copy that a repair works on. An interrupted one may have left it.
pub(super) fn remove_copy(meta: &Dir) -> Result<()> {
    file::remove_tree_if_present(&meta.at(COPY))
}

fn unproven(cause: String) -> Error {
    Error::Index { cause }
}

/// The damage, with why it was not repaired.
fn unrepaired(damage: &Error, failed: &Error) -> Error {
    let why = match failed {
        Error::Index { cause } => cause.clone(),
        other => other.one_line(),
    };
    let DamagedFile {
        path,
        offset,
        reason,
        ..
    } = DamagedFile::of(damage);
    Error::Damaged {
        path,
        offset,
        reason: format!("{reason} (the index cannot stand in for it: {why})"),
    }
}
