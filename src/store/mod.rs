//! [`PartStore`]: uploads, parts and objects. This layer alone sees both stores, and owns the order of their steps.

mod ages;
mod answers;
mod complete;
mod copy;
mod directory;
mod end;
mod engine;
mod housekeeping;
mod initiate;
mod list;
mod objects;
mod pages;
mod parts;
mod put;
mod read;
mod receiving;
mod shared;
mod upkeep;
mod uploads;
mod writer;

use std::path::Path;
use std::sync::Arc;

pub use read::{ObjectReader, PartReader};
pub use writer::PartWriter;

use engine::Engine;
use shared::Shared;

#[cfg(doc)]
use crate::Stats;
use crate::sync::{JoinHandle, MappedRwLockReadGuard, Mutex};
use crate::{Background, Error, Options, RecoveryReport, Result};

/// A store of multipart uploads in one directory.
///
/// Clones are handles to the same store; all calls may come from any thread at any time. Each
/// answers when its result is durable. The last handle to go closes the store;
/// [`close`](Self::close) does so at once and says how it went.
#[derive(Clone)]
pub struct PartStore {
    handle: Arc<OpenStore>,
}

struct OpenStore {
    shared: Arc<Shared>,
    recovery: RecoveryReport,
    housekeeping: Mutex<Option<JoinHandle<()>>>,
    /// How closing ended, once it has.
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
        let (background, expire_after) = (options.background, options.expire_after);
        let engine = Engine::open(path, options)?;
        let recovery = engine.recovery.clone();
        let shared = Shared::new(engine);
        let housekeeping = match background {
            Background::Thread => Some(housekeeping::start(&shared, expire_after)?),
            Background::Host => None,
        };
        // There may be garbage from before, or orphans after a crash.
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

    /// What opening found and did.
    #[must_use]
    pub fn recovery(&self) -> &RecoveryReport {
        &self.handle.recovery
    }

    /// Closes the store. From the moment that this begins every other call gets [`Error::Closed`] at once,
    /// on every handle, also writers that are not finished.
    ///
    /// Calls that are under way are waited for, and none of them takes long: `verify`, sweeps, expiry and
    /// snapshots, and puts and copies of long parts end with [`Error::Closed`] within a second or two, and
    /// leave nothing behind that a sweep does not remove. A system call that is under way is waited for. So
    /// are callbacks, such as that of [`verify_with`](Self::verify_with).
    ///
    /// Whoever else closes the store, at the same time or later, is told the same when it is closed.
    ///
    /// On `Ok` the next open is a quick one. On `Err` everything acknowledged is durable all the
    /// same, and the next open rebuilds the index. [`Error::Damaged`] is another matter: the store is
    /// closed as on `Ok`, and the next open writes the damaged files anew from the index.
    ///
    /// An index that does not answer is given up after 30 s and 1 s for each 4 MiB of its files. Then
    /// [`Error::Index`] is the answer, and threads that hang inside stay until the process ends.
    ///
    /// # Errors
    /// [`Error::Poisoned`]; [`Error::Index`], [`Error::Io`] when the index could not be written
    /// out; [`Error::StorageFull`] when it had no room, not even that of the ballast;
    /// [`Error::Damaged`] when journal or snapshot were found damaged
    /// ([`Stats::damaged_files`]).
    pub fn close(&self) -> Result<()> {
        self.handle.close()
    }

    /// Runs a call that may leave something to do for housekeeping.
    fn change<T>(&self, call: impl FnOnce(&Engine) -> Result<T>) -> Result<T> {
        let engine = self.engine()?;
        let done = call(&engine)?;
        self.handle.shared.notice_work(&engine);
        Ok(done)
    }

    fn engine(&self) -> Result<MappedRwLockReadGuard<'_, Engine>> {
        self.handle.shared.engine()
    }
}

impl Options {
    /// Opens the store at `path`, which is created when it is absent or an empty directory.
    ///
    /// On `Ok` the store is whole and this process has it alone.
    /// [`PartStore::recovery`] says what opening did.
    ///
    /// # Cost
    /// After a clean close one scan of the index and one of the journal: about 5 us of a processor a part.
    /// After anything else the index is rebuilt: about 20 us.
    ///
    /// # Errors
    /// [`Error::StoreLocked`] when it is open already;
    /// [`Error::NotAStore`] when the directory holds something else, or is none;
    /// [`Error::Forked`] in a forked child of a process that had opened a store;
    /// [`Error::NoSuchStore`] when there is no store and it [must exist](Self::must_exist);
    /// [`Error::NewerFormat`] when a newer version wrote it;
    /// [`Error::Damaged`] when the journal or the snapshot is not what was
    /// written, and no index that was closed with them proves what it was
    /// ([`salvage`](Options::salvage) gives back what it can);
    /// [`Error::StorageFull`] when there is no room for the
    /// index or a journal segment; [`Error::Io`] when a system call fails.
    pub fn open(self, path: impl AsRef<Path>) -> Result<PartStore> {
        PartStore::open_with(path.as_ref(), self)
    }
}

impl OpenStore {
    fn close(&self) -> Result<()> {
        self.shared.check_process()?;
        self.shared.stop();
        // Held until the store is closed: who comes second answers only then.
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
            // A panic there has been printed, and has no bearing on what is durable.
            let _ = thread.join();
        }
        let engine = self.shared.take_engine()?;
        engine.map_or(Err(Error::Closed), Engine::close)
    }
}

impl Drop for OpenStore {
    fn drop(&mut self) {
        if self.shared.check_process().is_err() {
            // Nothing of it may be closed or written here: it stays for as long as this process does.
            std::mem::forget(Arc::clone(&self.shared));
        }
        // Nobody is left to be told: without a marker the next open rebuilds the index.
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
