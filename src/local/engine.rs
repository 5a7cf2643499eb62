//! The engine: rows and files, and what keeps them consistent. It lives from open to close.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::ages::Ages;
#[cfg(not(shuttle))]
use super::backup::Taking;
use super::blob::BlobFiles;
use super::blobs::LocalBlobs;
use super::directory::{self, Found};
#[cfg(not(shuttle))]
use super::file::Dir;
use super::file::{self, Lock};
use super::format::marker::Orphans;
use super::format::record::{UploadRecord, UploadState};
use super::held::Held;
use super::locks::Locks;
use super::meta::{self, Change, MetaStore, Opening, Pace, SpaceUse, Ticket, prove_threads};
use super::namespaces::Namespaces;
use super::pins::Pins;
use super::release::Release;
use super::room::Room;
use super::suspects::{Need, Suspects};
use super::sweep::Sweep;
use super::upgrade;
use super::verify::Verify;
#[cfg(not(shuttle))]
use super::view::View;
use crate::backend::Checkpoint;
use crate::buffers::Buffers;
use crate::going::{Closing, Going};
use crate::values::id::IdSource;
use crate::values::namespace::NamespaceId;
#[cfg(not(shuttle))]
use crate::{BackupReport, Transfer};
use crate::{
    ContentHash, Error, Key, Options, RecoveryReport, Result, Scope, Stats, SweepReport, Upload,
    VerifyReport,
};

pub(crate) struct Engine {
    pub options: Options,
    pub meta: MetaStore,
    pub blobs: Arc<BlobFiles>,
    pub pins: Arc<Pins>,
    pub locks: Locks,
    pub held: Arc<Held>,
    pub namespaces: Namespaces,
    pub ids: IdSource,
    pub ages: Ages,
    pub room: Arc<Room>,
    pub suspects: Suspects,
    pub closing: Closing,
    /// Dropped last: nobody else may open the directory while any part of this still works.
    #[cfg_attr(shuttle, expect(dead_code, reason = "no schedule takes a backup"))]
    lock: Arc<Lock>,
    /// If the store is only read. Dropped behind the lock of its copy.
    #[cfg(not(shuttle))]
    view: Option<View>,
}

