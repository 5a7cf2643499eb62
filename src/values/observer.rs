//! [`Observer`]: is told what a store does, as it happens. [`Witness`] is what tells it.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::{BackupReport, ContentHash, DamagedFile, SweepReport};

/// Is told what a store does. Every closure that takes an [`Event`] is one.
///
/// [`Options::observer`](crate::Options::observer) gives it to a store, before the store is opened.
///
/// ```
/// use partstore::{Event, Options};
/// # let dir = tempfile::tempdir().unwrap();
/// let options = Options::cos().observer(|event: &Event| {
///     if let Event::Sync { kind, took, .. } = event {
///         println!("a sync of {kind:?} took {took:?}");
///     }
/// });
/// let store = options.open(dir.path().join("data"))?;
/// # Ok::<(), partstore::Error>(())
/// ```
///
/// # Threads
/// Each event is told on the thread that did the work: that of a caller, the housekeeping thread, or one of the
/// engine's own. Several threads tell at the same time. An event is told after its step is done, and after the locks
/// of that step are given up, wherever that is possible. But a step may be part of a longer one, which holds a lock.
///
/// So an observer must return quickly: the call that tells does not return before it does, and others may wait for
/// that call. It must not call the store, because that call may wait for the thread that tells, for ever. Neither a
/// slow observer nor a blocked one loses anything that was acknowledged. To do more, send a clone of the event to a
/// thread of your own.
///
/// # Panics
/// A panic of an observer is caught. The store does not notice it, and tells the next event as well. A program that
/// is built with `panic = "abort"` ends.
pub trait Observer: Send + Sync {
    /// Notes an event.
    fn event(&self, event: &Event);
}

impl<F: Fn(&Event) + Send + Sync> Observer for F {
    fn event(&self, event: &Event) {
        self(event);
    }
}

/// What a store has done, or found. Variants and fields may be added.
///
/// A step that fails tells nothing, except for [requests](Event::Request). The call says why it failed.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Event {
    /// A body is durable, as a part or as an object. Copies and puts by hash are not told, because they have no body.
    #[non_exhaustive]
    Put {
        /// Its length, bytes.
        bytes: u64,
        /// What became of the bytes.
        kind: PutKind,
        /// From the last byte of the body until it was durable. For a body in memory that includes its digests.
        took: Duration,
    },
    /// A group of changes became durable together.
    #[non_exhaustive]
    Group {
        /// How many. In the embedded engine they are batches of the journal, in the cluster puts of parts that were not
        /// refused.
        changes: u64,
        /// Bytes of the journal that were written. 0 in an engine without one.
        bytes: u64,
        /// How long it took to write and sync them.
        took: Duration,
    },
    /// A sync of the embedded engine, or of a shared directory, has ended well. A failed one stops the store.
    #[non_exhaustive]
    Sync {
        /// What was synced.
        kind: SyncKind,
        /// How long it took.
        took: Duration,
    },
    /// A sweep has ended, perhaps early.
    #[non_exhaustive]
    Sweep {
        /// What it removed. A close that ends the sweep also makes it `cut_short`.
        report: SweepReport,
        /// How long it took.
        took: Duration,
    },
    /// The rows of parts of ended uploads and objects were removed. The embedded engine does this in a sweep. What a
    /// crash takes back is removed again, and told again.
    #[non_exhaustive]
    Release {
        /// How many parts, at least one.
        parts: u64,
        /// How long it took.
        took: Duration,
    },
    /// What the journal had became a layer.
    #[non_exhaustive]
    Checkpoint {
        /// The size of the layer, bytes.
        bytes: u64,
        /// How long it took.
        took: Duration,
    },
    /// Layers became one.
    #[non_exhaustive]
    Merge {
        /// How many.
        layers: u64,
        /// The size of the new one, bytes.
        bytes: u64,
        /// How long it took.
        took: Duration,
    },
    /// A search for old uploads has ended.
    #[non_exhaustive]
    Expiry {
        /// How many were aborted.
        uploads: u64,
        /// How long it took.
        took: Duration,
    },
    /// A [backup](crate::PartStore::back_up) has ended, perhaps early.
    #[non_exhaustive]
    Backup {
        /// What is in it, and what it brought.
        report: BackupReport,
        /// How long it took.
        took: Duration,
    },
    /// A blob was found damaged. Each is told once, until its bytes are put again.
    #[non_exhaustive]
    DamagedBlob {
        /// The blob.
        hash: ContentHash,
        /// What is wrong.
        reason: String,
    },
    /// A file of the journal or of the layers was found damaged. From now on changes are refused.
    #[non_exhaustive]
    DamagedFile {
        /// The file, and what is wrong.
        file: DamagedFile,
    },
    /// The store has stopped ([I8](crate::rules#i8)).
    #[non_exhaustive]
    Stopped {
        /// Why.
        cause: String,
    },
    /// A call was answered [`Error::OutcomeUnknown`](crate::Error::OutcomeUnknown). Only engines beyond one machine
    /// do this.
    #[non_exhaustive]
    OutcomeUnknown {
        /// Why nobody knows.
        cause: String,
    },
    /// A request to another machine has ended: one of the database, or one that writes to the bucket.
    #[non_exhaustive]
    Request {
        /// Where it was sent.
        to: Remote,
        /// Bytes of a body that were sent with it.
        bytes: u64,
        /// Whether it was answered well. A refusal, such as of a quota, is no failure.
        answered: bool,
        /// How long it took, with all attempts.
        took: Duration,
    },
}

