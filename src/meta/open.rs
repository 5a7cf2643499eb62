//! Opening the metadata: trust the index after a clean close, rebuild it after anything else.

use std::path::PathBuf;
use std::sync::Arc;

use parking_lot::Mutex;

use super::batch::Mutation;
use super::fold::Fold;
use super::index::Index;
use super::journal::{self, Journal, Scan};
use super::marker::{Marker, MarkerFile, Orphans};
use super::repair::{self, Repair};
use super::rows::RowReader;
use super::snapshot::Snapshots;
use super::{MetaStore, Places};
use crate::file::{self, Dir, Lock};
use crate::options::JournalOptions;
use crate::sabotage::Step;
use crate::{DamagedFile, Error, Result};

/// What opening found and did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Recovery {
    pub index: IndexState,
    /// Batches read from the journal.
    pub batches: u64,
    /// Sequence number of the snapshot that was read, 0 for none.
    pub snapshot: u64,
    /// Bytes of a torn write that were cut off the journal's end.
    pub torn_bytes: u64,
    pub orphans: Orphans,
    /// What lies in the directories and is not the store's.
    pub foreign: Vec<PathBuf>,
    /// What was damaged, and written anew from the index.
    pub repaired: Vec<DamagedFile>,
}

/// Whether the index was believed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum IndexState {
    /// The close was clean and all rows add up.
    Trusted,
    /// It was built anew from snapshot and journal.
    Rebuilt {
        /// Why.
        reason: String,
    },
}

impl MetaStore {
    /// Makes the directories and the first journal segment of a new store. Nothing of it counts
    /// before the store's format file is written.
    pub(crate) fn create(dir: &Dir, options: &JournalOptions) -> Result<()> {
        for name in ["journal", "snapshot"] {
            file::remove_tree_if_present(&dir.at(name))?;
            dir.create_dir(name)?;
        }
        Journal::create(&dir.dir("journal")?, options.segment_len)?;
        dir.sync()
    }

    /// Whether no batch was ever written below `dir`: what a creation that did not finish leaves.
    pub(crate) fn is_unused(dir: &Dir) -> Result<bool> {
        match dir.dir("journal") {
            Err(error) if error.is_not_found() => Ok(true),
            journal => journal::is_unused(&journal?),
        }
    }

    /// Opens what is there. Nothing on disk is changed before journal and snapshot have been read
    /// and found whole, or written anew from an index that proves them.
    ///
    /// # Errors
    /// [`Error::Damaged`], [`Error::StorageFull`], [`Error::Index`], [`Error::Io`].
    pub(crate) fn open(
        lock: &Arc<Lock>,
        options: &JournalOptions,
        cache: u64,
    ) -> Result<(Self, Recovery)> {
        let meta = lock.dir().dir("meta")?;
        repair::remove_copy(&meta)?;
        let marker_file = MarkerFile::new(meta.at("CLEAN"));
        let marker = marker_file.read()?;
        let (truth, repaired) = match (Truth::read(&meta, options, marker.as_ref()), &marker) {
            (Err(damage), Some(marker)) if damage.tells_of_damage() => {
                let repair = Repair {
                    meta: &meta,
                    marker,
                    lock,
                    options,
                    cache,
                };
                let repaired = repair.run(damage)?;
                (Truth::read(&meta, options, Some(marker))?, vec![repaired])
            }
            (read, _) => (read?, Vec::new()),
        };
        if !Step::MarkerRemoved.is_taken() {
            marker_file.remove()?;
        }
        let Truth {
            places,
            snapshots,
            base,
            found,
            fold,
        } = truth;
        let journal = Journal::resume(&places.journal, lock, options.segment_len, &found)?;
        let trusted = match &marker {
            Some(marker) => trust(&places, cache, marker, &found),
            None if found.batches == 0 => Err(not_trusted("the store is empty")),
            None => Err(not_trusted("the store was not closed cleanly")),
        };
        let (index, state) = match trusted {
            Ok(index) => (index, IndexState::Trusted),
            Err(error @ Error::Damaged { .. }) => return Err(error),
            Err(reason) => {
                let fold = fold.map_or_else(|| fold_again(&places, &snapshots, base), Ok)?;
                rebuild(&places, cache, (fold, snapshots.open(base)?), &reason)?
            }
        };
        // After a `kill -9` the snapshot's name may not be durable yet; what it replaces goes only then.
        places.snapshots.sync()?;
        snapshots.remove_others(base)?;
        journal.drop_through(base)?;
        let orphans = marker.map_or(Orphans::Possible, |marker| marker.orphans);
        let recovery = Recovery {
            index: state,
            batches: found.batches,
            snapshot: base,
            torn_bytes: found.tail.torn,
            orphans,
            foreign: places.foreign()?,
            repaired,
        };
        let (snapshot, snapshot_at) = (Mutex::new(base), options.snapshot_at);
        let lock = Arc::clone(lock);
        let store = Self {
            journal,
            index,
            snapshots,
            snapshot,
            marker: marker_file,
            snapshot_at,
            lock,
        };
        Ok((store, recovery))
    }
}

