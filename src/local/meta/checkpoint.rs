//! Checkpoints: the changes since the last one become a [layer](super::layers), and the journal behind them
//! is removed. Later layers of a size are merged.
//!
//! A layer is made of the journal and of nothing else, so rows that sled has lost cannot be lost in the
//! truth, too. Its files no longer change, so writes go on at the same time.

use std::cell::RefCell;
use std::sync::atomic::Ordering;

use super::index::Index;
use super::journal::Sealed;
use super::layer::{Layer, LayerWriter};
use super::layers::{Making, STAGED, STAGED_MERGE};
use super::merge::Merge;
use super::pace::Pace;
use super::{Base, Frozen, MetaStore, stack};
use crate::going::Going;
use crate::local::file;
use crate::local::format::layer::Span;
use crate::local::format::mutation::Tree;
use crate::local::format::tally::Tally;
use crate::spans::span;
use crate::sync::{GLANCE, MutexGuard, RwLockWriteGuard};
use crate::{Error, Event, Result};

/// How many layers of about a size are merged to one.
const FAN_IN: usize = 4;
/// Layers of about a size have the same number of bits in their length, in steps of so many.
const STEP_BITS: u32 = 2;
/// With more layers than this a merge is behind. Each question asks all of them.
const MANY_LAYERS: usize = 32;

/// What a checkpoint of the batches so far needs beside their rows, bytes: blocks, filters and an index.
const OVERHEAD: u64 = 64 * 1024;

impl MetaStore {
    /// Whether so much has changed since the last checkpoint that another one saves disk space and time of
    /// the next open.
    pub(crate) fn wants_checkpoint(&self) -> bool {
        let changed = self.changed.load(Ordering::Relaxed);
        changed > self.checkpoint_at && self.newest() > self.checkpoint_seq()
    }

    /// How many bytes a checkpoint takes at most, before it frees the journal.
    pub(crate) fn checkpoint_needs(&self) -> u64 {
        let runs = 2;
        runs * self.changed.load(Ordering::Relaxed) + OVERHEAD
    }

    /// Writes what has changed since the last checkpoint to a layer, and removes the journal behind it.
    /// `false` if nothing has changed. It does not read the index, and delays nobody.
    ///
    /// # Errors
    /// [`Error::StorageFull`], [`Error::Io`], [`Error::Damaged`]: the journal stays as it is.
    pub(crate) fn checkpoint(&self, pace: Pace, going: &Going<'_>) -> Result<bool> {
        self.take(|base| self.advance(base, pace, going))
    }

    /// Makes a layer of what the journal has, and tells the observer. `false` if there is nothing to do.
    fn take(
        &self,
        step: impl FnOnce(&mut MutexGuard<'_, Base>) -> Result<Option<u64>>,
    ) -> Result<bool> {
        self.check()?;
        let _span = span!(INFO, "checkpoint");
        let witness = self.health().witness();
        let began = witness.begin();
        let taken = step(&mut self.base.lock());
        let bytes = taken.inspect_err(|error| self.note_damage(error))?;
        if let Some(bytes) = bytes {
            witness.tell(began, |took| Event::Checkpoint { bytes, took });
        }
        Ok(bytes.is_some())
    }

    /// Returns the bytes of the layer. `None` if nothing has changed.
    fn advance(
        &self,
        base: &mut MutexGuard<'_, Base>,
        pace: Pace,
        going: &Going<'_>,
    ) -> Result<Option<u64>> {
        self.journal.check_ownership()?;
        let frozen = match base.frozen {
            Some(frozen) => {
                self.changed.fetch_sub(frozen.bytes, Ordering::Relaxed);
                frozen
            }
            None if self.newest() == base.seq => return Ok(None),
            None => self.freeze(base)?,
        };
        let written = self.write_frozen(frozen, base.seq, pace, going);
        let bytes = written.inspect_err(|_| {
            // These bytes still wait for a layer.
            self.changed.fetch_add(frozen.bytes, Ordering::Relaxed);
        })?;
        // As soon as the layer is durable, the store continues from it, whatever happens to the files that it
        // replaces. They are removed now or the next time.
        self.stack.thaw();
        base.frozen = None;
        // Steps may have gone further in the meantime.
        self.advanced_to(base.seq.max(frozen.ticket.seq()), base)?;
        Ok(Some(bytes))
    }

    /// Writes what the frozen index has to a layer above batch `reached`, as far as no step has done that.
    /// Returns the bytes of the layer.
    fn write_frozen(
        &self,
        frozen: Frozen,
        reached: u64,
        pace: Pace,
        going: &Going<'_>,
    ) -> Result<u64> {
        self.journal.wait(frozen.ticket)?;
        let span = Span {
            after: reached,
            through: frozen.ticket.seq(),
        };
        if span.after >= span.through {
            return Ok(0);
        }
        let layer = self.write_layer(span, Some(frozen.tally), pace, going)?;
        let bytes = layer.len_bytes();
        self.stack.underlay(layer);
        Ok(bytes)
    }

    /// Puts an empty index above the one that has what changed.
    fn freeze(&self, base: &mut MutexGuard<'_, Base>) -> Result<Frozen> {
        let empty = self.empty_index()?;
        let _alone = self.between_turns()?;
        let frozen = Frozen {
            ticket: self.journal.newest(),
            tally: self.stack.tally(),
            bytes: self.changed.swap(0, Ordering::Relaxed),
        };
        self.stack.freeze(empty);
        base.frozen = Some(frozen);
        Ok(frozen)
    }

    /// Waits until no commit is on its way from the journal to the index. One that hangs in the index is not
    /// waited for.
    fn between_turns(&self) -> Result<RwLockWriteGuard<'_, ()>> {
        loop {
            if let Some(alone) = self.turn.try_write_for(GLANCE) {
                return Ok(alone);
            }
            self.check()?;
        }
    }

