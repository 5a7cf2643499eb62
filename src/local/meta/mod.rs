//! The metadata store: an ordered set of rows with an atomic durable batch.
//!
//! The [`layers`] and the [`journal`] behind them are the truth. sled is the [`index`] that answers questions
//! about what the journal has. A change is appended to the journal and applied to the index. It is durable
//! when the journal says so. A [`checkpoint`] writes what has rested to a layer. This module does not know blob
//! files.
//!
//! It keeps I2 (with the journal), I8 and I9.

mod ahead;
mod change;
mod checkpoint;
mod fold;
mod index;
pub(crate) mod journal;
pub(crate) mod layer;
mod layers;
mod marker;
mod merge;
mod open;
mod pace;
mod passes;
mod pulse;
mod query;
mod rebuild;
mod repair;
pub(crate) mod rows;
pub(crate) mod salvage;
mod snapshot;
mod stack;
#[cfg(not(shuttle))]
mod state;
mod truth;
mod window;

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

pub(crate) use change::Change;
pub(crate) use index::prove_threads;
use journal::Journal;
pub(crate) use journal::{SpaceUse, Ticket};
use layers::Layers;
use marker::MarkerFile;
pub(crate) use open::Opening;
pub(crate) use pace::Pace;
pub(crate) use pulse::Pulse;
use stack::Stack;
#[cfg(not(shuttle))]
pub(crate) use state::State;
pub(crate) use truth::Known;

use crate::going::{Closing, Going};
use crate::local::ballast::Ballast;
use crate::local::file::{self, Dir, Place};
use crate::local::format::marker::{Marker, Orphans};
use crate::local::format::tally::Tally;
use crate::local::health::Health;
use crate::sync::{Mutex, RwLock};
use crate::values::options::Salvaging;
use crate::{DamagedFile, Error, Result};

pub(crate) struct MetaStore {
    /// `meta/`.
    meta: Dir,
    journal: Journal,
    stack: Stack,
    layers: Layers,
    /// It is locked while a checkpoint is made, or the journal behind the last one is read.
    base: Mutex<Base>,
    /// Its sequence number, for readers that need no lock.
    base_seq: AtomicU64,
    /// A commit is in its turn until its batch is applied. Between two turns nothing is on its way from the
    /// journal to the index.
    turn: RwLock<()>,
    /// Bytes of the batches since the last checkpoint.
    changed: AtomicU64,
    merging: Mutex<()>,
    pulse: Arc<Pulse>,
    marker: MarkerFile,
    checkpoint_at: u64,
    /// Cache of an index, bytes.
    cache: u64,
    /// Removed when a step that frees space has no room.
    ballast: Arc<Ballast>,
    /// Nothing is committed.
    is_read_only: AtomicBool,
}

/// How far the layers go.
struct Base {
    /// Sequence number of the last batch in a layer. 0 for none.
    seq: u64,
    /// What becomes the next layer.
    frozen: Option<Frozen>,
}

/// An index that gets no more changes.
#[derive(Clone, Copy)]
struct Frozen {
    /// The last batch that it has.
    ticket: Ticket,
    /// The sum over all rows, as of that batch.
    tally: Tally,
    /// Bytes of its batches since the checkpoint before.
    bytes: u64,
}

/// The places of the metadata, below `meta/`.
struct Places {
    journal: Dir,
    layers: Dir,
    index: Place,
}

/// The name of the directory of the metadata.
const DIRECTORY: &str = "meta";

/// The name of an index's directory.
const INDEX: &str = "index";

/// The place of an index. The first one is that of a store that has had no checkpoint since it was opened.
fn index_place(meta: &Dir, number: u32) -> Place {
    match number {
        1 => meta.at(INDEX),
        number => meta.at(format!("{INDEX}.{number}")),
    }
}

/// The directory of the metadata, below that of the store. A salvage makes one that is missing.
///
/// # Errors
/// [`Error::Damaged`] if it is missing, and [`Error::Io`].
pub(crate) fn directory(root: &Dir, salvaging: Salvaging) -> Result<Dir> {
    match existing(root, DIRECTORY) {
        Err(Error::Damaged { .. }) if salvaging == Salvaging::Allowed => {
            root.create_dir(DIRECTORY)?;
            root.sync()?;
            root.dir(DIRECTORY)
        }
        opened => opened,
    }
}

/// A directory that a store always has.
fn existing(dir: &Dir, name: &str) -> Result<Dir> {
    dir.dir(name).map_err(|error| {
        if !error.is_not_found() {
            return error;
        }
        Error::Damaged {
            path: dir.at(name).path(),
            offset: 0,
            reason: "the directory is missing".to_owned(),
        }
    })
}