/// What became of the bytes of a [put](Event::Put).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum PutKind {
    /// They were written. They may be stored already: if two puts of them meet, or if the engine does not look for
    /// small bodies first.
    New,
    /// They were stored already, and are shared now.
    Known,
    /// The stored ones were damaged or missing, and these took their place.
    Repaired,
}

/// What a [sync](Event::Sync) made durable.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum SyncKind {
    /// A segment of the journal. All concurrent calls share it.
    Journal,
    /// The bytes of a blob.
    Blob,
    /// Names in a directory.
    Directory,
    /// A layer.
    Layer,
}

/// Where a [request](Event::Request) was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Remote {
    /// The database that has the rows.
    Database,
    /// The bucket that has the bytes.
    Bucket,
}

/// Events that engines of other crates tell.
impl Event {
    /// Makes an [`Event::Group`] of an engine without a journal.
    #[must_use]
    pub fn group(changes: u64, took: Duration) -> Self {
        Self::Group {
            changes,
            bytes: 0,
            took,
        }
    }

    /// Makes an [`Event::Sync`].
    #[must_use]
    pub fn sync(kind: SyncKind, took: Duration) -> Self {
        Self::Sync { kind, took }
    }

    /// Makes an [`Event::DamagedBlob`].
    #[must_use]
    pub fn damaged_blob(hash: ContentHash, reason: &str) -> Self {
        Self::DamagedBlob {
            hash,
            reason: reason.to_owned(),
        }
    }

    /// Makes an [`Event::Request`], with the bytes of a body that were sent, and whether it was answered well.
    #[must_use]
    pub fn request(to: Remote, (bytes, answered): (u64, bool), took: Duration) -> Self {
        Self::Request {
            to,
            bytes,
            answered,
            took,
        }
    }
}

/// Tells events to the observer of a store, if it has one. Without one, nothing is measured.
/// [`Options::witness`](crate::Options::witness) gives it to an engine.
#[derive(Clone, Default)]
pub struct Witness(Option<Arc<dyn Observer>>);

/// When something began, if somebody wants to know.
#[derive(Clone, Copy, Debug)]
#[must_use = "it measures until it is told"]
pub struct Began(Option<Instant>);

impl Began {
    /// Returns how long it has taken so far. `None` if nobody wants to know.
    #[must_use]
    pub fn took(self) -> Option<Duration> {
        self.0.map(|began| began.elapsed())
    }
}

impl Witness {
    pub(crate) const fn nobody() -> Self {
        Self(None)
    }

    pub(crate) fn of(observer: impl Observer + 'static) -> Self {
        Self(Some(Arc::new(observer)))
    }

    /// Begins to measure a step.
    pub fn begin(&self) -> Began {
        Began(self.0.as_ref().map(|_| Instant::now()))
    }

    /// Tells that the step has ended, and how long it took.
    pub fn tell(&self, began: Began, event: impl FnOnce(Duration) -> Event) {
        if let Some(took) = began.took() {
            self.note(|| event(took));
        }
    }

    /// Tells an event whose time is known, or that took none.
    pub fn note(&self, event: impl FnOnce() -> Event) {
        if let Some(observer) = &self.0 {
            tell(&**observer, &event());
        }
    }

    /// Does a step, and tells about it if it went well.
    ///
    /// # Errors
    /// Those of the step.
    pub fn timed<T, E>(
        &self,
        step: impl FnOnce() -> Result<T, E>,
        event: impl FnOnce(&T, Duration) -> Event,
    ) -> Result<T, E> {
        let began = self.begin();
        let done = step()?;
        self.tell(began, |took| event(&done, took));
        Ok(done)
    }
}

/// Whatever the observer breaks in a panic is its own: nothing of the store is lent to it.
#[cold]
fn tell(observer: &dyn Observer, event: &Event) {
    if let Err(panic) = catch_unwind(AssertUnwindSafe(|| observer.event(event))) {
        // A value that a panic carries may panic in its turn when it is dropped.
        if let Err(panic) = catch_unwind(AssertUnwindSafe(|| drop(panic))) {
            std::mem::forget(panic);
        }
    }
}

impl std::fmt::Debug for Witness {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let is_some = self.0.is_some();
        f.write_str(if is_some { "an observer" } else { "nobody" })
    }
}