    /// An empty index in a directory of its own. If it cannot be made, nothing is left of it.
    fn empty_index(&self) -> Result<Index> {
        let place = self.free_place()?;
        let created = Index::create(&place, self.cache, self.pulse());
        if created.is_err() {
            // If this fails, too, the next open removes it.
            let _ = file::remove_tree_if_present(&place);
        }
        created.inspect(Index::lay_ahead)
    }

    /// A directory for an index that none has.
    fn free_place(&self) -> Result<file::Place> {
        let mut number = 1;
        loop {
            let place = super::index_place(&self.meta, number);
            if place.id()?.is_none() {
                return Ok(place);
            }
            number += 1;
        }
    }

    /// How many bytes a step takes at most. 0 if nothing is left to do.
    pub(crate) fn step_needs(&self) -> u64 {
        let segments = self.step_of(self.checkpoint_seq());
        segments.iter().map(|segment| segment.len).sum()
    }

    /// As [`checkpoint`](Self::checkpoint), for a disk that has no room for a whole one: writes the oldest
    /// segments to a layer, as many as can be folded in memory. The index keeps their rows.
    ///
    /// # Errors
    /// As for [`checkpoint`](Self::checkpoint).
    pub(crate) fn checkpoint_step(&self, going: &Going<'_>) -> Result<bool> {
        self.take(|base| self.step(base, going))
    }

    fn step(&self, base: &mut MutexGuard<'_, Base>, going: &Going<'_>) -> Result<Option<u64>> {
        self.journal.check_ownership()?;
        let Some(last) = self
            .step_of(base.seq)
            .last()
            .map(|segment| segment.last_seq)
        else {
            return Ok(None);
        };
        let span = Span {
            after: base.seq,
            through: last,
        };
        let layer = self.write_layer(span, None, Pace::hurried(), going)?;
        let bytes = layer.len_bytes();
        self.stack.underlay(layer);
        self.advanced_to(last, base)?;
        Ok(Some(bytes))
    }

    /// The sealed segments of the next step.
    fn step_of(&self, base: u64) -> Vec<Sealed> {
        let mut sealed = self.journal.sealed();
        sealed.retain(|sealed| sealed.last_seq > base);
        let mut bytes = 0;
        let more = sealed.iter().take_while(|segment| {
            bytes += segment.len;
            bytes <= self.layers.spill_at() / 2
        });
        // At least one, even a large one.
        let count = more.count().max(1);
        sealed.truncate(count);
        sealed
    }

