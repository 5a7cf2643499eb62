//! The engine: the two stores, and what keeps them consistent. It lives from open to close.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use md5_lanes::Lanes;

use crate::blob::BlobStore;
use crate::buffers::Buffers;
use crate::file::{self, Lock};
use crate::format::marker::Orphans;
use crate::format::record::{UploadRecord, UploadState};
use crate::going::{Closing, Going};
use crate::locks::Locks;
use crate::meta::{Change, MetaStore, Opening, SpaceUse, Ticket};
use crate::namespaces::Namespaces;
use crate::pins::Pins;
use crate::process::Process;
use crate::room::Room;
use crate::suspects::{Need, Suspects};
use crate::sweep::Sweep;
use crate::sync::Mutex;
use crate::values::id::IdSource;
use crate::values::namespace::NamespaceId;
use crate::{Key, LastSweep, Options, RecoveryReport, Result, Stats, SweepReport, Upload};

use super::ages::Ages;
use super::directory::{self, Found};
use super::upgrade;

/// The last snapshot and the last sweep.
#[derive(Default)]
pub(crate) struct Last {
    pub snapshot: Option<SystemTime>,
    pub sweep: Option<LastSweep>,
}

pub(crate) struct Engine {
    pub options: Options,
    pub meta: MetaStore,
    pub blobs: Arc<BlobStore>,
    pub buffers: Arc<Buffers>,
    pub lanes: Arc<Lanes>,
    pub pins: Arc<Pins>,
    pub locks: Locks,
    pub namespaces: Namespaces,
    pub ids: IdSource,
    pub ages: Ages,
    pub room: Arc<Room>,
    pub suspects: Suspects,
    pub recovery: RecoveryReport,
    pub process: Process,
    pub closing: Closing,
    pub last: Mutex<Last>,
    /// Dropped last: nobody else may open the directory while any part of this still works.
    _lock: Arc<Lock>,
}

impl Engine {
    pub(crate) fn open(path: &Path, options: Options) -> Result<Self> {
        let started = Instant::now();
        let process = Process::opens_a_store()?;
        let path = file::absolute(path)?;
        let (lock, found) = directory::lock_or_create(&path, &options)?;
        let lock = Arc::new(lock);
        let buffers = Arc::<Buffers>::default();
        let closing = Closing::default();
        let blobs = BlobStore::open(lock.dir(), &buffers)?.until(&closing);
        for dir in blobs.dirs() {
            lock.watch(dir);
        }
        let ballast = lock.dir().dir("meta")?.at("ballast");
        let room = Room::new(lock.dir().clone(), ballast, options.headroom);
        room.give_up_ballast_if_low();
        let opening = Opening {
            lock: &lock,
            ballast: room.ballast(),
            options: &options.journal,
            cache: options.index_cache,
            closing: &closing,
            salvaging: options.salvaging,
            blobs: &blobs,
            accept_format: &|| directory::accept_format(lock.dir(), found),
        };
        let (meta, recovered) = opening.open()?;
        if found != Found::Nothing {
            // The ballast may have been removed by the last close, or by this open.
            room.lay_ballast();
        }
        let orphans = match found {
            Found::Nothing => Orphans::RuledOut,
            Found::Store | Found::OlderStore => recovered.orphans,
        };
        let recovery = RecoveryReport {
            created: found == Found::Nothing,
            index: recovered.index,
            journal_batches: recovered.batches,
            torn_bytes: recovered.torn_bytes,
            orphans_possible: orphans == Orphans::Possible,
            foreign: [blobs.foreign(), &recovered.foreign].concat(),
            repaired: recovered.repaired,
            salvaged: recovered.salvaged,
            elapsed: started.elapsed(),
        };
        upgrade::count_usage(&meta)?;
        let ids = IdSource::after(meta.newest_upload()?);
        Ok(Self {
            ages: Ages::from_now_on(ids.newest()),
            ids,
            suspects: Suspects::new(orphans),
            pins: Pins::new(meta.pulse()),
            locks: Locks::new(meta.pulse()),
            namespaces: Namespaces::open(&meta)?,
            room: Arc::new(room),
            blobs: Arc::new(blobs),
            buffers,
            lanes: Arc::new(Lanes::new("partstore-md5")),
            process,
            closing,
            last: Mutex::default(),
            _lock: lock,
            options,
            meta,
            recovery,
        })
    }