impl Engine {
    pub(crate) fn open(
        path: &Path,
        options: &Options,
        closing: &Closing,
        buffers: &Arc<Buffers>,
    ) -> Result<(Self, RecoveryReport)> {
        let started = Instant::now();
        let path = file::absolute(path)?;
        // First, so that nothing is made or changed when they are refused.
        prove_threads(&path)?;
        #[cfg(not(shuttle))]
        let view = match &options.read_in {
            Some(scratch) => Some(View::make(&path, scratch, options.mode)?),
            None => None,
        };
        #[cfg(not(shuttle))]
        let path = view.as_ref().map_or(path, |view| view.path().to_owned());
        let (lock, found) = directory::lock_or_create(&path, options)?;
        let lock = Arc::new(lock);
        let blobs = BlobFiles::open(lock.dir(), buffers)?.until(closing);
        #[cfg(not(shuttle))]
        let blobs = match &view {
            Some(view) => blobs.reading(view.source())?,
            None => blobs,
        };
        for dir in blobs.dirs() {
            lock.watch(dir);
        }
        let ballast = meta::directory(lock.dir(), options.salvaging)?.at("ballast");
        // A view takes no bodies.
        let headroom = match blobs.check_writable() {
            Ok(()) => options.headroom,
            Err(_) => 0,
        };
        let room = Room::new(lock.dir().clone(), ballast, headroom);
        room.give_up_ballast_if_low();
        let opening = Opening {
            lock: &lock,
            ballast: room.ballast(),
            options: &options.journal,
            cache: options.index_cache,
            closing,
            salvaging: options.salvaging,
            trusts_index: options.trusts_index,
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
        if blobs.check_writable().is_err() {
            meta.refuse_changes();
        }
        let ids = IdSource::after(meta.newest_upload()?);
        let engine = Self {
            ages: Ages::from_now_on(ids.newest()),
            ids,
            suspects: Suspects::new(orphans),
            pins: Pins::new(meta.pulse()),
            locks: Locks::new(meta.pulse()),
            held: Held::new(),
            namespaces: Namespaces::open(&meta)?,
            room: Arc::new(room),
            blobs: Arc::new(blobs),
            closing: closing.clone(),
            lock,
            #[cfg(not(shuttle))]
            view,
            options: options.clone(),
            meta,
        };
        Ok((engine, recovery))
    }

    /// The store's directory.
    #[cfg(not(shuttle))]
    fn root(&self) -> &Dir {
        let view = self.view.as_ref();
        view.map_or_else(|| self.lock.dir(), View::source)
    }

    /// What writes and reads its blobs.
    pub(super) fn blob_store(&self) -> LocalBlobs {
        LocalBlobs {
            files: Arc::clone(&self.blobs),
            room: Arc::clone(&self.room),
            #[cfg(not(shuttle))]
            root: self.root().clone(),
        }
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

    /// What removes the rows of parts that have ended.
    pub(super) fn release<'a, 'g>(&'a self, going: &'a Going<'g>) -> Release<'a, 'g> {
        let Self {
            meta,
            pins,
            locks,
            held,
            ..
        } = self;
        Release {
            meta,
            pins,
            locks,
            held,
            going,
        }
    }

    /// Removes what can be removed, until `going` says no.
    pub(crate) fn sweep(&self, going: &Going<'_>) -> Result<SweepReport> {
        self.blobs.check_writable()?;
        let Self {
            meta,
            blobs,
            pins,
            suspects,
            ..
        } = self;
        let release = self.release(going);
        let sweep = Sweep {
            meta,
            blobs,
            pins,
            suspects,
            release,
            going,
        };
        sweep.run()
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

    /// Makes a checkpoint if one is due, and merges layers. If a whole one would use the headroom, it takes one
    /// step only, which needs little more room than it frees.
    pub(crate) fn checkpoint(&self, going: &Going<'_>) -> Result<Checkpoint> {
        let made = self.checkpoint_if_due(going);
        let merged = self.merge_layers(going);
        match made.and_then(|made| merged.map(|()| made)) {
            Err(Error::Closed) if going.has_stopped() => Ok(Checkpoint::NotDue),
            done => done,
        }
    }

    fn checkpoint_if_due(&self, going: &Going<'_>) -> Result<Checkpoint> {
        if !self.meta.wants_checkpoint() {
            return Ok(Checkpoint::NotDue);
        }
        let needs = self.meta.checkpoint_needs();
        let made = match self.room.reserve(needs) {
            Ok(_room) => self.meta.checkpoint(Pace::steady(), going),
            Err(Error::StorageFull { .. }) if self.room.has(self.meta.step_needs()) => {
                self.meta.checkpoint_step(going)
            }
            Err(error) => Err(error),
        };
        match made {
            Ok(true) => Ok(Checkpoint::Taken),
            Ok(false) => Ok(Checkpoint::NotDue),
            Err(Error::StorageFull { .. }) => Ok(Checkpoint::NoRoom),
            Err(error) => Err(error),
        }
    }

    /// Merges layers while some are due and the disk has room. The journal must not grow meanwhile, so
    /// checkpoints go on.
    fn merge_layers(&self, going: &Going<'_>) -> Result<()> {
        loop {
            let needs = self.meta.merge_needs();
            if needs == 0 || !going.goes_on() {
                return Ok(());
            }
            let Ok(_room) = self.room.reserve(needs) else {
                return Ok(());
            };
            let aside = || self.checkpoint_if_due(going).map(drop);
            match self.meta.merge(going, &aside) {
                // The next housekeeping does it.
                Ok(false) | Err(Error::StorageFull { .. }) => return Ok(()),
                Ok(true) => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// Takes a backup. Nothing is swept meanwhile.
    #[cfg(not(shuttle))]
    pub(crate) fn back_up(
        &self,
        into: &Path,
        transfer: Transfer,
        going: &Going<'_>,
        report: &mut BackupReport,
    ) -> Result<()> {
        if file::is_below(into, self.root())? {
            return Err(Error::InvalidArgument {
                argument: "the directory of backups",
                found: into.display().to_string(),
                expected: "outside of the store's directory",
            });
        }
        let _kept = {
            let _no_sweep = self.meta.pulse().lock(&self.suspects.sweeping)?;
            self.suspects.keep_all()
        };
        self.meta.check_ownership()?;
        let transfer = match &self.view {
            // The view's own layers are not durable, and blobs that get a second name are changed.
            Some(_) if transfer == Transfer::Fastest => Transfer::Apart,
            _ => transfer,
        };
        let taking = Taking {
            meta: &self.meta,
            blobs: &self.blobs,
            mode: self.options.mode,
            transfer,
        };
        taking.take(into, going, report)
    }

    pub(crate) fn verify(
        &self,
        scope: Scope,
        behind: Option<&ContentHash>,
        going: &Going<'_>,
        report: &mut VerifyReport,
    ) -> Result<()> {
        let Self {
            meta,
            blobs,
            pins,
            locks,
            namespaces,
            ..
        } = self;
        let verify = Verify {
            meta,
            blobs,
            pins,
            locks,
            namespaces,
            going,
        };
        verify.run(scope, behind, report)
    }

    pub(crate) fn stats(&self, stats: &mut Stats) {
        use super::format::mutation::Tree;
        let tally = self.meta.tally();
        stats.open_uploads = tally.rows_of(Tree::UploadNames);
        stats.keys = tally.rows_of(Tree::Keys);
        stats.objects = tally
            .rows_of(Tree::Uploads)
            .saturating_sub(stats.open_uploads);
        stats.parts = tally.rows_of(Tree::Parts).saturating_sub(tally.ended_parts);
        stats.part_bytes = tally.part_bytes.saturating_sub(tally.ended_bytes);
        stats.blobs = tally.blobs;
        stats.blob_bytes = tally.blob_bytes;
        stats.garbage = tally.rows_of(Tree::Garbage);
        stats.damaged_files = self.meta.known_damage();
        stats.pinned_blobs = self.pins.count() + self.held.parts();
        stats.journal_bytes = self.meta.journal_len();
        stats.index_rows = tally.total_rows();
        stats.index_bytes = tally.bytes;
        stats.checkpoint_seq = self.meta.checkpoint_seq();
        stats.stopped = self.meta.poisoned();
    }
}

#[cfg(all(test, not(shuttle)))]
mod tests {
    use super::*;
    use crate::Quota;
    use crate::local::format::record::NamespaceRecord;

    /// More rows than a checkpoint writes before it asks whether to go on.
    const MANY: u32 = 600;

    struct Scratch {
        dir: tempfile::TempDir,
        rows: u32,
    }

    impl Scratch {
        fn new() -> Self {
            let dir = tempfile::tempdir().unwrap();
            Self { dir, rows: 0 }
        }

        fn open(&self) -> Engine {
            let options = Options::cos().journal_sizes(4096, 0);
            let buffers = Arc::new(Buffers::with(1 << 20));
            let closing = Closing::default();
            let (engine, _) =
                Engine::open(&self.dir.path().join("data"), &options, &closing, &buffers).unwrap();
            engine
        }

        fn add_rows(&mut self, meta: &MetaStore, count: u32) {
            for _ in 0..count {
                self.rows += 1;
                let mut change = Change::default();
                let record = NamespaceRecord {
                    id: NamespaceId(self.rows),
                    created_ms: 0,
                    quota: Quota::new(),
                };
                change.put_namespace(&format!("space-{:05}", self.rows), &record);
                let ticket = meta.commit(change, SpaceUse::Grows).unwrap();
                meta.wait(ticket).unwrap();
            }
        }

        fn assert_whole(&self, meta: &MetaStore) {
            let mut found = 0;
            meta.namespaces(&mut |_, _| {
                found += 1;
                Ok(std::ops::ControlFlow::Continue(()))
            })
            .unwrap();
            assert_eq!(found, self.rows);
            let mut damaged = Vec::new();
            meta.check_files(&Going::until(&Closing::default()), &mut damaged)
                .unwrap();
            assert_eq!(damaged, []);
        }
    }

    #[test]
    fn a_namespace_whose_rows_differ_is_found() {
        let (mut scratch, still) = (Scratch::new(), Closing::default());
        let engine = scratch.open();
        scratch.add_rows(&engine.meta, 4);
        let verify = || {
            let mut report = VerifyReport::default();
            let going = Going::until(&still);
            let done = engine.verify(Scope::Metadata, None, &going, &mut report);
            done.unwrap();
            report.inconsistent
        };
        assert_eq!(verify(), [""; 0]);
        let mut change = Change::default();
        // The row of one by its name, and that of another by its number.
        change.remove_namespace("space-00002", NamespaceId(3));
        let ticket = engine.meta.commit(change, SpaceUse::Frees).unwrap();
        engine.meta.wait(ticket).unwrap();
        let found = verify();
        assert_eq!(found.len(), 2, "{found:?}");
        assert!(
            found
                .iter()
                .zip([2, 3])
                .all(|(text, number)| { text.contains(&format!("namespace number {number}:")) })
        );
    }

    fn break_off_a_checkpoint(meta: &MetaStore) {
        let begun = Closing::default();
        begun.begin();
        let broken_off = meta.checkpoint(Pace::hurried(), &Going::until(&begun));
        assert!(matches!(broken_off, Err(Error::Closed)), "{broken_off:?}");
    }

    #[test]
    fn a_checkpoint_that_was_broken_off_continues_behind_steps_that_went_further() {
        let (mut scratch, still) = (Scratch::new(), Closing::default());
        let going = Going::until(&still);
        for close in [false, true] {
            let engine = scratch.open();
            let meta = &engine.meta;
            scratch.add_rows(meta, MANY);
            break_off_a_checkpoint(meta);
            scratch.add_rows(meta, MANY);
            while meta.checkpoint_step(&going).unwrap() {}
            let stepped = meta.checkpoint_seq();
            if close {
                engine.meta.close(Orphans::Possible).unwrap();
                continue;
            }
            meta.checkpoint(Pace::hurried(), &going).unwrap();
            assert!(meta.checkpoint_seq() >= stepped);
            scratch.assert_whole(meta);
            scratch.add_rows(meta, MANY);
            assert!(meta.checkpoint(Pace::hurried(), &going).unwrap());
            scratch.assert_whole(meta);
        }
        scratch.assert_whole(&scratch.open().meta);
    }

    #[test]
    fn a_checkpoint_that_was_broken_off_stays_due_and_needs_no_less() {
        let mut scratch = Scratch::new();
        let engine = scratch.open();
        scratch.add_rows(&engine.meta, MANY);
        let needs = engine.meta.checkpoint_needs();
        for _ in 0..2 {
            break_off_a_checkpoint(&engine.meta);
            assert!(engine.meta.wants_checkpoint());
            assert_eq!(engine.meta.checkpoint_needs(), needs);
        }
        let still = Closing::default();
        assert!(
            engine
                .meta
                .checkpoint(Pace::hurried(), &Going::until(&still))
                .unwrap()
        );
        assert!(!engine.meta.wants_checkpoint());
        assert!(engine.meta.checkpoint_needs() < needs);
    }
}
