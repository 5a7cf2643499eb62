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

use crate::{Compared, ContentHash, Error, Progress, Result};

/// Of so many small steps, such as rows, one asks.
const SMALL_STEPS: u32 = 256;

/// Whether a store is being closed. All clones belong to one store.
#[derive(Clone, Debug, Default)]
pub(crate) struct Closing(Arc<AtomicBool>);

impl Closing {
    /// From now on no call begins, and those under way end soon.
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

/// How a caller learns the progress, and answers.
pub(crate) type Tell<'a> = dyn FnMut(Progress) -> ControlFlow<()> + 'a;

/// One piece of long work: whether it continues, and how far it has come.
///
/// Work that may take longer than some seconds asks between its steps. "No" is [`Error::Closed`], and is
/// returned upwards. After the first "no" the answer stays.
pub struct Going<'a> {
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

/// How far work came if closing did not stop it.
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

    /// Work that also ends when `tell` returns `Break`.
    pub(crate) fn telling(closing: &'a Closing, tell: &'a mut Tell<'a>) -> Self {
        Self {
            tell: RefCell::new(Some(tell)),
            ..Self::until(closing)
        }
    }

    /// Says how much there is to do in all, and asks whether to continue.
    ///
    /// # Errors
    /// [`Error::Closed`]: the answer was no.
    pub fn expect(&self, total: u64) -> Result<()> {
        let before = self.progress.get();
        self.progress.set(Progress {
            done: 0,
            total,
            ..before
        });
        self.check()
    }

    /// As [`expect`](Self::expect), for blobs of which those up to one are left out. Hashes are spread evenly.
    ///
    /// # Errors
    /// [`Error::Closed`]: the answer was no.
    pub fn expect_behind(&self, content: &ContentHash, all: u64) -> Result<()> {
        let [first, second, ..] = *content.as_bytes();
        let left = u64::from(u16::MAX - u16::from_be_bytes([first, second]));
        let of_all = u128::from(all) * u128::from(left) / u128::from(u16::MAX);
        self.expect(u64::try_from(of_all).unwrap_or(all))
    }

    /// Says that a step is done, and asks whether to continue.
    ///
    /// # Errors
    /// [`Error::Closed`]: the answer was no.
    pub fn advance(&self, by: u64) -> Result<()> {
        self.count(by);
        self.check()
    }

    /// Says that a small step is done. Asks only after many.
    ///
    /// # Errors
    /// [`Error::Closed`]: the answer was no.
    pub fn advance_a_little(&self, by: u64) -> Result<()> {
        self.count(by);
        let steps = self.small_steps.get() + 1;
        self.small_steps.set(steps % SMALL_STEPS);
        if steps < SMALL_STEPS {
            return Ok(());
        }
        self.check()
    }

    /// Says that a blob was compared, and before it all that have smaller hashes. It adds to what was compared before.
    pub fn reach(&self, blob: Compared) {
        let before = self.progress.get();
        let compared = before.compared.map_or(blob, |sum| Compared {
            through: blob.through,
            blobs: sum.blobs + blob.blobs,
            bytes: sum.bytes + blob.bytes,
            found: sum.found + blob.found,
        });
        self.progress.set(Progress {
            compared: Some(compared),
            ..before
        });
    }

    /// Says that nothing is left to do.
    pub fn finish(&self) {
        let before = self.progress.get();
        self.progress.set(Progress {
            done: before.total,
            ..before
        });
        // All is done, whatever the answer is.
        let _ = self.check();
    }

    /// Asks whether to continue.
    #[must_use]
    pub fn goes_on(&self) -> bool {
        self.check().is_ok()
    }

    /// Asks whether to continue.
    ///
    /// # Errors
    /// [`Error::Closed`]: the answer was no.
    pub fn check(&self) -> Result<()> {
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

    /// Says whether somebody has said no.
    #[must_use]
    pub fn has_stopped(&self) -> bool {
        self.stopped.borrow().is_some()
    }

    /// Returns how the work ended. If the caller's callback panicked, the panic continues from here.
    ///
    /// # Errors
    /// [`Error::Closed`] if closing has stopped it. Otherwise the error of `done`.
    pub(crate) fn conclude(self, done: Result<()>) -> Result<Reached> {
        match (self.stopped.into_inner(), done) {
            (Some(Stopped::Panic(panic)), _) => resume_unwind(panic),
            (Some(Stopped::Closing), Ok(()) | Err(Error::Closed)) => Err(Error::Closed),
            (Some(Stopped::Caller), Ok(()) | Err(Error::Closed)) => Ok(Reached::CutShort),
            (_, done) => done.map(|()| Reached::End),
        }
    }

    /// Counts steps, but never more than was expected, because the work may grow while it is counted.
    fn count(&self, by: u64) {
        let before = self.progress.get();
        let done = before.done.saturating_add(by).min(before.total);
        self.progress.set(Progress { done, ..before });
    }

    /// Tells the caller. The work may run inside code that catches panics and blames others, so the
    /// callback's panics are caught here.
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

impl std::fmt::Debug for Going<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Going")
            .field("progress", &self.progress.get())
            .finish_non_exhaustive()
    }
}