/// Whether a clean close has left its marker below `meta/`. A damaged marker counts as none.
#[cfg(not(shuttle))]
pub(crate) fn is_closed(meta: &Dir) -> Result<bool> {
    Ok(MarkerFile::new(meta.at("CLEAN")).read()?.is_some())
}

/// The places of all indexes below `meta/`.
pub(crate) fn indexes(meta: &Dir) -> Result<Vec<Place>> {
    let mut entries = meta.list()?;
    entries.retain(|entry| is_index(&entry.name));
    let places = entries.into_iter().map(|entry| meta.at(entry.name));
    Ok(places.collect())
}

/// Whether this is the name of an index's directory.
fn is_index(name: &OsStr) -> bool {
    let Some(rest) = name.to_str().and_then(|name| name.strip_prefix(INDEX)) else {
        return false;
    };
    let number = rest.strip_prefix('.');
    rest.is_empty() || number.is_some_and(|number| number.parse::<u32>().is_ok())
}

impl Places {
    fn below(dir: &Dir) -> Result<Self> {
        let journal = existing(dir, "journal")?;
        // Older stores get this flag for the files that are made from now on.
        dir.write_in_place();
        journal.write_in_place();
        Ok(Self {
            journal,
            layers: dir.dir("snapshot")?,
            index: index_place(dir, 1),
        })
    }

    /// The files in the directories that do not belong to the store.
    fn foreign(&self) -> Result<Vec<PathBuf>> {
        let mut foreign = journal::foreign(&self.journal)?;
        foreign.extend(layers::foreign(&self.layers)?);
        Ok(foreign)
    }
}

/// Whether this is a segment or a layer, and not a temporary file.
fn is_of_truth(path: &Path) -> bool {
    path.extension()
        .is_some_and(|extension| extension == "log" || extension == "rows")
}

impl MetaStore {
    /// Appends the change to the journal and applies it to the index. Readers see it at once. It is durable
    /// after [`wait`](Self::wait).
    ///
    /// The caller holds the lock that covers the rows. For the rows of an upload, its references and its
    /// share of its namespace's usage that is the upload's lock. For a key's object it is the key's lock.
    /// For the rows of a blob it is a pin or a claim on the content hash. So the mutations
    /// of a row are in the journal in the order in which the index gets them.
    ///
    /// # Errors
    /// - [`Error::StorageFull`], [`Error::Damaged`], [`Error::ReadOnly`]: nothing was changed.
    /// - [`Error::Poisoned`], [`Error::Index`]: only opening the store again tells whether the change was
    ///   kept.
    pub(crate) fn commit(&self, change: Change, space: SpaceUse) -> Result<Ticket> {
        // An index that does not answer would never get what the journal has.
        self.check()?;
        if self.is_read_only.load(Ordering::Relaxed) {
            return Err(Error::ReadOnly);
        }
        let batch =
            &change.into_batch(|namespace, stripe| self.usage_of_stripe(namespace, stripe))?;
        let len = batch.payload().len();
        let _turn = self.turn.read();
        let view = self.stack.view();
        let index = view.newest()?;
        let _assured = space.helped_by(&self.ballast, || index.assure(len, space))?;
        let ticket = self.journal.append(batch, space)?;
        self.changed.fetch_add(len as u64, Ordering::Relaxed);
        let applied = self.stack.apply(batch).map_err(index::as_failure);
        let damage = applied.inspect_err(|error| self.health().poison(error))?;
        if let Some(damage) = damage {
            self.note_damage(&damage);
        }
        Ok(ticket)
    }

    /// From now on every change fails.
    pub(crate) fn refuse_changes(&self) {
        self.is_read_only.store(true, Ordering::Relaxed);
    }

    /// Returns when the change is durable.
    ///
    /// # Errors
    /// [`Error::Poisoned`] (I8).
    pub(crate) fn wait(&self, ticket: Ticket) -> Result<()> {
        self.journal.wait(ticket)
    }

    /// Returns when everything that any reader has seen is durable.
    ///
    /// # Errors
    /// [`Error::Poisoned`] (I8).
    pub(crate) fn wait_for_all(&self) -> Result<()> {
        self.journal.wait(self.journal.newest())
    }

    /// Sequence number of the newest batch.
    pub(crate) fn newest(&self) -> u64 {
        self.journal.newest().seq()
    }

    /// Whether the store may still acknowledge (I8).
    pub(crate) fn health(&self) -> &Health {
        self.journal.health()
    }

    /// The failure that has stopped the store (I8).
    pub(crate) fn poisoned(&self) -> Option<String> {
        self.look_at_index();
        self.health().cause().map(str::to_owned)
    }

