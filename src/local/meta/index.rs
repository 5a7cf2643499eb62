//! [`Index`]: sled as a query index that can be deleted and rebuilt at any time (I9). Only this module names sled.
//!
//! An index has the changes since some batch. A row that it does not have may be in what lies
//! [below](super::stack), now or when the journal has become a layer. So a row that is removed leaves a mark.
//!
//! sled 0.34.7 does not sync what it flushes. It can open with rows missing and report nothing, and it can
//! panic while it opens. So the index is never the only copy of a row. It is trusted only after a clean
//! close, and then only if its rows add up to what the close had counted.

#![cfg_attr(
    not(shuttle),
    expect(
        clippy::disallowed_types,
        reason = "this is the module that names them"
    )
)]

use std::io;
use std::ops::{Bound, ControlFlow};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use super::ahead::{Ahead, Assured};
use super::journal::SpaceUse;
use super::pulse::{PATIENCE, Pulse, Visit};
use super::rows::Said;
use crate::local::file::{self, Dir, Handle, Place};
use crate::local::format::mutation::{self, Batch, Mutation, Tree};
use crate::local::format::tally::Tally;
use crate::sync::{GivenUp, Mutex};
use crate::{Error, Result, sync};

/// How often the lock of sled's file is tried: for a second in all.
const LOCK_TRIES: u32 = 100;
const LOCK_PAUSE: Duration = Duration::from_millis(10);
/// How many rows, or bytes, the index handles at least in a millisecond, on a slow disk. A call that takes
/// longer than that and [`PATIENCE`] is given up: it counts rows, or opens or flushes bytes.
const ROWS_PER_MS: u64 = 1;
const FILE_BYTES_PER_MS: u64 = 4096;

/// How many threads an open store may need at once: seven of sled, which it starts when a process first opens one, and
/// three of its own.
const THREADS: usize = 10;

/// The file in which sled keeps all rows.
const SLED_FILE: &str = "db";

/// Rows are loaded in batches of this size, bytes.
const LOAD_BATCH: usize = 64 * 1024;

/// The mark of a removed row: what sled has under its key. No row has an empty value, because each has
/// a checksum.
const REMOVED: &[u8] = &[];

/// The errors of a full disk or quota.
const FULL: [io::ErrorKind; 2] = [io::ErrorKind::StorageFull, io::ErrorKind::QuotaExceeded];

/// The index. Queries and changes run in their caller's thread and are watched (see [`Pulse`]). Opening,
/// counting, loading and closing run on a thread of their own, and their caller gives up after a time.
pub(crate) struct Index {
    dir: Dir,
    place: Place,
    /// `None` once it is closed.
    sled: Option<Arc<Sled>>,
    ahead: Ahead,
    pulse: Arc<Pulse>,
    /// The sum over all rows of sled, with the marks of removed ones.
    tally: Mutex<Tally>,
    /// Whether its directory is removed when nobody uses it any more.
    is_replaced: AtomicBool,
}

/// Says which row lies below an index. It does not change while it is asked.
pub(crate) type Below<'a> = dyn Fn(Tree, &[u8]) -> Result<Option<Vec<u8>>> + 'a;

impl Index {
    /// Opens the existing index without reading its rows. [`count`](Self::count) reads them.
    pub(crate) fn open(place: &Place, cache: u64, pulse: &Arc<Pulse>) -> Result<Self> {
        place.dir().create_dir(place.name())?;
        let dir = place.dir().dir(place.name())?;
        let mut index = Self {
            ahead: Ahead::of(None),
            dir: dir.clone(),
            place: place.clone(),
            sled: None,
            pulse: Arc::clone(pulse),
            tally: Mutex::default(),
            is_replaced: AtomicBool::new(false),
        };
        let sled = index.attended(index.file_limit(), move || Sled::open(&dir, cache))?;
        index.sled = Some(Arc::new(sled));
        index.ahead = Ahead::of(Handle::open_write(&index.dir.at(SLED_FILE)).ok());
        Ok(index)
    }