/// Journal and snapshot, read and found whole.
struct Truth {
    places: Places,
    snapshots: Snapshots,
    /// The newest snapshot, 0 for none.
    base: u64,
    found: Scan,
    /// What is newer than the snapshot; only where the index must be rebuilt.
    fold: Option<Fold>,
}

impl Truth {
    /// # Errors
    /// [`Error::Damaged`], also when the journal ends before the batch that the marker tells of;
    /// [`Error::Io`].
    fn read(meta: &Dir, options: &JournalOptions, marker: Option<&Marker>) -> Result<Self> {
        let places = Places::below(meta)?;
        let snapshots = Snapshots::new(places.snapshots.clone(), options.spill_at);
        let base = snapshots.newest()?;
        // A rebuild folds the journal while it is read. After a clean close there is nothing to
        // fold.
        let mut fold = marker.is_none().then(|| snapshots.begin_fold());
        let found = read_journal(&places, base, fold.as_mut())?;
        if let Some(marker) = marker.filter(|marker| marker.seq > found.last_seq) {
            return Err(lost_end(&places.journal, &found, marker));
        }
        snapshots.check(base)?;
        Ok(Self {
            places,
            snapshots,
            base,
            found,
            fold,
        })
    }
}

/// Reads the journal, checks that it joins the snapshot, and folds what is newer than the snapshot.
fn read_journal(places: &Places, base: u64, mut fold: Option<&mut Fold>) -> Result<Scan> {
    let found =
        journal::scan(
            &places.journal,
            &mut |seq, mutations: &[Mutation<'_>]| match &mut fold {
                Some(fold) if seq > base => {
                    mutations.iter().try_for_each(|mutation| fold.add(mutation))
                }
                _ => Ok(()),
            },
        )?;
    let missing = |reason: String| Error::Damaged {
        path: places.journal.path().to_owned(),
        offset: 0,
        reason,
    };
    if found.batches == 0 && (base != 0 || found.oldest_segment() != 1) {
        return Err(missing("the journal's segments are missing".to_owned()));
    }
    if found.batches != 0 && found.first_seq > base + 1 {
        let reason = format!(
            "it begins with batch {}; the snapshot before it is missing",
            found.first_seq
        );
        return Err(missing(reason));
    }
    if found.last_seq < base {
        return Err(missing(format!(
            "it ends with batch {}, before the snapshot through {base}",
            found.last_seq
        )));
    }
    Ok(found)
}

fn lost_end(journal: &Dir, found: &Scan, marker: &Marker) -> Error {
    let reason = format!(
        "it ends with batch {}, but the store was closed with batch {}",
        found.last_seq, marker.seq
    );
    Error::Damaged {
        path: journal::segment_place(journal, found.tail.number).path(),
        offset: found.tail.end,
        reason,
    }
}

/// Opens the index and believes it if its rows add up to what the close had counted.
fn trust(places: &Places, cache: u64, marker: &Marker, found: &Scan) -> Result<Index> {
    // A repair leaves a batch behind the marker's that changes nothing.
    if marker.seq < found.last_change {
        return Err(not_trusted("the index is older than the journal"));
    }
    let index = Index::open(&places.index, cache)?;
    let counted = index.count()?;
    if counted != marker.tally {
        let (rows, expected) = (counted.total_rows(), marker.tally.total_rows());
        return Err(not_trusted(&format!(
            "the index came back with {rows} rows that do not add up to the {expected} it had"
        )));
    }
    Ok(index)
}

/// Deletes the index and builds it from the fold of the journal and its snapshot.
fn rebuild(
    places: &Places,
    cache: u64,
    (fold, snapshot): (Fold, Option<RowReader>),
    reason: &Error,
) -> Result<(Index, IndexState)> {
    let index = Index::create(&places.index, cache)?;
    fold.finish(snapshot, &mut |tree, key, value| {
        index.apply(&[Mutation {
            tree,
            key,
            value: Some(value),
        }])
    })?;
    let reason = match reason {
        Error::Index { cause } => cause.clone(),
        other => other.chain(),
    };
    Ok((index, IndexState::Rebuilt { reason }))
}

fn fold_again(places: &Places, snapshots: &Snapshots, base: u64) -> Result<Fold> {
    let mut fold = snapshots.begin_fold();
    read_journal(places, base, Some(&mut fold))?;
    Ok(fold)
}

fn not_trusted(reason: &str) -> Error {
    Error::Index {
        cause: reason.to_owned(),
    }
}
