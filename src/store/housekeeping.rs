//! Housekeeping: expiry, sweep and checkpoint. One thread named `partstore` does it, or the caller does.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use super::session::Session;
use super::shared::{Shared, Woken};
use crate::backend::Checkpoint;
use crate::going::Going;
use crate::sync::{self, JoinHandle};
use crate::{Error, HousekeepingStep, MaintenanceReport, Result, SweepReport};

/// How long the thread sleeps when nobody wakes it, and so how often it looks for expired uploads.
const EVERY: Duration = Duration::from_secs(60);
/// How long the thread lets work gather, because a sweep syncs once for a whole group of blobs.
const GATHER: Duration = Duration::from_millis(200);
/// How long after its failure a step is tried again. The wait doubles with each further failure, up to
/// [`EVERY`].
const FIRST_RETRY: Duration = Duration::from_secs(1);

/// The steps of a round.
#[derive(Clone, Copy)]
pub(super) struct Steps {
    /// Uploads older than this expire.
    pub expire_after: Option<Duration>,
    pub sweep: bool,
    pub checkpoint: bool,
}

/// The result of each step. A step that fails does not keep the others from being done.
struct Round {
    expired: Result<u64>,
    sweep: Result<SweepReport>,
    checkpoint: Result<Checkpoint>,
}

impl Round {
    fn run(session: &Session, steps: Steps, going: &Going<'_>) -> Self {
        use HousekeepingStep::{Checkpoint as Checkpoints, Expiry, Sweep};
        let expire = |age| session.doing(Expiry, || session.expire(age, &|_| true, going));
        let sweep = || session.doing(Sweep, || session.sweep(going));
        Self {
            expired: steps.expire_after.map_or(Ok(0), expire),
            sweep: steps
                .sweep
                .then(sweep)
                .unwrap_or_else(|| Ok(SweepReport::default())),
            checkpoint: if steps.checkpoint && going.goes_on() {
                session.doing(Checkpoints, || session.checkpoint(going))
            } else {
                Ok(Checkpoint::NotDue)
            },
        }
    }

    /// Returns the first failure, if there was one.
    fn report(self, going: &Going<'_>) -> Result<MaintenanceReport> {
        Ok(MaintenanceReport {
            expired: self.expired?,
            sweep: self.sweep?,
            checkpoint: self.checkpoint? == Checkpoint::Taken,
            cut_short: going.has_stopped(),
        })
    }
}

/// One round: expire, sweep, and make a checkpoint if much has changed.
pub(super) fn round(session: &Session, going: &Going<'_>) -> Result<MaintenanceReport> {
    let steps = Steps {
        expire_after: session.options.expire_after,
        sweep: true,
        checkpoint: true,
    };
    Round::run(session, steps, going).report(going)
}

/// Reports that the thread has ended, also when it panics.
struct Ends<'a>(&'a Shared);

impl Drop for Ends<'_> {
    fn drop(&mut self) {
        self.0.end();
    }
}

/// Starts the thread. It ends when [`Shared::stop`] is called.
pub(super) fn start(
    shared: &Arc<Shared>,
    expire_after: Option<Duration>,
) -> Result<JoinHandle<()>> {
    let keeper = Keeper {
        shared: Arc::clone(shared),
        expire_after,
        expiry: Retry::default(),
        sweep: Retry::default(),
        in_use: Retry::default(),
        checkpoint: Retry::default(),
    };
    // The first round begins at once.
    keeper.plan(&*shared.session()?, GATHER);
    let ends = Arc::clone(shared);
    let run = move || {
        let _ends = Ends(&ends);
        keeper.run();
    };
    sync::start("partstore", run).map_err(|source| Error::Io {
        op: "start the thread of",
        path: "partstore".into(),
        source,
    })
}

/// When a step is due again.
#[derive(Debug, Default)]
struct Retry {
    failures: u32,
    /// Not before this moment. `None`: at any time.
    due: Option<Instant>,
}

impl Retry {
    fn is_due(&self) -> bool {
        self.left().is_zero()
    }

    fn left(&self) -> Duration {
        self.due.map_or(Duration::ZERO, |due| {
            due.saturating_duration_since(Instant::now())
        })
    }

    /// A step that has failed is not tried again at once, however often somebody wakes the thread.
    fn failed(&mut self) {
        let wait = FIRST_RETRY.saturating_mul(1 << self.failures.min(6));
        self.failures += 1;
        self.rest(wait.min(EVERY));
    }

    fn worked(&mut self) {
        *self = Self::default();
    }

    fn rest(&mut self, wait: Duration) {
        self.due = Some(Instant::now() + wait);
    }

    fn note<T>(&mut self, outcome: &Result<T>) {
        match outcome {
            Ok(_) => self.worked(),
            Err(_) => self.failed(),
        }
    }
}

/// What the thread keeps between rounds.
struct Keeper {
    shared: Arc<Shared>,
    expire_after: Option<Duration>,
    expiry: Retry,
    sweep: Retry,
    /// When to look again for what a sweep has left because it was in use. Nobody wakes the thread when a reader goes.
    in_use: Retry,
    checkpoint: Retry,
}

