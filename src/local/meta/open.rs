//! Opens the metadata: trusts the index after a clean close, and rebuilds it after anything else.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use super::index::Index;
use super::journal::{self, Journal, Scan};
use super::marker::MarkerFile;
use super::repair::{self, Repair};
use super::salvage::{self, Blobs, Salvage};
use super::snapshot::Snapshots;
use super::{MetaStore, Places};
use crate::going::{Closing, Going};
use crate::local::ballast::Ballast;
use crate::local::file::{self, Dir, Lock};
use crate::local::format::marker::{Marker, Orphans};
use crate::local::format::mutation::Mutation;
use crate::sync::Mutex;
use crate::values::options::{JournalOptions, Salvaging};
use crate::{DamagedFile, Error, IndexRecovery, Result, SalvageReport};

/// What opening found and did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Recovery {
    pub index: IndexRecovery,
    /// Batches read from the journal.
    pub batches: u64,
    /// Bytes of a torn write that were cut off the journal's end.
    pub torn_bytes: u64,
    pub orphans: Orphans,
    /// The files in the directories that do not belong to the store.
    pub foreign: Vec<PathBuf>,
    /// What was damaged and then written anew from the index.
    pub repaired: Vec<DamagedFile>,
    /// What salvage did, if it was asked for and needed, or finished.
    pub salvaged: Option<SalvageReport>,
}

/// Says that the index is rebuilt, and why.
fn rebuilt(reason: &Error) -> IndexRecovery {
    let reason = match reason {
        Error::Index { cause } => cause.clone(),
        other => other.one_line(),
    };
    IndexRecovery::Rebuilt { reason }
}

impl MetaStore {
    /// Makes the directories and the first journal segment of a new store. They count only once the store's
    /// format file is written.
    pub(crate) fn create(dir: &Dir, options: &JournalOptions) -> Result<()> {
        dir.write_in_place();
        for name in ["journal", "snapshot"] {
            file::remove_tree_if_present(&dir.at(name))?;
            dir.create_dir(name)?;
        }
        Journal::create(&dir.dir("journal")?, options.segment_len)?;
        dir.sync()
    }

    /// Whether no batch was ever written below `dir`. A creation that did not finish leaves it like that.
    pub(crate) fn is_unused(dir: &Dir) -> Result<bool> {
        match dir.dir("journal") {
            Err(error) if error.is_not_found() => Ok(true),
            journal => journal::is_unused(&journal?),
        }
    }
}

/// The arguments of an open.
pub(crate) struct Opening<'a> {
    pub lock: &'a Arc<Lock>,
    pub ballast: &'a Arc<Ballast>,
    pub options: &'a JournalOptions,
    /// Cache of the index, bytes.
    pub cache: u64,
    pub closing: &'a Closing,
    pub salvaging: Salvaging,
    pub blobs: &'a dyn Blobs,
    /// Called before the first byte is written that older versions cannot read. Nothing was changed before.
    pub accept_format: &'a dyn Fn() -> Result<()>,
}

/// The truth as it was found or made whole, and what was done for that.
struct Whole {
    truth: Truth,
    /// `None` if nothing proves the index.
    marker: Option<Marker>,
    repaired: Vec<DamagedFile>,
    salvaged: Option<SalvageReport>,
}

