//! [`PartStore`]: uploads, parts and objects, on any engine. This layer applies the rules, and decides the
//! order of the steps.

mod ahead;
mod copy;
#[cfg(not(shuttle))]
mod export;
mod flow;
mod from_memory;
mod housekeeping;
mod keys;
mod namespaces;
mod objects;
mod open_blobs;
mod pages;
mod parts;
mod places;
mod put;
mod read;
mod receiving;
mod rename;
mod session;
mod shared;
mod stored;
mod under_way;
mod upkeep;
mod uploads;
mod whole;
mod workers;
mod writer;

use std::path::Path;
use std::sync::Arc;

pub use read::{ObjectReader, PartReader};
pub use writer::{ObjectWriter, PartWriter};

use session::Session;
use shared::Shared;

#[cfg(doc)]
use crate::Stats;
use crate::backend::{BlobStore, Catalog};
use crate::process::Process;
use crate::sync::{JoinHandle, MappedRwLockReadGuard, Mutex};
use crate::{Background, Error, Options, RecoveryReport, Result};

/// A store of multipart uploads in one directory.
///
/// Clones are handles to the same store. Any thread may make any call at any time. A call that changes
/// something returns when its result is durable. Dropping the last handle closes the store.
/// [`close`](Self::close) does so at once, and says whether it succeeded.
#[derive(Clone)]
pub struct PartStore {
    handle: Arc<OpenStore>,
}

struct OpenStore {
    shared: Arc<Shared>,
    recovery: RecoveryReport,
    housekeeping: Mutex<Option<JoinHandle<()>>>,
    /// The result of closing, once it is known.
    outcome: Mutex<Option<Result<()>>>,
}

impl PartStore {
    /// Opens the store at `path` with [`Options::cos`].
    ///
    /// # Errors
    /// As for [`Options::open`].
    pub fn open(path: impl AsRef<Path>) -> Result<Self> {
        Options::cos().open(path)
    }

    pub(crate) fn open_with(path: &Path, options: Options) -> Result<Self> {
        Self::begin(Session::open(path, options)?)
    }

    fn begin(session: Session) -> Result<Self> {
        let expire_after = session.options.expire_after;
        let background = match &session.options.read_in {
            None => session.options.background,
            Some(_) => Background::Host,
        };
        let recovery = session.recovery.clone();
        let shared = Shared::new(session);
        let housekeeping = match background {
            Background::Thread => Some(housekeeping::start(&shared, expire_after)?),
            Background::Host => None,
        };
        // Garbage from before may exist, or orphans after a crash.
        shared.wake();
        Ok(Self {
            handle: Arc::new(OpenStore {
                shared,
                recovery,
                housekeeping: Mutex::new(housekeeping),
                outcome: Mutex::default(),
            }),
        })
    }

    /// Returns what opening found and did.
    #[must_use]
    pub fn recovery(&self) -> &RecoveryReport {
        &self.handle.recovery
    }

    /// Closes the store. As soon as this begins, every other call gets [`Error::Closed`] at once. That
    /// holds for every handle, and for writers that are not finished.
    ///
    /// Calls that are under way are waited for, and none of them takes long. `verify`, sweeps, expiry and
    /// checkpoints, and puts and copies of long parts, end with [`Error::Closed`] within a second or two.
    /// What they leave behind is removed by a sweep. A system call that is under way is waited for. So are
    /// callbacks, such as that of [`verify_with`](Self::verify_with).
    ///
    /// Every other call of `close`, at the same time or later, returns the same result once the store is
    /// closed.
    ///
    /// On `Ok` the next open is quick. On `Err` everything acknowledged is durable all the same, and the
    /// next open rebuilds the index. [`Error::Damaged`] differs: the store is closed as on `Ok`, and the
    /// next open writes the damaged files anew from the index.
    ///
    /// An index that does not answer is given up after 30 s, plus 1 s for each 4 MiB of its files. The
    /// answer is then [`Error::Index`], and the threads that hang in the index remain until the process
    /// ends.
    ///
    /// # Errors
    /// - [`Error::Poisoned`]: the store has stopped.
    /// - [`Error::Index`], [`Error::Io`]: the index could not be written out.
    /// - [`Error::StorageFull`]: the index had no room, not even that of the ballast.
    /// - [`Error::Damaged`]: the journal or a layer was found damaged ([`Stats::damaged_files`]).
    pub fn close(&self) -> Result<()> {
        self.handle.close()
    }

