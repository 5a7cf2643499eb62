//! Builds the index anew from the journal behind the newest layer. It uses runs if the disk has room for
//! them, and does without if not.

use super::checkpoint::Sum;
use super::index::{Index, Loading};
use super::open::Truth;
use super::passes;
use super::stack::Built;
use crate::local::format::mutation::{Mutation, Tree};
use crate::local::format::tally::Tally;
use crate::{Error, Result};

impl Truth {
    /// Builds the index. The old one is deleted first, to free its room for the new one.
    ///
    /// # Errors
    /// [`Error::StorageFull`] if the disk has no room for the index alone.
    pub(super) fn build_index(&self, cache: u64) -> Result<Built> {
        match self.build_from_runs(cache) {
            // The runs of a fold need room beside the index. Without them the work takes longer, but gives
            // the same rows in the same order.
            Err(Error::StorageFull { .. }) => self.build_in_passes(cache),
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
        let mut read = |visit: &mut dyn FnMut(&Mutation<'_>) -> Result<()>| {
            self.read_journal(&mut |mutations| mutations.iter().try_for_each(&mut *visit))
        };
        let sealed = self.found.sealed.iter().map(|sealed| sealed.len);
        let budget = passes::budget(sealed.sum());
        let mut rebuilding = self.rebuilding(&index);
        passes::in_passes(budget, &mut read, &mut |tree, key, value| {
            rebuilding.push(tree, key, value)
        })?;
        let (tally, damage) = rebuilding.finish()?;
        Ok(Built {
            index,
            tally,
            damage,
        })
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
