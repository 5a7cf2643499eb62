//! Housekeeping: expiry, sweep, snapshot; by one thread named `partstore`, or by the host.

use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use super::engine::Engine;
use super::release;
use super::shared::{Shared, Woken};
use crate::{Error, MaintenanceReport, Result};

/// How long the thread sleeps when nobody wakes it: expiry is looked at this often.
const EVERY: Duration = Duration::from_secs(60);
/// How long it lets work gather: a sweep syncs once for all blobs of a group.
const GATHER: Duration = Duration::from_millis(200);

/// One round: expire, sweep, and take a snapshot if the journal has grown long.
pub(super) fn round(engine: &Engine, go_on: &dyn Fn() -> bool) -> Result<MaintenanceReport> {
    let mut report = MaintenanceReport::default();
    if let Some(age) = engine.options.expire_after {
        report.expired = release::expire(engine, age)?;
    }
    report.sweep = engine.sweep(go_on)?;
    if go_on() && engine.meta.wants_snapshot() {
        let before = engine.meta.snapshot_seq();
        engine.meta.take_snapshot()?;
        report.snapshot = engine.meta.snapshot_seq() != before;
    }
    Ok(report)
}

/// Starts the thread. It ends when [`Shared::stop`] is called.
pub(super) fn start(shared: &Arc<Shared>) -> Result<JoinHandle<()>> {
    let shared = Arc::clone(shared);
    let run = move || {
        while shared.wait_for_work(EVERY, GATHER) == Woken::Work {
            let Ok(engine) = shared.engine() else { return };
            let done = round(&engine, &|| !shared.is_stopping());
            *shared.failure.lock() = done.err().map(|error| error.chain());
        }
    };
    std::thread::Builder::new()
        .name("partstore".to_owned())
        .spawn(run)
        .map_err(|source| Error::Io {
            op: "start the thread of",
            path: "partstore".into(),
            source,
        })
}
