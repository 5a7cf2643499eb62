//! [`Going`]: whether long work continues, and how far it has come.
//!
//! A store that is being closed waits for the calls that are under way. So any work that may take longer
//! than some seconds asks between its steps whether to continue. If its caller follows it, that caller
//! learns its progress at the same time.
//!
//! "No" is [`Error::Closed`], which is returned upwards, whoever said it. [`Going::conclude`] finds out at
//! the end who did. After the first "no" the answer stays, and nobody is asked again.

use std::any::Any;
use std::cell::{Cell, RefCell};
use std::ops::ControlFlow;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::{Error, Progress, Result};

/// Small steps, such as a row, of which one in so many asks.
const SMALL_STEPS: u32 = 256;

/// Whether a store is being closed. Clones are of one store.
#[derive(Clone, Debug, Default)]
pub(crate) struct Closing(Arc<AtomicBool>);

impl Closing {
    /// Nothing begins from now on, and what is under way ends soon.
    pub(crate) fn begin(&self) {
        self.0.store(true, Ordering::SeqCst);
    }

    pub(crate) fn has_begun(&self) -> bool {
        self.0.load(Ordering::SeqCst)
    }

    /// # Errors
    /// [`Error::Closed`] once closing has begun.
    pub(crate) fn check(&self) -> Result<()> {
        if self.has_begun() {
            Err(Error::Closed)
        } else {
            Ok(())
        }
    }
}

/// What a caller is told, and answers.
pub(crate) type Tell<'a> = dyn FnMut(Progress) -> ControlFlow<()> + 'a;

/// One piece of long work.
pub(crate) struct Going<'a> {
    closing: &'a Closing,
    tell: RefCell<Option<&'a mut Tell<'a>>>,
    progress: Cell<Progress>,
    small_steps: Cell<u32>,
    stopped: RefCell<Option<Stopped>>,
}

/// Who said no.
enum Stopped {
    Closing,
    Caller,
    /// The caller's callback panicked.
    Panic(Box<dyn Any + Send>),
}

/// How far work came that was not stopped by closing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reached {
    End,
    /// The caller stopped it.
    CutShort,
}

impl<'a> Going<'a> {
    /// Work that ends when the store is closed.
    pub(crate) fn until(closing: &'a Closing) -> Self {
        Self {
            closing,
            tell: RefCell::new(None),
            progress: Cell::default(),
            small_steps: Cell::new(0),
            stopped: RefCell::new(None),
        }
    }

    /// Work that also ends when `tell` breaks.
    pub(crate) fn telling(closing: &'a Closing, tell: &'a mut Tell<'a>) -> Self {
        Self {
            tell: RefCell::new(Some(tell)),
            ..Self::until(closing)
        }
    }

    /// Says how much is to be done in all, and asks.
    ///
    /// # Errors
    /// [`Error::Closed`]: it is not to go on.
    pub(crate) fn expect(&self, total: u64) -> Result<()> {
        self.progress.set(Progress { done: 0, total });
        self.check()
    }

    /// A step is done. Asks.
    ///
    /// # Errors
    /// [`Error::Closed`]: it is not to go on.
    pub(crate) fn advance(&self, by: u64) -> Result<()> {
        self.count(by);
        self.check()
    }

    /// A small step is done. Asks after many.
    ///
    /// # Errors
    /// [`Error::Closed`]: it is not to go on.
    pub(crate) fn advance_a_little(&self, by: u64) -> Result<()> {
        self.count(by);
        let steps = self.small_steps.get() + 1;
        self.small_steps.set(steps % SMALL_STEPS);
        if steps < SMALL_STEPS {
            return Ok(());
        }
        self.check()
    }

    /// What is left to do is nothing.
    pub(crate) fn finish(&self) {
        let Progress { total, .. } = self.progress.get();
        self.progress.set(Progress { done: total, total });
        // All is done, whatever the answer is.
        let _ = self.check();
    }

    /// Whether to go on.
    pub(crate) fn goes_on(&self) -> bool {
        self.check().is_ok()
    }

    /// Asks.
    ///
    /// # Errors
    /// [`Error::Closed`]: it is not to go on.
    pub(crate) fn check(&self) -> Result<()> {
        if self.has_stopped() {
            return Err(Error::Closed);
        }
        let stopped = if self.closing.has_begun() {
            Some(Stopped::Closing)
        } else {
            self.told()
        };
        let goes_on = stopped.is_none();
        *self.stopped.borrow_mut() = stopped;
        if goes_on { Ok(()) } else { Err(Error::Closed) }
    }

    /// Whether somebody has said no.
    pub(crate) fn has_stopped(&self) -> bool {
        self.stopped.borrow().is_some()
    }

    /// What all that was done comes to. A panic of the caller's goes on from here.
    ///
    /// # Errors
    /// [`Error::Closed`] when closing has stopped it; else the error of what was `done`.
    pub(crate) fn conclude(self, done: Result<()>) -> Result<Reached> {
        match (self.stopped.into_inner(), done) {
            (Some(Stopped::Panic(panic)), _) => resume_unwind(panic),
            (Some(Stopped::Closing), Ok(()) | Err(Error::Closed)) => Err(Error::Closed),
            (Some(Stopped::Caller), Ok(()) | Err(Error::Closed)) => Ok(Reached::CutShort),
            (_, done) => done.map(|()| Reached::End),
        }
    }

    /// What grows while it is counted is never more than was expected.
    fn count(&self, by: u64) {
        let Progress { done, total } = self.progress.get();
        let done = done.saturating_add(by).min(total);
        self.progress.set(Progress { done, total });
    }

    /// The work may be within what catches panics to blame them on others, so they are caught here.
    fn told(&self) -> Option<Stopped> {
        let mut tell = self.tell.borrow_mut();
        let tell = tell.as_mut()?;
        let progress = self.progress.get();
        match catch_unwind(AssertUnwindSafe(|| tell(progress))) {
            Ok(ControlFlow::Continue(())) => None,
            Ok(ControlFlow::Break(())) => Some(Stopped::Caller),
            Err(panic) => Some(Stopped::Panic(panic)),
        }
    }
}
