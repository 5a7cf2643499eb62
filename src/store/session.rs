//! [`Session`]: an engine, and what all calls on it share. It lives from open to close.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use md5_lanes::Lanes;

use super::under_way::UnderWay;
use crate::backend::{BlobStore, Catalog, Checkpoint};
use crate::buffers::Buffers;
use crate::going::{Closing, Going};
use crate::process::Process;
use crate::spans::span;
use crate::sync::Mutex;
use crate::{
    BackupReport, Error, Event, Housekeeping, HousekeepingStep, LastSweep, Options, RecoveryReport,
    Result, Stats, SweepReport, Transfer, UploadId, local,
};

/// The last checkpoint and the last sweep.
#[derive(Default)]
struct Last {
    checkpoint: Option<SystemTime>,
    sweep: Option<LastSweep>,
}

/// While this exists, a round does this step. Of two rounds at the same time the later step counts.
struct Doing<'a>(&'a Session);

impl<'a> Doing<'a> {
    fn begin(session: &'a Session, step: HousekeepingStep) -> Self {
        session.agenda.lock().now = Some(step);
        Self(session)
    }
}

impl Drop for Doing<'_> {
    fn drop(&mut self) {
        self.0.agenda.lock().now = None;
    }
}

pub(crate) struct Session {
    pub options: Options,
    pub catalog: Box<dyn Catalog>,
    pub blobs: Arc<dyn BlobStore>,
    pub buffers: Arc<Buffers>,
    pub lanes: Arc<Lanes>,
    pub recovery: RecoveryReport,
    pub process: Process,
    pub closing: Closing,
    pub under_way: Arc<UnderWay>,
    last: Mutex<Last>,
    pub(super) agenda: Mutex<Housekeeping>,
}

impl Session {
    /// Opens the embedded engine.
    pub(super) fn open(path: &Path, options: Options) -> Result<Self> {
        let process = Process::opens_a_store()?;
        let buffers = Arc::new(Buffers::with(options.body_memory));
        let closing = Closing::default();
        let opened = local::open(path, &options, &closing, &buffers)?;
        Ok(Self {
            recovery: opened.recovery,
            closing,
            buffers,
            ..Self::on(process, opened.catalog, opened.blobs, options)
        })
    }

    /// Begins on an engine that is open.
    pub(super) fn on(
        process: Process,
        catalog: Box<dyn Catalog>,
        blobs: Arc<dyn BlobStore>,
        options: Options,
    ) -> Self {
        Self {
            buffers: Arc::new(Buffers::with(options.body_memory)),
            options,
            catalog,
            blobs,
            lanes: Arc::new(Lanes::new("partstore-md5")),
            recovery: RecoveryReport::default(),
            process,
            closing: Closing::default(),
            under_way: Arc::default(),
            last: Mutex::default(),
            agenda: Mutex::default(),
        }
    }

    pub(super) fn close(self) -> Result<()> {
        self.catalog.close()
    }

    /// Returns what a call has come to. Tells the observer if nobody knows that.
    pub(super) fn settled<T>(&self, done: Result<T>) -> Result<T> {
        done.inspect_err(|error| {
            if let Error::OutcomeUnknown { cause } = error {
                self.options.witness.note(|| Event::OutcomeUnknown {
                    cause: cause.clone(),
                });
            }
        })
    }

    /// Does a step of the housekeeping. [`Stats`] says so in the meantime.
    pub(super) fn doing<T>(&self, step: HousekeepingStep, run: impl FnOnce() -> T) -> T {
        let _doing = Doing::begin(self, step);
        run()
    }

    /// Removes what can be removed, until `going` says no.
    pub(super) fn sweep(&self, going: &Going<'_>) -> Result<SweepReport> {
        let _span = span!(INFO, "sweep");
        let sweep = || self.catalog.sweep(going);
        let told = |report: &SweepReport, took| Event::Sweep {
            report: SweepReport {
                cut_short: going.has_stopped(),
                ..*report
            },
            took,
        };
        let report = self.options.witness.timed(sweep, told)?;
        if !going.has_stopped() && !report.deferred {
            let at = SystemTime::now();
            self.last.lock().sweep = Some(LastSweep { at, report });
        }
        Ok(report)
    }

    /// Takes a backup, of which a checkpoint is the first step.
    pub(super) fn back_up(
        &self,
        into: &Path,
        transfer: Transfer,
        going: &Going<'_>,
        report: &mut BackupReport,
    ) -> Result<()> {
        self.catalog.back_up(into, transfer, going, report)?;
        self.last.lock().checkpoint = Some(SystemTime::now());
        Ok(())
    }

    pub(super) fn checkpoint(&self, going: &Going<'_>) -> Result<Checkpoint> {
        let done = self.catalog.checkpoint(going)?;
        if done == Checkpoint::Taken {
            self.last.lock().checkpoint = Some(SystemTime::now());
        }
        Ok(done)
    }

    /// Aborts the uploads that are meant, are that old, and receive no part.
    pub(super) fn expire(
        &self,
        age: Duration,
        is_meant: &dyn Fn(UploadId) -> bool,
        going: &Going<'_>,
    ) -> Result<u64> {
        self.catalog.check()?;
        let _span = span!(INFO, "expire");
        let spare = |id| !is_meant(id) || self.under_way.has(id);
        let expire = || self.settled(self.catalog.expire(age, &spare, going));
        let told = |uploads: &u64, took| Event::Expiry {
            uploads: *uploads,
            took,
        };
        self.options.witness.timed(expire, told)
    }

    pub(super) fn stats(&self, background_failure: Option<String>) -> Result<Stats> {
        let last = self.last.lock();
        let mut stats = Stats {
            md5_lanes: self.lanes.are_used(),
            background_failure,
            last_checkpoint: last.checkpoint,
            last_sweep: last.sweep,
            housekeeping: *self.agenda.lock(),
            ..Stats::default()
        };
        drop(last);
        self.catalog.stats(&mut stats)?;
        self.blobs.stats(&mut stats)?;
        Ok(stats)
    }
}