    pub(crate) fn close(self) -> Result<()> {
        // From here on the index is written out.
        self.room.give_up_ballast_if_low();
        let orphans = self.suspects.orphans();
        self.meta.close(orphans)
    }

    /// Commits a change, if the quotas of its namespaces allow it. See [`MetaStore::commit`].
    pub(crate) fn commit(&self, change: Change, space: SpaceUse) -> Result<Ticket> {
        self.namespaces.commit(&self.meta, change, space)
    }

    /// The record of an upload that has this id **and** this key, open or completed (R9).
    pub(crate) fn record(&self, upload: &Upload) -> Result<Option<UploadRecord>> {
        let record = self.meta.upload(upload.id())?;
        Ok(record.filter(|record| self.has_key(record, upload.full_key())))
    }

    fn has_key(&self, record: &UploadRecord, key: &Key) -> bool {
        let is_in = match record.namespace {
            NamespaceId::DEFAULT => key.namespace().is_empty(),
            id => {
                let space = self.namespaces.find(key.namespace());
                space.is_ok_and(|space| space.id == id)
            }
        };
        is_in && record.key == key.as_str()
    }

    /// The record of an open upload.
    pub(crate) fn record_if_open(&self, upload: &Upload) -> Result<UploadRecord> {
        let record = self
            .record(upload)?
            .filter(|record| record.state == UploadState::Open);
        record.ok_or_else(|| upload.not_found())
    }

    /// Removes what can be removed, until `going` says no.
    pub(crate) fn sweep(&self, going: &Going<'_>) -> Result<SweepReport> {
        let Self {
            meta,
            blobs,
            pins,
            suspects,
            ..
        } = self;
        let sweep = Sweep {
            meta,
            blobs,
            pins,
            suspects,
            going,
        };
        let report = sweep.run()?;
        if !going.has_stopped() {
            let at = SystemTime::now();
            self.last.lock().sweep = Some(LastSweep { at, report });
        }
        Ok(report)
    }

    /// How long a sweep that no caller asked for must still wait. Zero when it is due. The wait is shorter
    /// when the disk is nearly full.
    pub(crate) fn sweep_rests(&self) -> Duration {
        let need = if self.room.is_scarce() {
            Need::Room
        } else {
            Need::None
        };
        self.suspects.rest(need)
    }

    pub(crate) fn stats(&self) -> Result<Stats> {
        use crate::format::mutation::Tree;
        let tally = self.meta.tally();
        let last = self.last.lock();
        let open_uploads = tally.rows_of(Tree::UploadNames);
        Ok(Stats {
            open_uploads,
            keys: tally.rows_of(Tree::Keys),
            objects: tally.rows_of(Tree::Uploads).saturating_sub(open_uploads),
            parts: tally.rows_of(Tree::Parts),
            part_bytes: tally.part_bytes,
            blobs: tally.blobs,
            blob_bytes: tally.blob_bytes,
            garbage: tally.rows_of(Tree::Garbage),
            damaged_blobs: self.blobs.damaged(),
            damaged_files: self.meta.known_damage(),
            staged_bodies: self.blobs.staged_bodies(),
            reserved_bytes: self.room.reserved(),
            pinned_blobs: self.pins.count(),
            journal_bytes: self.meta.journal_len(),
            index_rows: tally.total_rows(),
            index_bytes: tally.bytes,
            snapshot_seq: self.meta.snapshot_seq(),
            free_bytes: self.blobs.free_space()?,
            direct_writes: self.blobs.writes_direct(),
            md5_lanes: self.lanes.are_used(),
            stopped: self.meta.poisoned(),
            background_failure: None,
            last_snapshot: last.snapshot,
            last_sweep: last.sweep,
        })
    }
}