    /// The store continues from the newest layer.
    fn advanced_to(&self, seq: u64, base: &mut MutexGuard<'_, Base>) -> Result<()> {
        base.seq = seq;
        self.base_seq.store(seq, Ordering::Relaxed);
        // A layer takes some time. What it replaces is removed only if it is where the next open looks for
        // it.
        self.journal.check_ownership()?;
        self.journal.drop_through(seq)
    }

    /// Writes a layer of the journal. `tally` is the sum over all rows as of its last batch, if that is known.
    fn write_layer(
        &self,
        span: Span,
        tally: Option<Tally>,
        mut pace: Pace,
        going: &Going<'_>,
    ) -> Result<Layer> {
        // The next one is due already, so batches come in faster than this layer is made.
        let behind = || self.wants_checkpoint();
        let (mut fold, mut rows) = (self.layers.begin_fold(), 0);
        self.journal
            .read_through((span.after, span.through), &mut |_, mutations| {
                going.advance_a_little(0)?;
                rows += mutations.len() as u64;
                mutations.iter().try_for_each(|mutation| {
                    pace.note_read(
                        mutation.key.len() + mutation.value.map_or(0, <[u8]>::len),
                        behind,
                    );
                    fold.add(mutation)
                })
            })?;
        let making = Making {
            staged: STAGED,
            span,
            most_rows: rows,
        };
        let (mut fold, view) = (Some(fold), self.stack.view());
        self.layers.publish(making, &mut |writer| {
            let fold = fold.take().ok_or(Error::Closed)?;
            let mut sum = Sum::of(view.layers());
            fold.finish(&mut |tree, key, value| {
                going.advance_a_little(0)?;
                if tally.is_none() {
                    sum.add(tree, key, value)?;
                }
                push(writer, span, (tree, key, value))?;
                pace.keep(writer, behind).map(drop)
            })?;
            tally.map_or_else(|| sum.whole(), Ok)
        })
    }

    /// The layers that are to be merged next, the newest first. Empty if none are.
    fn mergeable(&self) -> Vec<Layer> {
        let view = self.stack.view();
        let sizes: Vec<u64> = view.layers().iter().map(Layer::len_bytes).collect();
        view.layers()
            .get(..merged_together(&sizes))
            .unwrap_or_default()
            .to_vec()
    }

    /// How many bytes the next merge takes at most. 0 if none is due.
    pub(crate) fn merge_needs(&self) -> u64 {
        self.mergeable().iter().map(Layer::len_bytes).sum()
    }

    /// Merges the layers that are to be merged next. In the meantime it calls `aside` now and then. `false` if somebody
    /// else merges, or a backup needs the layers' files.
    ///
    /// # Errors
    /// As for [`checkpoint`](Self::checkpoint), and those of `aside`.
    pub(crate) fn merge(&self, going: &Going<'_>, aside: &dyn Fn() -> Result<()>) -> Result<bool> {
        let witness = self.health().witness();
        let merged = {
            let Some(_alone) = self.merging.try_lock() else {
                return Ok(false);
            };
            let layers = self.mergeable();
            if layers.is_empty() {
                return Ok(true);
            }
            let _span = span!(INFO, "merge", layers = layers.len());
            let began = witness.begin();
            let merged = self.merge_some(&layers, going, aside);
            merged.map(|bytes| (began, layers.len() as u64, bytes))
        };
        let (began, layers, bytes) = merged.inspect_err(|error| self.note_damage(error))?;
        witness.tell(began, |took| Event::Merge {
            layers,
            bytes,
            took,
        });
        Ok(true)
    }

    /// Returns the bytes of the new layer.
    fn merge_some(
        &self,
        layers: &[Layer],
        going: &Going<'_>,
        aside: &dyn Fn() -> Result<()>,
    ) -> Result<u64> {
        let (Some(newest), Some(oldest)) = (layers.first(), layers.last()) else {
            return Ok(0);
        };
        self.journal.check_ownership()?;
        let span = Span {
            after: oldest.span().after,
            through: newest.span().through,
        };
        let most = layers.iter().map(Layer::rows).sum();
        let mut rows = Merge::of_layers(layers.iter().map(Layer::all).collect())?;
        let making = Making {
            staged: STAGED_MERGE,
            span,
            most_rows: most,
        };
        let merged = self.layers.publish(making, &mut |writer| {
            let mut pace = Pace::steady();
            let behind = || self.stack.view().layers().len() > MANY_LAYERS;
            while let Some(row) = rows.next()? {
                push(writer, span, (row.tree, &row.key, row.value.as_deref()))?;
                if pace.keep(writer, behind)? {
                    going.check()?;
                    aside()?;
                }
            }
            Ok(newest.tally())
        })?;
        let bytes = merged.len_bytes();
        self.stack.merged(merged);
        self.journal.check_ownership()?;
        let _base = self.base.lock();
        self.layers.remove_replaced(self.stack.view().layers())?;
        Ok(bytes)
    }
}