    /// Deletes what exists, and opens an empty index.
    pub(crate) fn create(place: &Place, cache: u64, pulse: &Arc<Pulse>) -> Result<Self> {
        file::remove_tree_if_present(place)?;
        Self::open(place, cache, pulse)
    }

    /// Its directory.
    pub(crate) fn place(&self) -> &Place {
        &self.place
    }

    /// Says that its rows lie elsewhere now. Its directory is removed when nobody uses it any more.
    pub(crate) fn replaced(&self) {
        self.is_replaced.store(true, Ordering::Relaxed);
    }

    /// Adds up all rows. About `expected` of them exist.
    pub(crate) fn count(&self, expected: u64) -> Result<Tally> {
        let sled = Arc::clone(self.sled()?);
        let limit = patience(expected / ROWS_PER_MS);
        let tally = self.attended(limit, move || sled.count())?;
        *self.tally.lock() = tally;
        Ok(tally)
    }

    /// Ensures that a batch of so many bytes can be applied as long as the result lives.
    ///
    /// # Errors
    /// [`Error::StorageFull`], with nothing changed.
    pub(crate) fn assure(&self, batch: usize, space: SpaceUse) -> Result<Assured<'_>> {
        self.ahead.assure(batch, space)
    }

    /// Allocates room for the next batches, as much as the disk has.
    pub(crate) fn lay_ahead(&self) {
        self.ahead.lay();
    }

    pub(crate) fn tally(&self) -> Tally {
        *self.tally.lock()
    }

    /// Begins to load rows, which nobody changes in the meantime.
    pub(crate) fn loading(&self) -> Loading<'_> {
        Loading {
            index: self,
            batch: Batch::default(),
        }
    }

    /// Applies a batch, row by row in its order. Batches that share a row must come one after the other.
    /// Returns what that adds to all rows, those below included.
    pub(crate) fn apply(&self, batch: &Batch, below: &Below<'_>) -> Result<Tally> {
        let mutations = mutation::mutations(batch.payload()).unwrap_or_default();
        let (mut own, mut all) = (Tally::default(), Tally::default());
        let applied = mutations
            .iter()
            .try_for_each(|mutation| self.apply_one(mutation, below, (&mut own, &mut all)));
        self.tally.lock().add(&own);
        applied.map(|()| all)
    }

    fn apply_one(
        &self,
        &Mutation { tree, key, value }: &Mutation<'_>,
        below: &Below<'_>,
        (own, all): (&mut Tally, &mut Tally),
    ) -> Result<()> {
        let new = value.unwrap_or(REMOVED);
        let before = self.set(tree, key, new)?;
        if let Some(before) = &before {
            own.subtract_row(tree, key, before);
        }
        own.add_row(tree, key, new);
        let before = match before {
            Some(before) => said(&before),
            // Of two puts of a blob at the same time, the later one finds the row above.
            None => below(tree, key)?,
        };
        if let Some(before) = before {
            all.subtract_row(tree, key, &before);
        }
        if let Some(value) = value {
            all.add_row(tree, key, value);
        }
        Ok(())
    }

    /// Sets what sled has under a key. Returns what it had before.
    fn set(&self, tree: Tree, key: &[u8], value: &[u8]) -> Result<Option<sled::IVec>> {
        let sled = self.sled()?;
        let mut visit = self.pulse.visit()?;
        sled.guarded(|| visit.inside(|| sled.tree(tree)?.insert(key, value)))
    }

    pub(crate) fn get(&self, tree: Tree, key: &[u8]) -> Result<Said> {
        let sled = self.sled()?;
        let mut visit = self.pulse.visit()?;
        let got = sled.guarded(|| {
            let value = visit.inside(|| sled.tree(tree)?.get(key))?;
            Ok(value.map(|value| said(&value)))
        });
        got.map_err(as_failure)
    }

    /// Passes the rows from `from` on to `visit`, ascending, until it breaks. The value of a removed row is
    /// `None`.
    pub(crate) fn scan(
        &self,
        tree: Tree,
        from: Bound<&[u8]>,
        visit: &mut SaidVisit<'_>,
    ) -> Result<()> {
        let sled = self.sled()?;
        let mut call = self.pulse.visit()?;
        let mut outcome = Ok(());
        let scanned = sled.guarded(|| {
            let mut rows = sled.tree(tree)?.range::<&[u8], _>((from, Bound::Unbounded));
            while let Some(row) = call.inside(|| rows.next()) {
                let (key, value) = row?;
                match visit(&key, Some(&*value).filter(|value| *value != REMOVED)) {
                    Ok(ControlFlow::Continue(())) => {}
                    Ok(ControlFlow::Break(())) => break,
                    Err(error) => {
                        outcome = Err(error);
                        break;
                    }
                }
            }
            Ok(())
        });
        scanned.map_err(as_failure)?;
        outcome
    }

    /// The greatest key of a tree, also if that row is removed.
    pub(crate) fn last_key(&self, tree: Tree) -> Result<Option<Vec<u8>>> {
        let sled = self.sled()?;
        let mut visit = self.pulse.visit()?;
        let last = sled.guarded(|| {
            let last = visit.inside(|| sled.tree(tree)?.last())?;
            Ok(last.map(|(key, _)| key.to_vec()))
        });
        last.map_err(as_failure)
    }

    /// Flushes, closes and syncs the index. Returns the sum over all rows.
    pub(crate) fn close(mut self) -> Result<Tally> {
        // An index that does not answer is left to the drop of this value.
        self.pulse.check()?;
        let (sled, dir) = (self.sled.take(), self.dir.clone());
        self.attended(self.file_limit(), move || {
            if let Some(sled) = sled {
                sled.close()?;
            }
            file::sync_tree(&dir)
        })?;
        Ok(self.tally())
    }

    fn sled(&self) -> Result<&Arc<Sled>> {
        self.pulse.check()?;
        let sled = self.sled.as_ref();
        sled.ok_or_else(|| failed("it is closed"))
    }

    /// Runs work that may hang on a thread of its own. If it does not return in time, the index counts as
    /// one that does not answer, and nobody uses it again.
    fn attended<T: Send + 'static>(
        &self,
        limit: Duration,
        run: impl FnOnce() -> Result<T> + Send + 'static,
    ) -> Result<T> {
        self.pulse.check()?;
        match sync::attend("partstore-index", limit, run) {
            Ok(done) => done,
            Err(GivenUp::Late) => Err(self.pulse.lose()),
            Err(GivenUp::Panicked) => Err(failed("a thread panicked")),
        }
    }

    /// How long opening or flushing may take. Only the size of its files says so.
    fn file_limit(&self) -> Duration {
        let len = Handle::open_read(&self.dir.at(SLED_FILE)).and_then(|db| db.len());
        patience(len.unwrap_or(0) / FILE_BYTES_PER_MS)
    }
}

