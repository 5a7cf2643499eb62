//! Housekeeping: expiry, sweep, snapshot; by one thread named `partstore`, or by the host.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::engine::Engine;
use super::release;
use super::shared::{Shared, Woken};
use crate::thread::{self, JoinHandle};
use crate::{Error, MaintenanceReport, Result};

/// How long the thread sleeps when nobody wakes it: expiry is looked at this often.
const EVERY: Duration = Duration::from_secs(60);
/// How long it lets work gather: a sweep syncs once for all blobs of a group.
const GATHER: Duration = Duration::from_millis(200);

/// One round: expire, sweep, and take a snapshot if the journal has grown long. A step that fails
/// keeps none of the others from being done; the first failure is the answer.
pub(super) fn round(
    engine: &Engine,
    expire_after: Option<Duration>,
    go_on: &dyn Fn() -> bool,
) -> Result<MaintenanceReport> {
    let expired = expire_after.map_or(Ok(0), |age| release::expire(engine, age, go_on));
    let sweep = engine.sweep(go_on);
    let snapshot = if go_on() { snapshot(engine) } else { Ok(false) };
    Ok(MaintenanceReport {
        expired: expired?,
        sweep: sweep?,
        snapshot: snapshot?,
    })
}

/// Takes a snapshot if it is due and leaves the headroom; else the journal just stays as long as it
/// is.
fn snapshot(engine: &Engine) -> Result<bool> {
    if !engine.meta.wants_snapshot() {
        return Ok(false);
    }
    let _room = match engine.room.reserve(engine.meta.snapshot_needs()) {
        Ok(room) => room,
        Err(Error::StorageFull { .. }) => return Ok(false),
        Err(error) => return Err(error),
    };
    engine.meta.take_snapshot()
}

/// Starts the thread. It ends when [`Shared::stop`] is called.
pub(super) fn start(
    shared: &Arc<Shared>,
    expire_after: Option<Duration>,
) -> Result<JoinHandle<()>> {
    let shared = Arc::clone(shared);
    let run = move || {
        let every = expire_after.map_or(EVERY, |age| age.min(EVERY));
        let mut expiry_due = Instant::now();
        while shared.wait_for_work(every, GATHER) == Woken::Work {
            let Ok(engine) = shared.engine() else { return };
            // Looking for expired uploads goes over all that are open: not each time that a sweep is due.
            let age = expire_after.filter(|_| Instant::now() >= expiry_due);
            if age.is_some() {
                expiry_due = Instant::now() + every;
            }
            let done = round(&engine, age, &|| !shared.is_stopping());
            *shared.failure.lock() = done.err().map(|error| error.chain());
        }
    };
    thread::start("partstore", run).map_err(|source| Error::Io {
        op: "start the thread of",
        path: "partstore".into(),
        source,
    })
}
