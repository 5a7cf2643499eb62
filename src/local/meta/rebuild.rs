//! Builds the index anew from the journal behind the newest layer. It uses runs if the disk has room for
//! them, and does without if not. If the index alone has no room, either, the rows become a layer, which is
//! shorter.

use super::checkpoint::{self, Sum};
use super::fold::Sink;
use super::index::{Index, Loading};
use super::journal::Journal;
use super::layers::{Making, STAGED};
use super::open::Truth;
use super::passes;
use super::stack::Built;
use crate::local::file;
use crate::local::format::layer::Span;
use crate::local::format::mutation::{Mutation, Tree};
use crate::local::format::tally::Tally;
use crate::{Error, Result};

impl Truth {
    /// Builds the index. The old one is deleted first, to free its room for the new one.
    ///
    /// # Errors
    /// [`Error::StorageFull`] if the disk has no room for the rows alone.
    pub(super) fn build_index(&mut self, cache: u64, journal: &Journal) -> Result<Built> {
        let built = match self.build_from_runs(cache) {
            // The runs of a fold need room beside the index. Without them the work takes longer, but gives
            // the same rows in the same order.
            Err(Error::StorageFull { .. }) => self.build_in_passes(cache),
            done => done,
        };
        match built {
            Err(full @ Error::StorageFull { .. }) if self.base < self.found.last_seq => {
                self.build_above_a_layer(cache, journal, full)
            }
            done => done,
        }
    }

    fn build_from_runs(&self, cache: u64) -> Result<Built> {
        let mut fold = self.layers.begin_fold();
        self.read_journal(&mut |mutations| {
            mutations.iter().try_for_each(|mutation| fold.add(mutation))
        })?;
        let index = Index::create(&self.places.index, cache, &self.pulse)?;
        let mut rebuilding = self.rebuilding(&index);
        fold.finish(&mut |tree, key, value| rebuilding.push(tree, key, value))?;
        let (tally, damage) = rebuilding.finish()?;
        Ok(Built {
            index,
            tally,
            damage,
        })
    }

    fn build_in_passes(&self, cache: u64) -> Result<Built> {
        let index = Index::create(&self.places.index, cache, &self.pulse)?;
        let mut rebuilding = self.rebuilding(&index);
        self.read_in_passes(&mut |tree, key, value| rebuilding.push(tree, key, value))?;
        let (tally, damage) = rebuilding.finish()?;
        Ok(Built {
            index,
            tally,
            damage,
        })
    }

    /// Passes on what the journal leaves of each row, by tree and key, without any file.
    fn read_in_passes(&self, sink: &mut Sink<'_>) -> Result<()> {
        let mut read = |visit: &mut dyn FnMut(&Mutation<'_>) -> Result<()>| {
            self.read_journal(&mut |mutations| mutations.iter().try_for_each(&mut *visit))
        };
        let sealed = self.found.sealed.iter().map(|sealed| sealed.len);
        passes::in_passes(passes::budget(sealed.sum()), &mut read, sink)
    }

    /// Makes a layer of what the journal has, and an empty index above it.
    fn build_above_a_layer(&mut self, cache: u64, journal: &Journal, full: Error) -> Result<Built> {
        self.write_layer(full)?;
        // A layer takes some time. What it replaces is removed only if it is where the next open looks for it, and
        // before the index needs room.
        journal.check_ownership()?;
        journal.drop_through(self.base)?;
        Ok(Built {
            index: Index::create(&self.places.index, cache, &self.pulse)?,
            tally: Sum::of(&self.opened).tally,
            damage: None,
        })
    }

    /// Writes what the journal has to a layer, as a checkpoint does.
    ///
    /// # Errors
    /// `full`, if a damaged block of the layers hides what the sum needs: a layer must have it, and an index, for which
    /// there was no room, goes on without it.
    fn write_layer(&mut self, full: Error) -> Result<()> {
        let index = &self.places.index;
        file::remove_tree_if_present(index)?;
        // Some file systems free later what a removed file had. If this fails, there is less room.
        let _ = index.dir().sync_file_system();
        let mut rows = 0;
        self.read_journal(&mut |mutations| {
            rows += mutations.len() as u64;
            Ok(())
        })?;
        let span = Span {
            after: self.base,
            through: self.found.last_seq,
        };
        let making = Making {
            staged: STAGED,
            span,
            most_rows: rows,
        };
        let mut is_summed = true;
        let layer = self.layers.publish(making, &mut |writer| {
            let mut sum = Sum::of(&self.opened);
            self.read_in_passes(&mut |tree, key, value| {
                sum.add(tree, key, value)?;
                checkpoint::push(writer, span, (tree, key, value))
            })?;
            sum.whole().inspect_err(|_| is_summed = false)
        });
        if !is_summed {
            return Err(full);
        }
        self.rest_on(layer?);
        Ok(())
    }

    fn rebuilding<'a>(&'a self, index: &'a Index) -> Rebuilding<'a> {
        Rebuilding {
            loading: index.loading(),
            sum: Sum::of(&self.opened),
        }
    }
}

/// An index that is being built, and the sum over all rows so far.
struct Rebuilding<'a> {
    loading: Loading<'a>,
    sum: Sum<'a>,
}

impl Rebuilding<'_> {
    fn push(&mut self, tree: Tree, key: &[u8], value: Option<&[u8]>) -> Result<()> {
        self.sum.add(tree, key, value)?;
        self.loading.push(tree, key, value)
    }

    fn finish(self) -> Result<(Tally, Option<Error>)> {
        self.loading.finish()?;
        Ok((self.sum.tally, self.sum.damage.into_inner()))
    }
}