impl Drop for Index {
    fn drop(&mut self) {
        let sled = self.sled.take();
        // This is not a clean close. Whatever sled says, the next open does not trust this index.
        if let Some(sled) = sled {
            if self.pulse.is_lost() {
                // Dropping it would hang, too, and it still names files by this descriptor.
                std::mem::forget((sled, self.dir.clone()));
            } else {
                let _ = self.attended(self.file_limit(), move || sled.end());
                if self.is_replaced.load(Ordering::Relaxed) {
                    // What remains is removed by the next open.
                    let _ = file::remove_tree_if_present(&self.place);
                }
            }
        }
    }
}

/// `None` for the mark of a removed row.
fn said(value: &[u8]) -> Option<Vec<u8>> {
    (value != REMOVED).then(|| value.to_vec())
}

/// Loads rows, many at a time.
pub(crate) struct Loading<'a> {
    index: &'a Index,
    batch: Batch,
}

impl Loading<'_> {
    /// Adds a row, or the mark of a removed one. No row may come twice.
    pub(crate) fn push(&mut self, tree: Tree, key: &[u8], value: Option<&[u8]>) -> Result<()> {
        self.batch.put(tree, key, value.unwrap_or(REMOVED));
        if self.batch.payload().len() < LOAD_BATCH {
            return Ok(());
        }
        self.load()
    }

    pub(crate) fn finish(mut self) -> Result<()> {
        self.load()
    }

    fn load(&mut self) -> Result<()> {
        let batch = std::mem::take(&mut self.batch);
        let (sled, pulse) = (
            Arc::clone(self.index.sled()?),
            Arc::clone(&self.index.pulse),
        );
        let change = self.index.attended(self.index.file_limit(), move || {
            sled.load(batch.payload(), &mut pulse.visit()?)
        })?;
        self.index.tally.lock().add(&change);
        Ok(())
    }
}