impl Opening<'_> {
    /// Opens the metadata. Nothing on disk is changed before journal and snapshot have been read and found
    /// whole, or written anew from an index that proves them. If a step has no room, the ballast is removed
    /// and everything is tried once more.
    ///
    /// # Errors
    /// [`Error::Damaged`], [`Error::StorageFull`], [`Error::Index`], [`Error::Io`].
    pub(crate) fn open(&self) -> Result<(MetaStore, Recovery)> {
        self.ballast.helping(|| self.try_open())
    }

    fn try_open(&self) -> Result<(MetaStore, Recovery)> {
        let meta = self.lock.dir().dir("meta")?;
        let marker_file = MarkerFile::new(meta.at("CLEAN"));
        let whole = self.find_truth(&meta, &marker_file)?;
        (self.accept_format)()?;
        marker_file.remove()?;
        let (truth, marker) = (whole.truth, whole.marker);
        let (index, index_recovery) = self.trust(&truth, marker.as_ref())?;
        for dir in [&meta, &truth.places.journal, &truth.places.snapshots] {
            self.lock.watch(dir);
        }
        let journal = self.resume(&truth)?;
        let index = index.map_or_else(|| truth.build_index(self.cache), Ok)?;
        // The next marker gets its room before others take it. If no room exists, the close tries again.
        let _ = self.ballast.helping(|| marker_file.prepare());
        index.lay_ahead();
        let recovery = Recovery {
            index: index_recovery,
            batches: truth.found.batches,
            torn_bytes: truth.found.tail.torn,
            orphans: marker.map_or(Orphans::Possible, |marker| marker.orphans),
            foreign: truth.places.foreign()?,
            repaired: whole.repaired,
            salvaged: whole.salvaged,
        };
        let store = MetaStore {
            journal,
            index,
            snapshots: truth.snapshots.until(self.closing),
            snapshot: Mutex::new(truth.base),
            snapshot_seq: AtomicU64::new(truth.base),
            marker: marker_file,
            snapshot_at: self.options.snapshot_at,
            ballast: Arc::clone(self.ballast),
            closing: self.closing.clone(),
        };
        // I8: something that failed on the way and was made good may have been a sync. Then nothing may be
        // acknowledged.
        self.lock.dir().health().check()?;
        Ok((store, recovery))
    }

    /// Reads journal and snapshot. Damage is repaired from an index that proves what they held, or salvaged
    /// if that is allowed.
    fn find_truth(&self, meta: &Dir, marker_file: &MarkerFile) -> Result<Whole> {
        repair::remove_copy(meta)?;
        let mut salvaged = salvage::finish(meta, self.blobs)?;
        // Making the directory hides no lost snapshot, because the journal shows that one is missing.
        meta.create_dir("snapshot")?;
        let mut marker = marker_file.read()?;
        let mut repaired = Vec::new();
        let mut read = Truth::read(meta, self.options, marker.as_ref());
        if let (Err(damage), Some(marker)) = (&read, &marker)
            && damage.tells_of_damage()
        {
            read = self.repair(meta, marker, damage).and_then(|file| {
                repaired.push(file);
                Truth::read(meta, self.options, Some(marker))
            });
        }
        if let Err(damage) = &read
            && damage.tells_of_damage()
            && self.salvaging == Salvaging::Allowed
        {
            (self.accept_format)()?;
            salvaged = Some(self.salvage(meta, marker.as_ref(), damage)?);
            marker = None;
            read = Truth::read(meta, self.options, None);
        }
        Ok(Whole {
            truth: read?,
            marker,
            repaired,
            salvaged,
        })
    }

    fn repair(&self, meta: &Dir, marker: &Marker, damage: &Error) -> Result<DamagedFile> {
        let repair = Repair {
            meta,
            marker,
            lock: self.lock,
            options: self.options,
            cache: self.cache,
        };
        repair.run(damage)
    }

    fn salvage(
        &self,
        meta: &Dir,
        marker: Option<&Marker>,
        damage: &Error,
    ) -> Result<SalvageReport> {
        let salvage = Salvage {
            meta,
            marker,
            options: self.options,
            cache: self.cache,
            blobs: self.blobs,
        };
        salvage.run(DamagedFile::of(damage))
    }

    /// Returns the index if the marker proves it. A worthless index is removed before anything needs room.
    /// The truth has been found whole.
    fn trust(
        &self,
        truth: &Truth,
        marker: Option<&Marker>,
    ) -> Result<(Option<Index>, IndexRecovery)> {
        let trust = || truth.trust_index(self.cache, marker);
        match self.ballast.helping(trust) {
            Ok(index) => Ok((Some(index), IndexRecovery::Trusted)),
            Err(error @ Error::Damaged { .. }) => Err(error),
            Err(reason) => {
                file::remove_tree_if_present(&truth.places.index)?;
                Ok((None, rebuilt(&reason)))
            }
        }
    }

    /// Returns the journal, ready for more, and without what the snapshot replaces.
    fn resume(&self, truth: &Truth) -> Result<Journal> {
        let journal = Journal::resume(
            &truth.places.journal,
            (self.lock, self.ballast),
            self.options.segment_len,
            &truth.found,
        )?;
        // After a `kill -9` the snapshot's name may not be durable yet. What it replaces is removed only
        // when it is.
        truth.places.snapshots.sync()?;
        truth.snapshots.remove_others(truth.base)?;
        journal.drop_through(truth.base)?;
        Ok(journal)
    }
}

/// Journal and snapshot, which were read and found whole.
pub(super) struct Truth {
    pub places: Places,
    pub snapshots: Snapshots,
    /// The newest snapshot. 0 for none.
    pub base: u64,
    pub found: Scan,
}

impl Truth {
    /// # Errors
    /// [`Error::Damaged`], also if the journal ends before the marker's batch. [`Error::Io`].
    fn read(meta: &Dir, options: &JournalOptions, marker: Option<&Marker>) -> Result<Self> {
        let places = Places::below(meta)?;
        let snapshots = Snapshots::new(places.snapshots.clone(), options.spill_at);
        let base = snapshots.newest()?;
        let found = read_journal(&places, base, &mut |_| Ok(()))?;
        if let Some(marker) = marker.filter(|marker| marker.seq > found.last_seq) {
            return Err(lost_end(&places.journal, &found, marker));
        }
        snapshots.check(base, &Going::until(&Closing::default()))?;
        Ok(Self {
            places,
            snapshots,
            base,
            found,
        })
    }

    /// Passes on the batches that are newer than the snapshot, in order.
    pub(super) fn read_journal(&self, visit: &mut Visit<'_>) -> Result<()> {
        read_journal(&self.places, self.base, visit).map(drop)
    }

    /// Opens the index, and trusts it if its rows add up to what the close had counted.
    fn trust_index(&self, cache: u64, marker: Option<&Marker>) -> Result<Index> {
        let Some(marker) = marker else {
            return Err(not_trusted(match self.found.batches {
                0 => "the store is empty",
                _ => "the store was not closed cleanly",
            }));
        };
        // A repair leaves a batch behind the marker's that changes no row.
        if marker.seq < self.found.last_change {
            return Err(not_trusted("the index is older than the journal"));
        }
        let index = Index::open(&self.places.index, cache)?;
        let counted = index.count(marker.tally.total_rows())?;
        if counted != marker.tally {
            let (rows, expected) = (counted.total_rows(), marker.tally.total_rows());
            return Err(not_trusted(&format!(
                "the index has {rows} rows, which do not add up to the {expected} that it had"
            )));
        }
        Ok(index)
    }
}

/// It is called with the mutations of a batch.
type Visit<'a> = dyn FnMut(&[Mutation<'_>]) -> Result<()> + 'a;

/// Reads the journal, checks that it joins the snapshot, and passes on the batches that are newer.
fn read_journal(places: &Places, base: u64, visit: &mut Visit<'_>) -> Result<Scan> {
    let found = journal::scan(
        &places.journal,
        &mut |seq, mutations: &[Mutation<'_>]| match seq {
            seq if seq > base => visit(mutations),
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

fn not_trusted(reason: &str) -> Error {
    Error::Index {
        cause: reason.to_owned(),
    }
}
