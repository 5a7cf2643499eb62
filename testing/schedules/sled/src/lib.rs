//! What partstore uses of `sled`: ordered trees in memory. Each operation is one step, with a
//! schedule point before it. Nothing survives a close: the store rebuilds its index.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::{Bound, Deref, RangeBounds};
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use parking_lot::schedule;

type Rows = BTreeMap<Vec<u8>, Vec<u8>>;

/// As `sled::Result`.
pub type Result<T> = std::result::Result<T, Error>;

/// As `sled::Error`.
#[derive(Debug)]
pub enum Error {
    /// There is no such tree.
    CollectionNotFound(Vec<u8>),
    /// The disk failed, which this one never does.
    Io(std::io::Error),
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::CollectionNotFound(name) => {
                write!(f, "no tree {}", String::from_utf8_lossy(name))
            }
            Self::Io(error) => error.fmt(f),
        }
    }
}

/// As `sled::IVec`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IVec(Vec<u8>);

impl Deref for IVec {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.0
    }
}

/// As `sled::Config`: takes what it is told and does not care.
#[derive(Clone, Debug, Default)]
pub struct Config;

/// As `sled::Db`.
#[derive(Debug)]
pub struct Db;

/// As `sled::Tree`.
#[derive(Clone, Debug, Default)]
pub struct Tree {
    rows: Arc<Mutex<Rows>>,
}

#[expect(
    clippy::missing_errors_doc,
    reason = "these stand for functions of sled"
)]
impl Config {
    /// As `sled::Config::new`.
    #[must_use]
    pub fn new() -> Self {
        Self
    }

    /// As `sled::Config::path`.
    #[must_use]
    pub fn path(self, _path: impl AsRef<Path>) -> Self {
        self
    }

    /// As `sled::Config::cache_capacity`.
    #[must_use]
    pub fn cache_capacity(self, _bytes: u64) -> Self {
        self
    }

    /// As `sled::Config::flush_every_ms`.
    #[must_use]
    pub fn flush_every_ms(self, _every: Option<u64>) -> Self {
        self
    }

    /// An empty database.
    pub fn open(&self) -> Result<Db> {
        Ok(Db)
    }
}

#[expect(
    clippy::missing_errors_doc,
    reason = "these stand for functions of sled"
)]
impl Db {
    /// An empty tree.
    pub fn open_tree(&self, _name: &str) -> Result<Tree> {
        Ok(Tree::default())
    }

    /// As `sled::Db::flush`.
    pub fn flush(&self) -> Result<usize> {
        Ok(0)
    }
}

#[expect(
    clippy::missing_errors_doc,
    reason = "these stand for functions of sled"
)]
impl Tree {
    /// As `sled::Tree::insert`.
    pub fn insert(&self, key: &[u8], value: &[u8]) -> Result<Option<IVec>> {
        Ok(self.step().insert(key.to_vec(), value.to_vec()).map(IVec))
    }

    /// As `sled::Tree::remove`.
    pub fn remove(&self, key: &[u8]) -> Result<Option<IVec>> {
        Ok(self.step().remove(key).map(IVec))
    }

    /// As `sled::Tree::get`.
    pub fn get(&self, key: &[u8]) -> Result<Option<IVec>> {
        Ok(self.step().get(key).cloned().map(IVec))
    }

    /// As `sled::Tree::last`.
    pub fn last(&self) -> Result<Option<(IVec, IVec)>> {
        let rows = self.step();
        Ok(rows
            .last_key_value()
            .map(|(key, value)| (IVec(key.clone()), IVec(value.clone()))))
    }

    /// As `sled::Tree::range`: each row is looked for when it is asked for, so that what others
    /// change in the meantime may be seen or not.
    pub fn range<K, R>(&self, range: R) -> impl Iterator<Item = Result<(IVec, IVec)>>
    where
        K: AsRef<[u8]>,
        R: RangeBounds<K>,
    {
        let mut from = range.start_bound().map(|key| key.as_ref().to_vec());
        std::iter::from_fn(move || {
            let rows = self.step();
            let (key, value) = rows.range((from.clone(), Bound::Unbounded)).next()?;
            from = Bound::Excluded(key.clone());
            Some(Ok((IVec(key.clone()), IVec(value.clone()))))
        })
    }

    fn step(&self) -> MutexGuard<'_, Rows> {
        schedule::point();
        self.rows.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