fn patience(more_ms: u64) -> Duration {
    PATIENCE.saturating_add(Duration::from_millis(more_ms))
}

/// An open sled.
struct Sled {
    path: PathBuf,
    db: sled::Db,
    trees: Vec<sled::Tree>,
}

impl Sled {
    fn open(dir: &Dir, cache: u64) -> Result<Self> {
        let path = dir.path().to_owned();
        let db = open_unlocked(&path, &dir.lasting_path(), cache)?;
        // By value, so that sled is dropped where its panics are caught if a tree cannot be opened.
        guarded(&path.clone(), move || {
            let trees = Tree::ALL.iter().map(|tree| db.open_tree(tree.name()));
            let trees = trees.collect::<sled::Result<_>>()?;
            Ok(Self { path, db, trees })
        })
    }

    /// Sets rows that do not exist yet, and adds them up.
    fn load(&self, payload: &[u8], visit: &mut Visit<'_>) -> Result<Tally> {
        let mutations = mutation::mutations(payload).unwrap_or_default();
        let mut added = Tally::default();
        self.guarded(|| {
            mutations.iter().try_for_each(|mutation| {
                let value = mutation.value.unwrap_or(REMOVED);
                visit.inside(|| self.tree(mutation.tree)?.insert(mutation.key, value))?;
                added.add_row(mutation.tree, mutation.key, value);
                Ok(())
            })
        })?;
        Ok(added)
    }

    /// Adds up all rows, two trees at a time.
    fn count(&self) -> Result<Tally> {
        let halves: [&[Tree]; 2] = [
            &[
                Tree::Parts,
                Tree::Uploads,
                Tree::UploadNames,
                Tree::Metadata,
            ],
            &[
                Tree::Refs,
                Tree::Blobs,
                Tree::Garbage,
                Tree::Keys,
                Tree::Namespaces,
                Tree::Usage,
                Tree::Tombstones,
            ],
        ];
        let [first, second] = halves;
        let (first, second) = std::thread::scope(|scope| {
            let second = scope.spawn(|| self.count_trees(second));
            (
                self.count_trees(first),
                second
                    .join()
                    .unwrap_or_else(|_| Err(failed("a thread panicked"))),
            )
        });
        let mut tally = first?;
        tally.add(&second?);
        Ok(tally)
    }

    fn count_trees(&self, trees: &[Tree]) -> Result<Tally> {
        let mut tally = Tally::default();
        self.guarded(|| {
            for tree in trees {
                for row in self.tree(*tree)?.range::<&[u8], _>(..) {
                    let (key, value) = row?;
                    tally.add_row(*tree, &key, &value);
                }
            }
            Ok(())
        })?;
        Ok(tally)
    }

    /// Flushes and closes it.
    fn close(self: Arc<Self>) -> Result<()> {
        self.guarded(|| self.db.flush().map(drop))?;
        self.end()
    }

