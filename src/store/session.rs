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
use crate::sync::Mutex;
use crate::{LastSweep, Options, RecoveryReport, Result, Stats, SweepReport, UploadId, local};

/// The last checkpoint and the last sweep.
#[derive(Default)]
struct Last {
    checkpoint: Option<SystemTime>,
    sweep: Option<LastSweep>,
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
        }
    }

    pub(super) fn close(self) -> Result<()> {
        self.catalog.close()
    }

    /// Removes what can be removed, until `going` says no.
    pub(super) fn sweep(&self, going: &Going<'_>) -> Result<SweepReport> {
        let report = self.catalog.sweep(going)?;
        if !going.has_stopped() && !report.deferred {
            let at = SystemTime::now();
            self.last.lock().sweep = Some(LastSweep { at, report });
        }
        Ok(report)
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
        let spare = |id| !is_meant(id) || self.under_way.has(id);
        self.catalog.expire(age, &spare, going)
    }

    pub(super) fn stats(&self, background_failure: Option<String>) -> Result<Stats> {
        let last = self.last.lock();
        let mut stats = Stats {
            md5_lanes: self.lanes.are_used(),
            background_failure,
            last_checkpoint: last.checkpoint,
            last_sweep: last.sweep,
            ..Stats::default()
        };
        drop(last);
        self.catalog.stats(&mut stats)?;
        self.blobs.stats(&mut stats)?;
        Ok(stats)
    }
}
