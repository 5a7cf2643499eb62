//! [`Index`]: sled as a query index that can be deleted and rebuilt at any time (I9). Only this module names sled.
//!
//! sled 0.34.7 does not sync what it flushes, can come back with rows missing and say so to nobody,
//! and can panic while it opens. So nothing here is ever the only copy: an index is trusted only
//! after a clean close, and then only when its rows add up to what the close had counted.

use std::ops::{Bound, ControlFlow};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::time::Duration;

use parking_lot::Mutex;

use super::ahead::{Ahead, Assured};
use super::batch::{Mutation, Tree};
use super::journal::Claim;
use super::tally::Tally;
use crate::file::{self, Dir, Handle, Place};
use crate::{Error, Result};

/// For how long the lock of sled's file is waited for: a second in all.
const LOCK_TRIES: u32 = 100;
const LOCK_PAUSE: Duration = Duration::from_millis(10);

/// Where sled keeps all rows.
const SLED_FILE: &str = "db";

pub(crate) struct Index {
    dir: Dir,
    /// `None` once it is closed.
    sled: Option<Sled>,
    ahead: Ahead,
    tally: Mutex<Tally>,
}

struct Sled {
    db: sled::Db,
    trees: Vec<sled::Tree>,
}

impl Index {
    /// Opens what is there, without looking at its rows: [`count`](Self::count) does.
    pub(crate) fn open(place: &Place, cache: u64) -> Result<Self> {
        place.dir().create_dir(place.name())?;
        let dir = place.dir().dir(place.name())?;
        let db = open_unlocked(&dir.lasting_path(), cache)?;
        // By value: when a tree does not open, sled is dropped where its panics are caught.
        guarded(move || {
            let trees = Tree::ALL.iter().map(|tree| db.open_tree(tree.name()));
            let trees = trees.collect::<sled::Result<_>>()?;
            Ok(Self {
                ahead: Ahead::of(Handle::open_write(&dir.at(SLED_FILE)).ok()),
                dir,
                sled: Some(Sled { db, trees }),
                tally: Mutex::default(),
            })
        })
    }

    /// Deletes what is there and opens an empty index.
    pub(crate) fn create(place: &Place, cache: u64) -> Result<Self> {
        file::remove_tree_if_present(place)?;
        Self::open(place, cache)
    }

    /// Adds up all rows, two trees at a time.
    pub(crate) fn count(&self) -> Result<Tally> {
        let halves: [&[Tree]; 2] = [
            &[
                Tree::Parts,
                Tree::Uploads,
                Tree::UploadNames,
                Tree::Metadata,
            ],
            &[Tree::Refs, Tree::Blobs, Tree::Garbage],
        ];
        let count = |trees: &[Tree]| {
            trees.iter().try_fold(Tally::default(), |mut tally, tree| {
                self.scan(*tree, Bound::Unbounded, &mut |key, value| {
                    tally.add_row(*tree, key, value);
                    Ok(ControlFlow::Continue(()))
                })?;
                Ok(tally)
            })
        };
        let [first, second] = halves;
        let (first, second) = std::thread::scope(|scope| {
            let second = scope.spawn(|| count(second));
            (
                count(first),
                second
                    .join()
                    .unwrap_or_else(|_| Err(failed("a thread panicked"))),
            )
        });
        let mut tally = first?;
        tally.add(&second?);
        *self.tally.lock() = tally;
        Ok(tally)
    }