    /// Drops sled, which then writes and syncs, and panics if that fails.
    fn end(self: Arc<Self>) -> Result<()> {
        let path = self.path.clone();
        guarded(&path, move || {
            drop(self);
            Ok(())
        })
    }

    fn tree(&self, tree: Tree) -> sled::Result<&sled::Tree> {
        let open = self.trees.get(tree.at());
        open.ok_or_else(|| sled::Error::CollectionNotFound(tree.name().into()))
    }

    fn guarded<T>(&self, run: impl FnOnce() -> sled::Result<T>) -> Result<T> {
        guarded(&self.path, run)
    }
}

/// It is called with key and value of each row. A removed row has none.
pub(crate) type SaidVisit<'a> = dyn FnMut(&[u8], Option<&[u8]>) -> Result<ControlFlow<()>> + 'a;

/// Makes sure that sled gets its threads. sled does not look whether they have started. Without them it waits
/// for ever when it is opened, or when it is closed. `store` is named in the error.
///
/// # Errors
/// [`Error::Io`]: the system refuses them.
pub(crate) fn prove_threads(store: &Path) -> Result<()> {
    static PROVEN: AtomicBool = AtomicBool::new(false);
    if PROVEN.load(Ordering::Relaxed) {
        return Ok(());
    }
    sync::can_start(THREADS).map_err(|source| Error::Io {
        op: "start ten threads for",
        path: store.to_owned(),
        source,
    })?;
    PROVEN.store(true, Ordering::Relaxed);
    Ok(())
}

/// Opens sled. sled locks its file, and unlocks it by closing it. A child process that is just being
/// started may hold the lock for a moment longer.
fn open_unlocked(path: &Path, dir: &Path, cache: u64) -> Result<sled::Db> {
    // No flusher thread: the journal makes rows durable, and the cache bounds the memory.
    let config = sled::Config::new()
        .path(dir)
        .cache_capacity(cache)
        .flush_every_ms(None);
    let mut opened = guarded(path, || config.open());
    for _ in 0..LOCK_TRIES {
        match &opened {
            Err(Error::Index { cause }) if cause.contains("could not acquire lock") => {}
            _ => break,
        }
        std::thread::sleep(LOCK_PAUSE);
        opened = guarded(path, || config.open());
    }
    opened
}

/// Runs sled, and turns its failures and panics into an error. `path` is where its files are.
fn guarded<T>(path: &Path, run: impl FnOnce() -> sled::Result<T>) -> Result<T> {
    let said = match catch_unwind(AssertUnwindSafe(run)) {
        Ok(Ok(done)) => return Ok(done),
        Ok(Err(sled::Error::Io(source))) if FULL.contains(&source.kind()) => {
            return Err(full(path));
        }
        Ok(Err(error)) => error.to_string(),
        Err(panic) => {
            let text = panic.downcast_ref::<String>().map(String::as_str);
            let text = text.or_else(|| panic.downcast_ref::<&str>().copied());
            format!("sled panicked: {}", text.unwrap_or("without a word"))
        }
    };
    // sled unwraps some of its errors. Then only their text says what happened.
    if FULL.iter().any(|kind| said.contains(&format!("{kind:?}"))) {
        return Err(full(path));
    }
    Err(failed(&said))
}

/// The error of a call on an open store, for an error of the index. It is too late to refuse the call for
/// lack of room, and sled does not recover from that.
pub(super) fn as_failure(error: Error) -> Error {
    match error {
        Error::StorageFull { .. } => failed("the disk has no room for it"),
        other => other,
    }
}

fn full(path: &Path) -> Error {
    Error::StorageFull {
        path: path.to_owned(),
        needed: 0,
        available: 0,
    }
}

fn failed(cause: &str) -> Error {
    Error::Index {
        cause: cause.to_owned(),
    }
}