    /// Runs a call that changes something, and may leave work for the housekeeping.
    fn change<T>(&self, call: impl FnOnce(&Session) -> Result<T>) -> Result<T> {
        let session = self.session()?;
        session.catalog.check()?;
        let done = session.settled(call(&session))?;
        self.handle.shared.notice_work(&session);
        Ok(done)
    }

    fn session(&self) -> Result<MappedRwLockReadGuard<'_, Session>> {
        self.handle.shared.session()
    }
}

impl Options {
    /// Opens the store at `path`. If the directory is absent or empty, the store is made.
    ///
    /// On `Ok` the store is whole, and this process alone has it open. [`PartStore::recovery`] says what
    /// opening did.
    ///
    /// # Cost
    /// It does not grow with the store. After a clean close: the journal behind the layers and the newest 64 MiB of layers
    /// are read. After anything else the index is rebuilt from at most 256 MiB of journal, which takes up to some seconds.
    ///
    /// # Errors
    /// - [`Error::StoreLocked`]: the store is already open.
    /// - [`Error::NotAStore`]: the directory holds something else, or the path is not a directory.
    /// - [`Error::Forked`]: this process was forked from one that had opened a store.
    /// - [`Error::NoSuchStore`]: no store exists, and it [must exist](Self::must_exist).
    /// - [`Error::NewerFormat`]: a newer version of this crate wrote the store.
    /// - [`Error::Damaged`]: the journal or a layer does not hold what was written, and no index that
    ///   was closed with them proves what they held. [`salvage`](Options::salvage) gives back what it can.
    /// - [`Error::StorageFull`]: the disk has no room for the index or a journal segment.
    /// - [`Error::Io`]: a system call failed, or the system does not let this process have some ten threads.
    pub fn open(self, path: impl AsRef<Path>) -> Result<PartStore> {
        PartStore::open_with(path.as_ref(), self)
    }

    /// Makes a store of an engine that is open: one of another crate, or one of your own
    /// ([`backend`](crate::backend)).
    ///
    /// Options that are about the embedded engine's directory mean nothing here: headroom, cache, mode,
    /// journal and salvage. [`PartStore::recovery`] has nothing to say.
    ///
    /// # Errors
    /// - [`Error::InvalidArgument`]: the options say [`read_only`](Self::read_only).
    /// - [`Error::Forked`]: this process was forked from one that had opened a store.
    /// - [`Error::Io`]: the thread of the housekeeping cannot be started.
    pub fn open_on(
        self,
        catalog: Box<dyn Catalog>,
        blobs: Arc<dyn BlobStore>,
    ) -> Result<PartStore> {
        if self.read_in.is_some() {
            return Err(Error::InvalidArgument {
                argument: "options",
                found: "read_only".to_owned(),
                expected: "none, because the engine is open",
            });
        }
        let process = Process::opens_a_store()?;
        PartStore::begin(Session::on(process, catalog, blobs, self))
    }
}

impl OpenStore {
    fn close(&self) -> Result<()> {
        self.shared.check_process()?;
        self.shared.stop();
        // Held until the store is closed, so that a second call of `close` answers only then.
        let mut outcome = self.outcome.lock();
        if outcome.is_none() {
            *outcome = Some(self.close_first());
        }
        match &*outcome {
            Some(Err(error)) => Err(error.again()),
            _ => Ok(()),
        }
    }

    fn close_first(&self) -> Result<()> {
        if let Some(thread) = self.housekeeping.lock().take() {
            self.shared.wait_for_end()?;
            // A panic of the thread was printed, and does not change what is durable.
            let _ = thread.join();
        }
        let session = self.shared.take_session()?;
        session.map_or(Err(Error::Closed), Session::close)
    }
}

impl Drop for OpenStore {
    fn drop(&mut self) {
        if self.shared.check_process().is_err() {
            // Nothing of the store may be closed or written in this process. So it is kept until the
            // process ends.
            std::mem::forget(Arc::clone(&self.shared));
        }
        // Nobody is left who could be told. Without a marker the next open rebuilds the index.
        let _ = self.close();
    }
}

impl std::fmt::Debug for PartStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PartStore")
            .field("recovery", self.recovery())
            .finish_non_exhaustive()
    }
}