    /// Sees to it that a batch of so many bytes can be applied as long as the answer lives.
    ///
    /// # Errors
    /// [`Error::StorageFull`], with nothing changed.
    pub(crate) fn assure(&self, batch: usize, claim: Claim) -> Result<Assured<'_>> {
        self.ahead.assure(batch, claim)
    }

    /// Takes room for what comes first, as much as there is.
    pub(crate) fn lay_ahead(&self) {
        self.ahead.lay();
    }

    pub(crate) fn tally(&self) -> Tally {
        *self.tally.lock()
    }

    /// Applies a batch, row by row in its order. Batches that share a row come here one after the
    /// other.
    pub(crate) fn apply(&self, mutations: &[Mutation<'_>]) -> Result<()> {
        let mut change = Tally::default();
        let applied = guarded(|| {
            mutations
                .iter()
                .try_for_each(|mutation| self.apply_one(mutation, &mut change))
        });
        self.tally.lock().add(&change);
        applied
    }

    fn apply_one(&self, mutation: &Mutation<'_>, change: &mut Tally) -> sled::Result<()> {
        let Mutation { tree, key, value } = *mutation;
        let before = match value {
            Some(value) => self.tree(tree)?.insert(key, value)?,
            None => self.tree(tree)?.remove(key)?,
        };
        if let Some(before) = before {
            change.take_row(tree, key, &before);
        }
        if let Some(value) = value {
            change.add_row(tree, key, value);
        }
        Ok(())
    }

    pub(crate) fn get(&self, tree: Tree, key: &[u8]) -> Result<Option<Vec<u8>>> {
        guarded(|| Ok(self.tree(tree)?.get(key)?.map(|value| value.to_vec())))
    }

    /// Hands the rows from `from` on to `visit`, ascending, until it breaks.
    pub(crate) fn scan(
        &self,
        tree: Tree,
        from: Bound<&[u8]>,
        visit: &mut RowVisit<'_>,
    ) -> Result<()> {
        let mut outcome = Ok(());
        guarded(|| {
            for row in self.tree(tree)?.range::<&[u8], _>((from, Bound::Unbounded)) {
                let (key, value) = row?;
                match visit(&key, &value) {
                    Ok(ControlFlow::Continue(())) => {}
                    Ok(ControlFlow::Break(())) => break,
                    Err(error) => {
                        outcome = Err(error);
                        break;
                    }
                }
            }
            Ok(())
        })?;
        outcome
    }

    /// The greatest key of a tree.
    pub(crate) fn last_key(&self, tree: Tree) -> Result<Option<Vec<u8>>> {
        guarded(|| Ok(self.tree(tree)?.last()?.map(|(key, _)| key.to_vec())))
    }

    /// Flushes, closes and syncs the index. Gives what all rows add up to.
    pub(crate) fn close(mut self) -> Result<Tally> {
        if let Some(sled) = &self.sled {
            guarded(|| sled.db.flush().map(drop))?;
        }
        self.drop_sled()?;
        file::sync_tree(&self.dir)?;
        Ok(self.tally())
    }

    /// sled writes and syncs when it is dropped, and panics when that fails.
    fn drop_sled(&mut self) -> Result<()> {
        let sled = self.sled.take();
        guarded(move || {
            drop(sled);
            Ok(())
        })
    }

    fn tree(&self, tree: Tree) -> sled::Result<&sled::Tree> {
        let open = self
            .sled
            .as_ref()
            .and_then(|sled| sled.trees.get(tree.at()));
        open.ok_or_else(|| sled::Error::CollectionNotFound(tree.name().into()))
    }
}

impl Drop for Index {
    fn drop(&mut self) {
        // Not closed: whatever sled says, the next open does not believe this index.
        let _ = self.drop_sled();
    }
}

/// Called with key and value of each row.
pub(crate) type RowVisit<'a> = dyn FnMut(&[u8], &[u8]) -> Result<ControlFlow<()>> + 'a;

/// Opens sled. It locks its file and gives the lock back by closing it: a child process that this one
/// is just starting may hold it for a moment longer.
fn open_unlocked(dir: &Path, cache: u64) -> Result<sled::Db> {
    // No flusher thread: durability is the journal's, and memory is bounded by the cache.
    let config = sled::Config::new()
        .path(dir)
        .cache_capacity(cache)
        .flush_every_ms(None);
    let mut opened = guarded(|| config.open());
    for _ in 0..LOCK_TRIES {
        match &opened {
            Err(Error::Index { cause }) if cause.contains("could not acquire lock") => {}
            _ => break,
        }
        std::thread::sleep(LOCK_PAUSE);
        opened = guarded(|| config.open());
    }
    opened
}

/// Runs sled, whose failures and panics both become an error.
fn guarded<T>(run: impl FnOnce() -> sled::Result<T>) -> Result<T> {
    match catch_unwind(AssertUnwindSafe(run)) {
        Ok(Ok(done)) => Ok(done),
        Ok(Err(error)) => Err(failure_of(&error)),
        Err(_) => Err(failed("sled panicked")),
    }
}

/// What sled says as an error of the store: that it had no room as [`Error::StorageFull`].
fn failure_of(error: &sled::Error) -> Error {
    use std::io::ErrorKind::{QuotaExceeded, StorageFull};
    match error {
        sled::Error::Io(source) if [StorageFull, QuotaExceeded].contains(&source.kind()) => {
            Error::StorageFull {
                path: "meta/index".into(),
                needed: 0,
                available: 0,
            }
        }
        other => failed(&other.to_string()),
    }
}

fn failed(cause: &str) -> Error {
    Error::Index {
        cause: cause.to_owned(),
    }
}
