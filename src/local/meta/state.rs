//! [`State`]: all rows of a store as of one batch, in layers alone. A backup is made of one, and a restore too.

use std::ops::ControlFlow;

use super::layer::Layer;
use super::layers::Layers;
use super::pace::Pace;
use super::{MetaStore, journal, query, stack};
use crate::going::Going;
use crate::local::file::{Dir, Place};
use crate::local::format::mutation::Tree;
use crate::local::format::record::{self, BlobHead};
use crate::local::format::tally::Tally;
use crate::sync::MutexGuard;
use crate::values::options::JournalOptions;
use crate::{ContentHash, DamagedFile, Result};

/// Layers that lead from the first batch to one. They never change.
pub(crate) struct State {
    files: Layers,
    /// The newest first.
    layers: Vec<Layer>,
}

/// The state of an open store. Until this is dropped, its files are not removed.
pub(crate) struct HeldState<'a> {
    pub state: State,
    _merging: MutexGuard<'a, ()>,
}

/// It is called with each blob and its size, bytes.
pub(crate) type BlobVisit<'a> = dyn FnMut(ContentHash, u64) -> Result<()> + 'a;

impl State {
    /// Opens the layers in a directory.
    ///
    /// # Errors
    /// [`Error::Damaged`] if one is missing, or what says where its rows are cannot be read. [`Error::Io`].
    pub(crate) fn open(dir: &Dir) -> Result<Self> {
        let files = Layers::new(dir.clone(), 0);
        let layers = files.open()?;
        Ok(Self { files, layers })
    }

    /// The last batch. 0 if the store has never had one.
    pub(crate) fn batch(&self) -> u64 {
        self.layers.first().map_or(0, |layer| layer.span().through)
    }

    /// The sum over all rows.
    pub(crate) fn tally(&self) -> Tally {
        self.layers.first().map(Layer::tally).unwrap_or_default()
    }

    /// How many parts there are.
    pub(crate) fn parts(&self) -> u64 {
        let tally = self.tally();
        tally.rows_of(Tree::Parts).saturating_sub(tally.ended_parts)
    }

    /// The files, each with its length, bytes.
    pub(crate) fn files(&self) -> impl Iterator<Item = (Place, u64)> {
        let files = self.layers.iter();
        files.map(|layer| (self.files.place_of(layer.span()), layer.len_bytes()))
    }

    /// Bytes of its files.
    pub(crate) fn len_bytes(&self) -> u64 {
        self.layers.iter().map(Layer::len_bytes).sum()
    }

    /// Reads every byte, and adds what is damaged to `found`.
    ///
    /// # Errors
    /// [`Error::Closed`] if `going` says no. [`Error::Io`].
    fn check(&self, going: &Going<'_>, found: &mut Vec<DamagedFile>) -> Result<()> {
        let mut layers = self.layers.iter();
        layers.try_for_each(|layer| layer.check(going, found))
    }

    /// Reads every byte.
    ///
    /// # Errors
    /// [`Error::Damaged`] if one is not what was written; [`Error::Closed`] if `going` says no; [`Error::Io`].
    pub(crate) fn require_whole(&self, going: &Going<'_>) -> Result<()> {
        let mut found = Vec::new();
        self.check(going, &mut found)?;
        found
            .first()
            .map_or(Ok(()), |damage| Err(damage.as_error()))
    }

    /// Passes on the blobs whose hashes begin with this byte, ascending.
    ///
    /// # Errors
    /// [`Error::Damaged`], [`Error::DamagedRow`] if a row does not hold what was written; [`Error::Io`], and
    /// those of `visit`.
    pub(crate) fn blobs(&self, prefix: u8, visit: &mut BlobVisit<'_>) -> Result<()> {
        let tree = Tree::Blobs;
        stack::scan_in(&self.layers, tree, &[prefix], &mut |key, value| {
            let Some((content, [0, 0])) = key.split_first_chunk::<32>() else {
                // It has more CRCs of the blob before.
                return Ok(ControlFlow::Continue(()));
            };
            let head = record::unseal(tree, key, value).and_then(BlobHead::decode);
            let Some((head, _)) = head else {
                return Err(query::damaged(tree, key));
            };
            visit(ContentHash::from_bytes(*content), head.size)?;
            Ok(ControlFlow::Continue(()))
        })
    }

    /// Makes the journal that a store with these layers begins with, in place of any other. `dir` is the
    /// store's `meta/`.
    pub(crate) fn begin_journal(&self, dir: &Dir, options: &JournalOptions) -> Result<()> {
        if self.layers.is_empty() {
            return MetaStore::create(dir, options);
        }
        dir.create_dir("journal")?;
        journal::restart(&dir.dir("journal")?, self.batch(), options.segment_len)
    }
}

/// How long a backup that waits for a merge does not ask whether to go on.
const A_MOMENT: std::time::Duration = std::time::Duration::from_millis(20);

impl MetaStore {
    /// Makes a checkpoint of all batches so far, and returns the state as of it, or a newer one.
    ///
    /// # Errors
    /// As for [`checkpoint`](Self::checkpoint).
    pub(crate) fn hold_state(&self, going: &Going<'_>) -> Result<HeldState<'_>> {
        let newest = self.newest();
        let merging = loop {
            if let Some(merging) = self.merging.try_lock() {
                break merging;
            }
            // A merge may take minutes.
            going.check()?;
            std::thread::sleep(A_MOMENT);
        };
        while self.checkpoint_seq() < newest {
            self.checkpoint(Pace::steady(), going)?;
        }
        let state = State {
            files: Layers::new(self.layers.dir().clone(), 0),
            layers: self.stack.view().layers().to_vec(),
        };
        Ok(HeldState {
            state,
            _merging: merging,
        })
    }
}
