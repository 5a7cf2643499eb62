//! Opens the metadata: trusts the index after a clean close, and rebuilds it after anything else.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64};

use super::index::Index;
use super::journal::{self, Journal, Scan};
use super::layer::Layer;
use super::layers::{self, Layers, Making, STAGED};
use super::marker::MarkerFile;
use super::pulse::Pulse;
use super::repair::{self, Repair};
use super::salvage::{self, Blobs, Salvage};
use super::snapshot::Snapshots;
use super::stack::{Built, Stack};
use super::{Base, MetaStore, Places};
use crate::going::{Closing, Going};
use crate::local::ballast::Ballast;
use crate::local::file::{self, Dir, Lock};
use crate::local::format::layer::Span;
use crate::local::format::marker::{Marker, Orphans};
use crate::local::format::mutation::Mutation;
use crate::local::format::tally::Tally;
use crate::sync::{Mutex, RwLock};
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

/// So many bytes of layers are read by an open, the newest first. It finds damage early where that costs little,
/// and takes no longer in a large store.
const CHECKED_AT_OPEN: u64 = 64 * 1024 * 1024;

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
    pub trusts_index: bool,
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
    /// Opens the metadata. Nothing on disk is changed before layers and journal have been read and found
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
        let (mut truth, marker) = (whole.truth, whole.marker);
        let (index, index_recovery) = self.trust(&meta, &truth, marker.as_ref())?;
        for dir in [&meta, &truth.places.journal, &truth.places.layers] {
            self.lock.watch(dir);
        }
        truth.convert()?;
        let journal = self.resume(&truth)?;
        let Built {
            index,
            tally,
            damage,
        } = index.map_or_else(|| truth.build_index(self.cache, &journal), Ok)?;
        if let Some(damage) = damage {
            journal.refuse_for(&[DamagedFile::of(&damage)]);
        }
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
            meta,
            journal,
            stack: Stack::new(index, truth.opened, tally),
            layers: truth.layers.until(self.closing),
            base: Mutex::new(Base {
                seq: truth.base,
                frozen: None,
            }),
            base_seq: AtomicU64::new(truth.base),
            turn: RwLock::default(),
            changed: AtomicU64::new(truth.changed),
            merging: Mutex::default(),
            pulse: truth.pulse,
            marker: marker_file,
            checkpoint_at: self.options.checkpoint_at,
            cache: self.cache,
            ballast: Arc::clone(self.ballast),
            is_read_only: AtomicBool::new(false),
        };
        // I8: something that failed on the way and was made good may have been a sync. Then nothing may be
        // acknowledged.
        self.lock.dir().health().check()?;
        Ok((store, recovery))
    }

    /// Opens the layers and reads the journal. Damage to the journal is repaired from an index that proves what
    /// it held. Other damage is salvaged, if that is allowed.
    fn find_truth(&self, meta: &Dir, marker_file: &MarkerFile) -> Result<Whole> {
        repair::remove_copy(meta)?;
        let mut salvaged = salvage::finish(meta, self.blobs)?;
        // Making the directory hides no lost layer, because the journal shows that one is missing.
        meta.create_dir("snapshot")?;
        let mut marker = marker_file.read()?;
        let mut repaired = Vec::new();
        let checked = match self.salvaging {
            Salvaging::Allowed => u64::MAX,
            Salvaging::Refused => CHECKED_AT_OPEN,
        };
        let read_truth = |marker: Option<&Marker>| Truth::read(meta, self.options, marker, checked);
        let mut read = read_truth(marker.as_ref());
        if let (Err(damage), Some(marker)) = (&read, &marker)
            && damage.tells_of_damage()
        {
            read = self.repair(meta, marker, damage).and_then(|file| {
                repaired.push(file);
                read_truth(Some(marker))
            });
        }
        if let Err(damage) = &read
            && damage.tells_of_damage()
            && self.salvaging == Salvaging::Allowed
        {
            (self.accept_format)()?;
            salvaged = Some(self.salvage(meta, marker.as_ref(), damage)?);
            marker = None;
            read = read_truth(None);
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
        meta: &Dir,
        truth: &Truth,
        marker: Option<&Marker>,
    ) -> Result<(Option<Built>, IndexRecovery)> {
        let trust = || {
            if self.trusts_index {
                return truth.trust_index(meta, self.cache, marker);
            }
            Err(Error::Index {
                cause: "whoever opens the store has asked for a new one".to_owned(),
            })
        };
        match self.ballast.helping(trust) {
            Ok(trusted) => Ok((Some(trusted), IndexRecovery::Trusted)),
            Err(error @ Error::Damaged { .. }) => Err(error),
            Err(reason) => {
                for place in super::indexes(meta)? {
                    file::remove_tree_if_present(&place)?;
                }
                Ok((None, rebuilt(&reason)))
            }
        }
    }

    /// Returns the journal, ready for more, and without what the layers replace.
    fn resume(&self, truth: &Truth) -> Result<Journal> {
        let journal = Journal::resume(
            &truth.places.journal,
            (self.lock, self.ballast),
            self.options.segment_len,
            &truth.found,
        )?;
        // After a `kill -9` the name of a layer may not be durable yet. What it replaces is removed only when
        // it is.
        truth.places.layers.sync()?;
        truth.layers.remove_others(&truth.opened)?;
        journal.drop_through(truth.base)?;
        Ok(journal)
    }
}