/// Adds a row. The lowest layer needs no mark of a removed one.
pub(super) fn push(
    writer: &mut LayerWriter,
    span: Span,
    (tree, key, value): (Tree, &[u8], Option<&[u8]>),
) -> Result<()> {
    if value.is_none() && span.after == 0 {
        return Ok(());
    }
    writer.push(tree, key, value)
}

/// The sum over all rows: those of the layers, and the changes behind them, each row once.
pub(super) struct Sum<'a> {
    layers: &'a [Layer],
    pub tally: Tally,
    /// A damaged block of the layers, whose rows could not be subtracted.
    pub damage: RefCell<Option<Error>>,
}

impl<'a> Sum<'a> {
    /// Begins with the rows of these layers, the newest first.
    pub(super) fn of(layers: &'a [Layer]) -> Self {
        let newest = layers.first();
        Self {
            layers,
            tally: newest.map_or_else(Tally::default, Layer::tally),
            damage: RefCell::default(),
        }
    }

    /// The sum, for a layer.
    ///
    /// # Errors
    /// [`Error::Damaged`] if rows could not be subtracted: the next open would go on from a wrong sum.
    pub(super) fn whole(self) -> Result<Tally> {
        self.damage.into_inner().map_or(Ok(self.tally), Err)
    }

    /// Adds a change of a row.
    pub(super) fn add(&mut self, tree: Tree, key: &[u8], value: Option<&[u8]>) -> Result<()> {
        let below = stack::get_in(self.layers, tree, key);
        if let Some(below) = &stack::unless_damaged(below, &self.damage)? {
            self.tally.subtract_row(tree, key, below);
        }
        if let Some(value) = value {
            self.tally.add_row(tree, key, value);
        }
        Ok(())
    }
}

/// How many of the newest layers are merged together, given their sizes from the newest on. 0 for none.
///
/// Of each size there are fewer than [`FAN_IN`] in the end. So a row is written once for each size that it
/// goes through, and a question is answered by few layers.
fn merged_together(sizes: &[u64]) -> usize {
    for at in 0..u64::BITS / STEP_BITS {
        let class = |size: &u64| size.checked_ilog2().unwrap_or(0) / STEP_BITS;
        if sizes.iter().filter(|size| class(size) == at).count() >= FAN_IN {
            // A larger one between them comes along, because a layer has all batches of its span.
            let last = sizes.iter().rposition(|size| class(size) <= at);
            return last.map_or(0, |last| last + 1);
        }
    }
    0
}

#[cfg(test)]
mod tests {
    use super::merged_together;

    #[test]
    fn layers_of_a_size_are_merged_and_few_are_left() {
        assert_eq!(merged_together(&[]), 0);
        assert_eq!(merged_together(&[10, 10, 10]), 0);
        assert_eq!(merged_together(&[10, 10, 10, 10]), 4);
        assert_eq!(merged_together(&[10, 10, 10, 10, 1000]), 4);
        assert_eq!(merged_together(&[10, 1000, 10, 10, 10, 1000]), 5);
        // Ever more layers of one size: few are left, and each row is written a few times.
        let (mut sizes, mut written) = (Vec::<u64>::new(), 0);
        for _ in 0..4096 {
            sizes.insert(0, 16);
            loop {
                let merged = merged_together(&sizes);
                if merged == 0 {
                    break;
                }
                let sum: u64 = sizes.drain(..merged).sum();
                written += sum;
                sizes.insert(0, sum);
            }
            assert!(sizes.len() <= 20, "{sizes:?}");
        }
        assert_eq!(sizes.iter().sum::<u64>(), 4096 * 16);
        assert!(written <= 7 * 4096 * 16, "{written}");
    }
}
