//! What the handles of one store share: the session, until the store is closed, and the bell of the
//! housekeeping thread.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::open_blobs::Allowance;
use super::session::Session;
use super::workers::Workers;
use crate::backend::Watch;
use crate::buffers::Buffers;
use crate::going::Closing;
use crate::process::Process;
use crate::sync::{Condvar, GLANCE, MappedRwLockReadGuard, Mutex, RwLock, RwLockReadGuard};
use crate::{Error, Result};

/// How often the housekeeping thread asks whether the engine answers.
const LOOK: Duration = Duration::from_secs(5);

/// Memory of all readers, bytes.
const READING: u64 = 128 << 20;

pub(crate) struct Shared {
    process: Process,
    closing: Closing,
    watch: Watch,
    pub(super) reading: Arc<Buffers>,
    pub(super) workers: Arc<Workers>,
    pub(super) open_blobs: Arc<Allowance>,
    session: RwLock<Option<Session>>,
    duty: Mutex<Duty>,
    changed: Condvar,
    /// The housekeeping thread's last failure.
    pub(super) failure: Mutex<Option<String>>,
}

/// What the housekeeping thread must do next.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Duty {
    work: bool,
    stop: bool,
    /// The housekeeping thread has ended.
    ended: bool,
}

/// How a wait for work ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Woken {
    Work,
    Stop,
}

impl Shared {
    pub(super) fn new(session: Session) -> Arc<Self> {
        Arc::new(Self {
            process: session.process,
            closing: session.closing.clone(),
            watch: session.catalog.watch(),
            reading: Arc::new(Buffers::with(READING)),
            workers: Arc::default(),
            open_blobs: Arc::default(),
            session: RwLock::new(Some(session)),
            duty: Mutex::default(),
            changed: Condvar::new(),
            failure: Mutex::default(),
        })
    }

    /// The session, for the time of one call. Closing waits for that call. The read is recursive: it does
    /// not queue behind a close that waits, so a call never waits for what that close waits for.
    ///
    /// # Errors
    /// [`Error::Closed`], at once, if closing has begun. [`Error::Forked`].
    pub(super) fn session(&self) -> Result<MappedRwLockReadGuard<'_, Session>> {
        self.check_open()?;
        RwLockReadGuard::try_map(self.session.read_recursive(), Option::as_ref)
            .map_err(|_| Error::Closed)
    }

    /// # Errors
    /// [`Error::Closed`] if closing has begun. [`Error::Forked`].
    pub(super) fn check_open(&self) -> Result<()> {
        self.check_process()?;
        self.closing.check()
    }

    /// # Errors
    /// [`Error::Forked`] in a child of the process that opened the store.
    pub(super) fn check_process(&self) -> Result<()> {
        self.process.check()
    }

    /// Takes the session out, after the calls that are under way. Later calls get [`Error::Closed`].
    ///
    /// # Errors
    /// [`Error::Index`] if one of those calls hangs in the index.
    pub(super) fn take_session(&self) -> Result<Option<Session>> {
        loop {
            if let Some(mut session) = self.session.try_write_for(GLANCE) {
                return Ok(session.take());
            }
            (self.watch)()?;
        }
    }

    /// Reports that the housekeeping thread has ended.
    pub(super) fn end(&self) {
        self.duty.lock().ended = true;
        self.changed.notify_all();
    }

    /// Waits until the housekeeping thread has ended.
    ///
    /// # Errors
    /// [`Error::Index`] if the thread hangs in the index.
    pub(super) fn wait_for_end(&self) -> Result<()> {
        let mut duty = self.duty.lock();
        while !duty.ended {
            self.changed
                .wait_while_for(&mut duty, |duty| !duty.ended, GLANCE);
            (self.watch)()?;
        }
        Ok(())
    }

    /// Wakes the housekeeping thread if a call has left work for it.
    pub(super) fn notice_work(&self, session: &Session) {
        if session.catalog.has_work() {
            self.wake();
        }
    }

    pub(super) fn wake(&self) {
        self.duty.lock().work = true;
        self.changed.notify_all();
    }

    /// From now on no call begins. Long calls end, and so does the housekeeping thread.
    pub(super) fn stop(&self) {
        self.closing.begin();
        self.workers.close();
        self.duty.lock().stop = true;
        self.changed.notify_all();
    }

    /// Waits until work exists, at most `every`. Then gives other calls the time `gather` to add to it.
    pub(super) fn wait_for_work(&self, every: Duration, gather: Duration) -> Woken {
        let mut duty = self.duty.lock();
        let began = Instant::now();
        while !duty.work && !duty.stop && began.elapsed() < every {
            let slice = LOOK.min(every.saturating_sub(began.elapsed()));
            self.changed
                .wait_while_for(&mut duty, |duty| !duty.work && !duty.stop, slice);
            // No other thread may be checking whether the index answers. The next call reports what this
            // check finds.
            let _ = (self.watch)();
        }
        self.changed
            .wait_while_for(&mut duty, |duty| !duty.stop, gather);
        duty.work = false;
        if duty.stop { Woken::Stop } else { Woken::Work }
    }
}
