//! Housekeeping: expiry, sweep, snapshot; by one thread named `partstore`, or by the host.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::engine::Engine;
use super::release;
use super::shared::{Shared, Woken};
use crate::going::Going;
use crate::thread::{self, JoinHandle};
use crate::{Error, MaintenanceReport, Result, SweepReport};

/// How long the thread sleeps when nobody wakes it: expiry is looked at this often.
const EVERY: Duration = Duration::from_secs(60);
/// How long it lets work gather: a sweep syncs once for all blobs of a group.
const GATHER: Duration = Duration::from_millis(200);

/// What a round is to do beside a snapshot.
pub(super) struct Steps {
    /// Expire the uploads that are older.
    pub expire_after: Option<Duration>,
    pub sweep: bool,
}

/// One round: expire, sweep, and take a snapshot if the journal has grown long. A step that fails
/// keeps none of the others from being done; the first failure is the answer.
pub(super) fn round(
    engine: &Engine,
    steps: &Steps,
    going: &Going<'_>,
) -> Result<MaintenanceReport> {
    let expired = steps
        .expire_after
        .map_or(Ok(0), |age| release::expire(engine, age, going));
    let sweep = if steps.sweep {
        engine.sweep(going)
    } else {
        Ok(SweepReport::default())
    };
    let snapshot = snapshot(engine, going);
    Ok(MaintenanceReport {
        expired: expired?,
        sweep: sweep?,
        snapshot: snapshot?,
        cut_short: going.has_stopped(),
    })
}

/// Takes a snapshot if it is due and leaves the headroom; else the journal just stays as long as it
/// is.
fn snapshot(engine: &Engine, going: &Going<'_>) -> Result<bool> {
    if !engine.meta.wants_snapshot() || !going.goes_on() {
        return Ok(false);
    }
    let _room = match engine.room.reserve(engine.meta.snapshot_needs()) {
        Ok(room) => room,
        Err(Error::StorageFull { .. }) => return Ok(false),
        Err(error) => return Err(error),
    };
    match engine.meta.take_snapshot(going) {
        Err(Error::Closed) if going.has_stopped() => Ok(false),
        taken => taken,
    }
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
        let mut sweep_rests = Duration::ZERO;
        loop {
            let most = if sweep_rests.is_zero() {
                every
            } else {
                every.min(sweep_rests)
            };
            if shared.wait_for_work(most, GATHER) == Woken::Stop {
                return;
            }
            let Ok(engine) = shared.engine() else { return };
            // Looking for expired uploads goes over all that are open: not each time that a sweep is due.
            let age = expire_after.filter(|_| Instant::now() >= expiry_due);
            if age.is_some() {
                expiry_due = Instant::now() + every;
            }
            // A sweep reads the whole truth: in a large store garbage gathers for longer.
            sweep_rests = engine.sweep_rests();
            let steps = Steps {
                expire_after: age,
                sweep: sweep_rests.is_zero(),
            };
            let done = round(&engine, &steps, &Going::until(&engine.closing));
            // A round without a sweep does not make good what the sweep before it failed in.
            if steps.sweep || done.is_err() {
                *shared.failure.lock() = done.err().map(|error| error.chain());
            }
        }
    };
    thread::start("partstore", run).map_err(|source| Error::Io {
        op: "start the thread of",
        path: "partstore".into(),
        source,
    })
}