impl Keeper {
    fn run(mut self) {
        let every = self.expire_after.map_or(EVERY, |age| age.min(EVERY));
        while self
            .shared
            .wait_for_work(self.sleeps_at_most(every), GATHER)
            == Woken::Work
        {
            let shared = Arc::clone(&self.shared);
            let Ok(session) = shared.session() else {
                return;
            };
            // A sweep reads the whole truth, so in a large store garbage gathers for longer.
            let rests = session.catalog.sweep_rests();
            if !rests.is_zero() && self.sweep.is_due() {
                self.sweep.rest(rests);
            }
            let steps = Steps {
                // The search for expired uploads reads all open uploads, so it is not done each time that a
                // sweep is due.
                expire_after: self.expire_after.filter(|_| self.expiry.is_due()),
                sweep: self.sweep.is_due(),
                checkpoint: self.checkpoint.is_due(),
            };
            if steps.expire_after.is_some() {
                self.expiry.rest(every);
            }
            let done = catch_unwind(AssertUnwindSafe(|| {
                Round::run(&session, steps, &Going::until(&session.closing))
            }));
            match done {
                Ok(round) => self.note(steps, &round),
                Err(panic) => self.note_panic(said(&*panic)),
            }
            self.plan(&session, every);
        }
    }

    /// Says when the steps are due next.
    fn plan(&self, session: &Session, every: Duration) {
        let (sleep, now) = (self.sleeps_at_most(every), SystemTime::now());
        let rests = self.sweep.left().max(session.catalog.sweep_rests());
        let mut agenda = session.agenda.lock();
        agenda.next_sweep = now.checked_add(rests.max(sleep));
        let expiry = self.expire_after.map(|_| self.expiry.left().max(sleep));
        agenda.next_expiry = expiry.and_then(|left| now.checked_add(left));
    }

    fn sleeps_at_most(&self, every: Duration) -> Duration {
        let waits = [&self.sweep, &self.in_use, &self.checkpoint].map(Retry::left);
        let shortest = waits.into_iter().filter(|left| !left.is_zero()).min();
        shortest.map_or(every, |left| left.min(every))
    }

    fn note(&mut self, steps: Steps, round: &Round) {
        if steps.expire_after.is_some() && round.expired.is_err() {
            self.expiry.failed();
        }
        if steps.sweep {
            self.sweep.note(&round.sweep);
            match &round.sweep {
                // Sweeps for other reasons do not put this one off.
                Ok(report) if report.in_use > 0 && self.in_use.is_due() => self.in_use.failed(),
                Ok(report) if report.in_use == 0 && !report.deferred && !report.cut_short => {
                    self.in_use.worked();
                }
                _ => {}
            }
        }
        if steps.checkpoint {
            match &round.checkpoint {
                Ok(Checkpoint::Taken | Checkpoint::NotDue) => self.checkpoint.worked(),
                Ok(Checkpoint::NoRoom) | Err(_) => self.checkpoint.failed(),
            }
        }
        let failures = [
            round.expired.as_ref().err(),
            round.sweep.as_ref().err(),
            round.checkpoint.as_ref().err(),
        ];
        let failure = failures.into_iter().flatten().next();
        // A round that leaves out a step does not make up for an earlier failure of that step.
        if failure.is_some() || (steps.sweep && steps.checkpoint) {
            *self.shared.failure.lock() = failure.map(Error::one_line);
        }
    }

    fn note_panic(&mut self, said: &str) {
        for step in [&mut self.expiry, &mut self.sweep, &mut self.checkpoint] {
            step.failed();
        }
        *self.shared.failure.lock() = Some(format!("the housekeeping panicked: {said}"));
    }
}

/// What a panic said.
fn said(panic: &(dyn Any + Send)) -> &str {
    let plain = panic.downcast_ref::<&str>().copied();
    let formatted = || panic.downcast_ref::<String>().map(String::as_str);
    plain
        .or_else(formatted)
        .unwrap_or("see the host's standard error")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// However often it is asked in between, only time makes it due.
    #[test]
    fn a_step_that_fails_waits_twice_as_long_each_time_up_to_a_minute() {
        let mut retry = Retry::default();
        assert!(retry.is_due());
        for seconds in [1, 2, 4, 8, 16, 32, 60, 60] {
            retry.failed();
            let (most, left) = (Duration::from_secs(seconds), retry.left());
            assert!(!retry.is_due());
            assert!(left <= most && left > most / 2, "{left:?} of {most:?}");
        }
        retry.worked();
        assert!(retry.is_due());
        retry.failed();
        assert!(retry.left() <= Duration::from_secs(1));
    }

    #[test]
    fn what_a_panic_said_is_told_formatted_or_not() {
        let number = 7;
        let formatted = catch_unwind(|| assert_eq!(number, 8, "it broke at {number}"));
        assert!(said(&*formatted.unwrap_err()).contains("it broke at 7"));
        let plain = catch_unwind(|| assert!(number == 8, "it broke"));
        assert_eq!(said(&*plain.unwrap_err()), "it broke");
    }
}
