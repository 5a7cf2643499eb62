//! The files of the layers: `snapshot/<through>-<after>.rows`. Each has the rows that the batches above
//! `after`, through `through`, leave. Removed rows have a mark, except in the lowest layer.
//!
//! A file counts once it has its name. The layers that count begin with batch 1 and follow each other without
//! a gap to the last batch. Where there are several ways, the one with the longest layers counts. So a merged
//! layer replaces those that it was made of by getting its name.

use std::collections::BTreeMap;
use std::iter;
use std::path::PathBuf;

use super::fold::Fold;
use super::layer::{Layer, LayerWriter};
use super::snapshot;
use crate::going::{Closing, Going};
use crate::local::file::{self, Dir, Entry, Kind, Place};
use crate::local::format::layer::Span;
use crate::local::format::tally::Tally;
use crate::{Error, Event, Result, SyncKind};

/// The names of files that are not whole yet.
pub(super) const STAGED: &str = "layer.tmp";
pub(super) const STAGED_MERGE: &str = "merge.tmp";

/// A layer that is being made.
#[derive(Clone, Copy)]
pub(super) struct Making<'a> {
    /// Its name until it is whole.
    pub staged: &'a str,
    pub span: Span,
    /// How many rows it gets at most. If it gets more, it answers more slowly.
    pub most_rows: u64,
}

/// Writes the rows of a layer, and returns the sum over all rows of the store.
pub(super) type Fill<'a> = dyn FnMut(&mut LayerWriter) -> Result<Tally> + 'a;

/// The directory of a store's layers.
pub(super) struct Layers {
    dir: Dir,
    spill_at: usize,
    closing: Closing,
}

impl Layers {
    /// At most `spill_at` bytes of rows are folded in memory at a time.
    pub(super) fn new(dir: Dir, spill_at: usize) -> Self {
        Self {
            dir,
            spill_at,
            closing: Closing::default(),
        }
    }

    /// Makes folds end when `closing` begins.
    pub(super) fn until(self, closing: &Closing) -> Self {
        Self {
            closing: closing.clone(),
            ..self
        }
    }

    /// How many bytes of rows are folded in memory at a time.
    pub(super) fn spill_at(&self) -> u64 {
        self.spill_at as u64
    }

    pub(super) fn dir(&self) -> &Dir {
        &self.dir
    }

    /// Begins a fold whose temporary files are beside the layers.
    pub(super) fn begin_fold(&self) -> Fold {
        Fold::new(self.dir.clone(), self.spill_at, self.closing.clone())
    }

    /// Opens the layers that count, the newest first. Their rows are not read.
    ///
    /// # Errors
    /// [`Error::Damaged`] if a layer is missing, or what says where its rows are cannot be read.
    pub(super) fn open(&self) -> Result<Vec<Layer>> {
        let mut layers = Vec::new();
        for span in self.chain()? {
            layers.insert(0, self.open_one(span)?);
        }
        Ok(layers)
    }

    fn open_one(&self, span: Span) -> Result<Layer> {
        let place = self.place_of(span);
        let layer = Layer::open(&place)?;
        if layer.span() != span {
            return Err(Error::Damaged {
                path: place.path(),
                offset: 0,
                reason: "this is another layer".to_owned(),
            });
        }
        Ok(layer)
    }

    /// The spans of the layers that count, ascending.
    fn chain(&self) -> Result<Vec<Span>> {
        let spans = self.spans()?;
        chain_of(&spans).map_err(|(reached, behind)| Error::Damaged {
            path: self.place_of(behind).path(),
            offset: 0,
            reason: format!("the layer before it, behind batch {reached}, is missing"),
        })
    }

    /// The spans of all files that have the name of a layer.
    pub(super) fn spans(&self) -> Result<Vec<Span>> {
        let entries = self.dir.list()?;
        let spans = entries.iter().filter_map(|entry| match name_in(entry) {
            Some(Name::Layer(span)) => Some(span),
            _ => None,
        });
        let mut spans: Vec<Span> = spans.collect();
        spans.sort_unstable_by_key(|span| (span.through, span.after));
        Ok(spans)
    }

    /// Makes a layer of what `fill` writes, durably. `fill` returns the sum over all rows of the store. If it
    /// fails, nothing has changed.
    pub(super) fn publish(&self, making: Making<'_>, fill: &mut Fill<'_>) -> Result<Layer> {
        let staged = self.dir.at(making.staged);
        file::remove_if_present(&staged)?;
        let written = write(&staged, making, fill);
        if written.is_err() {
            // If it cannot be removed now, it is removed before the next one.
            let _ = file::remove_if_present(&staged);
        }
        written?;
        let place = self.place_of(making.span);
        file::rename(&staged, &place)?;
        let opened = self.open_named(making.span);
        if opened.is_err() {
            // The next layer may have only some of its batches, and would not join it.
            let _ = file::remove_if_present(&place);
        }
        opened
    }

    /// Opens a layer that has just got its name, once that is durable.
    fn open_named(&self, span: Span) -> Result<Layer> {
        self.dir.sync()?;
        self.open_one(span)
    }

    /// Removes every file of the store except these layers: what they replace, and what a crash left of
    /// others.
    pub(super) fn remove_others(&self, kept: &[Layer]) -> Result<()> {
        self.remove(&|entry| match name_in(entry) {
            Some(Name::Layer(span)) => kept.iter().all(|layer| layer.span() != span),
            Some(Name::Work) => true,
            None => snapshot::is_ours(entry),
        })
    }

