//! Repair: writes the journal anew from the index, when it is damaged and the index is proven.
//!
//! A clean close leaves CLEAN, with a 128 bit sum over all rows of the index. If the rows of the index add up
//! to it, the index holds what the journal behind the layers held, whatever has happened to that since. Its
//! rows become a layer. CLEAN is the proof, so it stays until the new truth has been read. A repair that is
//! interrupted at any step is done again by the next open.
//!
//! The index of a store of format 1 or 2 has all rows, and stands in for its snapshot as well.

use std::ops::{Bound, ControlFlow};
use std::sync::Arc;

use super::Places;
use super::index::Index;
use super::journal;
use super::layer::{Layer, LayerWriter};
use super::layers::{self, Layers, Making, STAGED};
use super::pulse::Pulse;
use crate::local::file::{self, Dir, Lock, Place};
use crate::local::format::layer::Span;
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
    /// Puts a layer of the index and a new journal in place of a journal in which `damage` was found.
    ///
    /// # Errors
    /// The damage, if the index is no proof or the disk has no room. Layers and journal are then as they
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
        let files = Layers::new(places.layers.clone(), self.options.spill_at);
        let mut opened = files.open()?;
        layers::check_newest(&opened, u64::MAX)?;
        let reached = opened.first().map_or(0, |layer| layer.span().through);
        self.refuse_newer(&places, reached)?;
        let Marker { seq, base, .. } = *self.marker;
        if reached < base {
            return Err(unproven(format!(
                "it has what follows batch {base}, and the layers end with batch {reached}"
            )));
        }
        if reached < seq {
            let span = Span {
                after: reached,
                through: seq,
            };
            opened.insert(0, self.write_layer(span, &files)?);
            layers::check_newest(&opened, u64::MAX)?;
        }
        remove_copy(self.meta)?;
        // An open that was killed may have put the layer there without making its name durable.
        places.layers.sync()?;
        self.lock.check()?;
        journal::restart(&places.journal, seq, self.options.segment_len)?;
        files.remove_others(&opened)
    }

    fn write_layer(&self, span: Span, layers: &Layers) -> Result<Layer> {
        let places = super::indexes(self.meta)?;
        let [place] = places.as_slice() else {
            return Err(unproven(
                "it is missing, or there is more than one".to_owned(),
            ));
        };
        let copy = self.copy_of(place)?;
        let index = Index::open(&copy, self.cache, &Arc::<Pulse>::default())?;
        let making = Making {
            staged: STAGED,
            span,
            most_rows: self.marker.index.total_rows(),
        };
        layers.publish(making, &mut |writer| {
            self.write_rows(&index, writer)?;
            Ok(self.marker.all)
        })
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
    fn refuse_newer(&self, places: &Places, reached: u64) -> Result<()> {
        let newest = journal::newest_change(&places.journal)?.max(reached);
        if newest <= self.marker.seq {
            return Ok(());
        }
        let seq = self.marker.seq;
        Err(unproven(format!(
            "batch {newest} is newer than CLEAN, which names batch {seq}"
        )))
    }

    /// Writes all rows, if they add up to the marker's sum.
    fn write_rows(&self, index: &Index, writer: &mut LayerWriter) -> Result<()> {
        let mut tally = Tally::default();
        for tree in Tree::ALL {
            index.scan(tree, Bound::Unbounded, &mut |key, value| {
                tally.add_row(tree, key, value.unwrap_or_default());
                writer.push(tree, key, value)?;
                Ok(ControlFlow::Continue(()))
            })?;
        }
        if tally == self.marker.index {
            return Ok(());
        }
        let (rows, expected) = (tally.total_rows(), self.marker.index.total_rows());
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