/// Layers and journal, which were read and found whole.
pub(super) struct Truth {
    pub places: Places,
    pub layers: Layers,
    /// The newest first.
    pub opened: Vec<Layer>,
    /// The newest batch that a layer has, or a snapshot of an older format. 0 for none.
    pub base: u64,
    pub found: Scan,
    /// Bytes of the batches behind the layers.
    changed: u64,
    pub pulse: Arc<Pulse>,
}

impl Truth {
    /// # Errors
    /// [`Error::Damaged`], also if the journal ends before the marker's batch. [`Error::Io`].
    fn read(
        meta: &Dir,
        options: &JournalOptions,
        marker: Option<&Marker>,
        checked: u64,
    ) -> Result<Self> {
        let places = Places::below(meta)?;
        let files = Layers::new(places.layers.clone(), options.spill_at);
        let opened = files.open()?;
        let snapshots = Snapshots::in_dir(files.dir());
        let base = match opened.first() {
            Some(layer) => layer.span().through,
            None => snapshots.newest()?,
        };
        let mut changed = 0;
        let found = read_journal(&places, base, &mut |mutations| {
            let lens = mutations.iter().map(Mutation::encoded_len);
            changed += lens.sum::<usize>() as u64;
            Ok(())
        })?;
        if let Some(marker) = marker.filter(|marker| marker.seq > found.last_seq) {
            return Err(lost_end(&places.journal, &found, marker));
        }
        match opened.as_slice() {
            [] if base > 0 => {
                snapshots.check(base, &Going::until(&Closing::default()))?;
            }
            opened => layers::check_newest(opened, checked)?,
        }
        Ok(Self {
            places,
            layers: files,
            opened,
            base,
            found,
            changed,
            pulse: Arc::default(),
        })
    }

    /// Writes the snapshot of a store of an older format to a layer.
    fn convert(&mut self) -> Result<()> {
        if self.base > 0 && self.opened.is_empty() {
            let snapshots = Snapshots::in_dir(self.layers.dir());
            self.opened = vec![convert(&snapshots, self.base, &self.layers)?];
        }
        Ok(())
    }

    /// The batches of a new layer, which is durable, are behind it.
    pub(super) fn rest_on(&mut self, layer: Layer) {
        self.base = layer.span().through;
        self.changed = 0;
        self.opened.insert(0, layer);
    }

    /// Passes on the batches that no layer has, in order.
    pub(super) fn read_journal(&self, visit: &mut Visit<'_>) -> Result<()> {
        read_journal(&self.places, self.base, visit).map(drop)
    }

    /// Opens the index, and trusts it if its rows add up to what the close had counted. Returns the sum over
    /// all rows, too.
    fn trust_index(&self, meta: &Dir, cache: u64, marker: Option<&Marker>) -> Result<Built> {
        let Some(marker) = marker else {
            return Err(not_trusted(match self.found.batches {
                0 => "the store is empty",
                _ => "the store was not closed cleanly",
            }));
        };
        if self.base < marker.base {
            return Err(not_trusted("layers are missing that it builds on"));
        }
        // A repair leaves a batch behind the marker's that changes no row.
        if marker.seq < self.found.last_change {
            return Err(not_trusted("the index is older than the journal"));
        }
        if self.base > 0 && self.opened.is_empty() {
            return Err(not_trusted("it is of an older format"));
        }
        let places = super::indexes(meta)?;
        let place = match places.as_slice() {
            [] => &self.places.index,
            [place] => place,
            _ => return Err(not_trusted("there is more than one")),
        };
        let index = Index::open(place, cache, &self.pulse)?;
        let counted = index.count(marker.index.total_rows())?;
        if counted != marker.index {
            let (rows, expected) = (counted.total_rows(), marker.index.total_rows());
            return Err(not_trusted(&format!(
                "the index has {rows} rows, which do not add up to the {expected} that it had"
            )));
        }
        Ok(Built {
            index,
            tally: marker.all,
            damage: None,
        })
    }
}

/// Writes the rows of the snapshot through `seq` to a layer, durably.
fn convert(snapshots: &Snapshots, seq: u64, layers: &Layers) -> Result<Layer> {
    let making = Making {
        staged: STAGED,
        span: Span {
            after: 0,
            through: seq,
        },
        most_rows: snapshots.check(seq, &Going::until(&Closing::default()))?,
    };
    layers.publish(making, &mut |writer| {
        let (mut rows, mut tally) = (snapshots.open(seq)?, Tally::default());
        while let Some(row) = rows.next()? {
            let value = row.value.as_deref().unwrap_or_default();
            tally.add_row(row.tree, &row.key, value);
            writer.push(row.tree, &row.key, row.value.as_deref())?;
        }
        Ok(tally)
    })
}

/// It is called with the mutations of a batch.
type Visit<'a> = dyn FnMut(&[Mutation<'_>]) -> Result<()> + 'a;

/// Reads the journal, checks that it joins the layers, and passes on the batches that are newer.
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
            "it begins with batch {}; the layer before it is missing",
            found.first_seq
        );
        return Err(missing(reason));
    }
    if found.last_seq < base {
        return Err(missing(format!(
            "it ends with batch {}, before the layer through {base}",
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