    /// Removes the layers that these replace.
    pub(super) fn remove_replaced(&self, kept: &[Layer]) -> Result<()> {
        self.remove(&|entry| match name_in(entry) {
            Some(Name::Layer(span)) => kept.iter().all(|layer| layer.span() != span),
            _ => false,
        })
    }

    fn remove(&self, is_meant: &dyn Fn(&Entry) -> bool) -> Result<()> {
        let mut entries = self.dir.list()?;
        entries.retain(is_meant);
        if entries.is_empty() {
            return Ok(());
        }
        for entry in entries {
            file::remove_if_present(&self.dir.at(entry.name))?;
        }
        self.dir.sync()
    }

    pub(super) fn place_of(&self, span: Span) -> Place {
        self.dir.at(name_of(span))
    }
}

fn write(staged: &Place, making: Making<'_>, fill: &mut Fill<'_>) -> Result<()> {
    let mut writer = LayerWriter::create(staged, making.span, making.most_rows)?;
    let tally = fill(&mut writer)?;
    let written = writer.finish(&tally)?;
    let witness = staged.dir().health().witness();
    witness.timed(
        || written.sync_all(),
        |(), took| Event::sync(SyncKind::Layer, took),
    )
}

/// Reads the newest layers, as long as they have no more than so many bytes together.
pub(super) fn check_newest(layers: &[Layer], bytes: u64) -> Result<()> {
    let (mut read, mut damaged) = (0, Vec::new());
    for layer in layers {
        read += layer.len_bytes();
        if read > bytes {
            break;
        }
        layer.check(&Going::until(&Closing::default()), &mut damaged)?;
    }
    damaged
        .first()
        .map_or(Ok(()), |damage| Err(damage.as_error()))
}

/// Of these spans, those that lead from the first batch to the last one, ascending. Of two that lead to the
/// same batch, it takes the longer one. Each has what its batches leave, so any way is right.
///
/// `spans` ascend as [`Layers::spans`] does. The error is the batch up to which there is a way, and the first
/// span that begins behind it.
fn chain_of(spans: &[Span]) -> Result<Vec<Span>, (u64, Span)> {
    let mut before = BTreeMap::new();
    for span in spans {
        if span.after == 0 || before.contains_key(&span.after) {
            before.entry(span.through).or_insert(*span);
        }
    }
    let reached = before.keys().next_back().copied().unwrap_or(0);
    if let Some(behind) = spans.iter().find(|span| span.through > reached) {
        return Err((reached, *behind));
    }
    let mut chain: Vec<Span> =
        iter::successors(before.get(&reached), |span| before.get(&span.after))
            .copied()
            .collect();
    chain.reverse();
    Ok(chain)
}

/// What a name in the directory says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Name {
    Layer(Span),
    /// A temporary file.
    Work,
}

/// `None` for a name that no store makes there.
fn name_in(entry: &Entry) -> Option<Name> {
    if entry.kind == Kind::Directory {
        return None;
    }
    let name = entry.name.to_str()?;
    if [STAGED, STAGED_MERGE].contains(&name) {
        return Some(Name::Work);
    }
    if let Some(number) = name.strip_suffix(".run") {
        let number = number.parse().ok()?;
        return (Fold::name_of_run(number) == name).then_some(Name::Work);
    }
    let (through, after) = name.strip_suffix(".rows")?.split_once('-')?;
    let span = Span {
        after: after.parse().ok()?,
        through: through.parse().ok()?,
    };
    (span.after < span.through && name_of(span) == name).then_some(Name::Layer(span))
}

fn name_of(Span { after, through }: Span) -> String {
    format!("{through:020}-{after:020}.rows")
}

/// The files in the directory that do not belong to the store.
pub(super) fn foreign(dir: &Dir) -> Result<Vec<PathBuf>> {
    let mut entries = dir.list()?;
    entries.retain(|entry| name_in(entry).is_none() && !snapshot::is_ours(entry));
    Ok(entries
        .into_iter()
        .map(|entry| dir.at(entry.name).path())
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    type Pair = (u64, u64);

    fn chain(spans: &[Pair]) -> Result<Vec<Pair>, (u64, Pair)> {
        let mut spans: Vec<_> = spans
            .iter()
            .map(|&(after, through)| Span { after, through })
            .collect();
        spans.sort_unstable_by_key(|span| (span.through, span.after));
        let pair = |span: Span| (span.after, span.through);
        match chain_of(&spans) {
            Ok(chain) => Ok(chain.into_iter().map(pair).collect()),
            Err((reached, behind)) => Err((reached, pair(behind))),
        }
    }

    #[test]
    fn layers_lead_to_the_last_batch_past_what_is_left_of_others() {
        assert_eq!(chain(&[]), Ok(vec![]));
        assert_eq!(chain(&[(0, 10), (10, 20)]), Ok(vec![(0, 10), (10, 20)]));
        // A merged one, and some of those that it was made of.
        assert_eq!(chain(&[(0, 30), (10, 20), (20, 30)]), Ok(vec![(0, 30)]));
        assert_eq!(
            chain(&[(0, 10), (10, 20), (10, 30), (20, 30)]),
            Ok(vec![(0, 10), (10, 30)])
        );
        // One that was given up, but could not be removed, goes further than its successor.
        assert_eq!(
            chain(&[(0, 10), (10, 20), (10, 15), (15, 25)]),
            Ok(vec![(0, 10), (10, 15), (15, 25)])
        );
        assert_eq!(chain(&[(0, 10), (20, 30)]), Err((10, (20, 30))));
        assert_eq!(chain(&[(5, 10)]), Err((0, (5, 10))));
    }
}
