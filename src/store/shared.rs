//! What the handles of one store share: the engine, until it is closed, and the housekeeping
//! thread's wake-up.

use std::sync::Arc;
use std::time::Duration;

use super::engine::Engine;
use crate::format::mutation::Tree;
use crate::going::Closing;
use crate::meta::{GLANCE, Pulse};
use crate::process::Process;
use crate::sync::{Condvar, MappedRwLockReadGuard, Mutex, RwLock, RwLockReadGuard};
use crate::{Error, Result};

pub(crate) struct Shared {
    process: Process,
    closing: Closing,
    pulse: Arc<Pulse>,
    engine: RwLock<Option<Engine>>,
    duty: Mutex<Duty>,
    changed: Condvar,
    /// The housekeeping thread's last failure.
    pub(super) failure: Mutex<Option<String>>,
}

/// What the housekeeping thread is to do next.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Duty {
    work: bool,
    stop: bool,
    /// The housekeeping thread has ended.
    ended: bool,
}

/// What a wait for work ended with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Woken {
    Work,
    Stop,
}

impl Shared {
    pub(super) fn new(engine: Engine) -> Arc<Self> {
        Arc::new(Self {
            process: engine.process,
            closing: engine.closing.clone(),
            pulse: Arc::clone(engine.meta.pulse()),
            engine: RwLock::new(Some(engine)),
            duty: Mutex::default(),
            changed: Condvar::new(),
            failure: Mutex::default(),
        })
    }

    /// The engine, for the time of one call; closing waits for it. A call that has come so far passes a
    /// close that waits: it never waits for what that waits for.
    ///
    /// # Errors
    /// [`Error::Closed`], at once, when closing has begun; [`Error::Forked`].
    pub(super) fn engine(&self) -> Result<MappedRwLockReadGuard<'_, Engine>> {
        self.check_open()?;
        RwLockReadGuard::try_map(self.engine.read_recursive(), Option::as_ref)
            .map_err(|_| Error::Closed)
    }

    /// # Errors
    /// [`Error::Closed`] when closing has begun; [`Error::Forked`].
    pub(super) fn check_open(&self) -> Result<()> {
        self.check_process()?;
        self.closing.check()
    }

    /// # Errors
    /// [`Error::Forked`] in a child of the process that opened the store.
    pub(super) fn check_process(&self) -> Result<()> {
        self.process.check()
    }

    /// Takes the engine out, after the calls that are under way: calls that come later get
    /// [`Error::Closed`].
    ///
    /// # Errors
    /// [`Error::Index`] when one of them hangs in the index.
    pub(super) fn take_engine(&self) -> Result<Option<Engine>> {
        loop {
            if let Some(mut engine) = self.engine.try_write_for(GLANCE) {
                return Ok(engine.take());
            }
            self.pulse.check()?;
        }
    }

    /// Says that the housekeeping thread has ended.
    pub(super) fn end(&self) {
        self.duty.lock().ended = true;
        self.changed.notify_all();
    }

    /// Waits until the housekeeping thread has ended.
    ///
    /// # Errors
    /// [`Error::Index`] when it hangs in the index.
    pub(super) fn wait_for_end(&self) -> Result<()> {
        let mut duty = self.duty.lock();
        while !duty.ended {
            self.changed
                .wait_while_for(&mut duty, |duty| !duty.ended, GLANCE);
            self.pulse.check()?;
        }
        Ok(())
    }

    /// Wakes the housekeeping thread if a call has left something to do.
    pub(super) fn notice_work(&self, engine: &Engine) {
        let garbage = engine.meta.tally().rows_of(Tree::Garbage) > 0;
        if garbage || engine.suspects.any_known() || engine.meta.wants_snapshot() {
            self.wake();
        }
    }

    pub(super) fn wake(&self) {
        self.duty.lock().work = true;
        self.changed.notify_all();
    }

    /// Nothing begins any more. What takes long ends, and so does the housekeeping thread.
    pub(super) fn stop(&self) {
        self.closing.begin();
        self.duty.lock().stop = true;
        self.changed.notify_all();
    }

    /// Waits until there is work, at most `every`; then gives others `gather` to add to it.
    pub(super) fn wait_for_work(&self, every: Duration, gather: Duration) -> Woken {
        let mut duty = self.duty.lock();
        if !duty.work && !duty.stop {
            self.changed
                .wait_while_for(&mut duty, |duty| !duty.work && !duty.stop, every);
        }
        self.changed
            .wait_while_for(&mut duty, |duty| !duty.stop, gather);
        duty.work = false;
        if duty.stop { Woken::Stop } else { Woken::Work }
    }
}