    /// # Errors
    /// [`Error::Poisoned`] after a failure (I8). [`Error::Damaged`] if the truth was found damaged.
    pub(crate) fn check(&self) -> Result<()> {
        self.look_at_index();
        self.health().check()?;
        self.journal.check_accepts()
    }

    /// Stops the store if the index does not answer any more.
    fn look_at_index(&self) {
        if let Err(silent) = self.pulse.check() {
            self.health().poison(&silent);
        }
    }

    /// Whether the index still answers.
    pub(crate) fn pulse(&self) -> &Arc<Pulse> {
        &self.pulse
    }

    /// Passes if the directory is the store's alone. Otherwise the store stops (I8).
    ///
    /// # Errors
    /// [`Error::Displaced`].
    pub(crate) fn check_ownership(&self) -> Result<()> {
        self.journal.check_ownership()
    }

    pub(crate) fn tally(&self) -> Tally {
        self.stack.tally()
    }

    /// Bytes of the journal.
    pub(crate) fn journal_len(&self) -> u64 {
        self.journal.len()
    }

    /// The newest batch that a layer has. 0 for none.
    pub(crate) fn checkpoint_seq(&self) -> u64 {
        self.base_seq.load(Ordering::Relaxed)
    }

    /// Refuses changes from now on, if the error of a reader or writer of the truth means damage.
    fn note_damage(&self, error: &Error) {
        if matches!(error, Error::Damaged { path, .. } if is_of_truth(path)) {
            self.journal.refuse_for(&[DamagedFile::of(error)]);
        }
    }

    /// Bytes of layers and journal.
    pub(crate) fn files_len(&self) -> u64 {
        let view = self.stack.view();
        let layers = view.layers().iter().map(layer::Layer::len_bytes);
        self.journal.len() + layers.sum::<u64>()
    }

    /// Reads layers and journal from disk, through the newest durable batch, and returns the damage. If
    /// it finds any, no change is accepted from now on.
    ///
    /// # Errors
    /// [`Error::Closed`] if `going` says no; what was found before is returned as well. [`Error::Io`].
    pub(crate) fn check_files(
        &self,
        going: &Going<'_>,
        found: &mut Vec<DamagedFile>,
    ) -> Result<()> {
        let checked = {
            let _base = self.base.lock();
            self.journal.check_files(going, found)
        };
        let view = self.stack.view();
        let mut layers = view.layers().iter();
        let checked = checked.and_then(|()| layers.try_for_each(|layer| layer.check(going, found)));
        self.journal.refuse_for(found);
        checked
    }

    /// Files of journal and layers that were found damaged since the store was opened.
    pub(crate) fn known_damage(&self) -> Vec<DamagedFile> {
        self.journal.known_damage()
    }

    /// Closes cleanly. The next open trusts the index, if its rows add up.
    ///
    /// # Errors
    /// - [`Error::Poisoned`], [`Error::Displaced`], [`Error::Index`], [`Error::Io`]: no marker exists, and
    ///   the next open rebuilds the index.
    /// - [`Error::Damaged`]: a marker exists, and the next open writes the journal anew from the index.
    pub(crate) fn close(mut self, orphans: Orphans) -> Result<()> {
        if self.base.lock().frozen.is_some() {
            // The next open looks for one index. This takes little time, so closing does not end it.
            let still = Closing::default();
            self.layers = self.layers.until(&still);
            let going = Going::until(&still);
            match self
                .ballast
                .helping(|| self.checkpoint(Pace::hurried(), &going))
            {
                // All is in the journal. Without a marker the next open rebuilds the index.
                Err(Error::StorageFull { .. }) => {
                    self.journal.wait(self.journal.newest())?;
                    return self.journal.check_accepts();
                }
                made => drop(made?),
            }
        }
        let newest = self.journal.newest();
        self.journal.wait(newest)?;
        let all = self.stack.tally();
        let index = self.stack.close()?;
        let place = index.place().clone();
        let index = index.close()?;
        self.journal.check_ownership()?;
        self.name_index(&place)?;
        let marker = Marker {
            seq: newest.seq(),
            base: self.checkpoint_seq(),
            index,
            all,
            orphans,
        };
        self.marker.write(&marker, &self.ballast)?;
        self.journal.health().check()?;
        self.journal.check_accepts()
    }

    /// Gives a closed index the name under which an index stands in a closed store.
    fn name_index(&self, place: &Place) -> Result<()> {
        let named = index_place(&self.meta, 1);
        if place.name() == named.name() {
            return Ok(());
        }
        file::remove_tree_if_present(&named)?;
        file::rename(place, &named)?;
        self.meta.sync()
    }
}
