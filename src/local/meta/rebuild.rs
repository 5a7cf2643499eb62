//! Builds the index anew from snapshot and journal. It uses runs if the disk has room for them, and does
//! without if not.

use super::index::Index;
use super::open::Truth;
use super::passes;
use crate::local::format::mutation::Mutation;
use crate::{Error, Result};

impl Truth {
    /// Builds the index. The old one is deleted first, to free its room for the new one.
    ///
    /// # Errors
    /// [`Error::StorageFull`] if the disk has no room for the index alone.
    pub(super) fn build_index(&self, cache: u64) -> Result<Index> {
        match self.build_from_runs(cache) {
            // The runs of a fold need room beside the index. Without them the work takes longer, but gives
            // the same rows in the same order.
            Err(Error::StorageFull { .. }) => self.build_in_passes(cache),
            done => done,
        }
    }

    fn build_from_runs(&self, cache: u64) -> Result<Index> {
        let mut fold = self.snapshots.begin_fold();
        self.read_journal(&mut |mutations| {
            mutations.iter().try_for_each(|mutation| fold.add(mutation))
        })?;
        let index = Index::create(&self.places.index, cache)?;
        let mut loading = index.loading();
        fold.finish(self.snapshots.open(self.base)?, &mut |tree, key, value| {
            loading.push(tree, key, value)
        })?;
        loading.finish()?;
        Ok(index)
    }

    fn build_in_passes(&self, cache: u64) -> Result<Index> {
        let index = Index::create(&self.places.index, cache)?;
        let mut read = |visit: &mut dyn FnMut(&Mutation<'_>) -> Result<()>| {
            if let Some(mut rows) = self.snapshots.open(self.base)? {
                while let Some(row) = rows.next()? {
                    visit(&row.as_mutation())?;
                }
            }
            self.read_journal(&mut |mutations| mutations.iter().try_for_each(&mut *visit))
        };
        let sealed = self.found.sealed.iter().map(|sealed| sealed.len);
        let budget = passes::budget(sealed.sum());
        let mut loading = index.loading();
        passes::in_passes(budget, &mut read, &mut |tree, key, value| {
            loading.push(tree, key, value)
        })?;
        loading.finish()?;
        Ok(index)
    }
}
