//! The embedded engine, for the cases.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use partstore::{ContentHash, IndexRecovery, Options, PartStore, Result};

use crate::{Engine, Opened};

/// A store in a directory that goes with the last clone's drop.
#[derive(Clone)]
pub struct Embedded {
    scratch: Arc<tempfile::TempDir>,
    root: PathBuf,
}

/// Makes an empty store for the contract's cases.
///
/// # Panics
/// If there is no place for it.
#[must_use]
pub fn embedded() -> Box<dyn Engine> {
    Box::new(Embedded::within(tempfile::tempdir().unwrap()))
}

impl Embedded {
    /// A store in a given directory.
    #[must_use]
    pub fn within(scratch: tempfile::TempDir) -> Self {
        Self {
            root: scratch.path().join("data"),
            scratch: Arc::new(scratch),
        }
    }

    /// The store's directory.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The directory around it, which goes with the last clone.
    #[must_use]
    pub fn scratch(&self) -> &Path {
        self.scratch.path()
    }

    /// A copy of the directory as a `kill -9` at this moment would leave it.
    ///
    /// # Panics
    /// If it cannot be copied.
    #[must_use]
    pub fn killed(&self) -> Self {
        let copies = (0..).map(|at| self.scratch.path().join(format!("killed-{at}")));
        let copy = copies.into_iter().find(|copy| fs::create_dir(copy).is_ok());
        let root = copy.unwrap();
        copy_tree(&self.root, &root);
        Self {
            scratch: Arc::clone(&self.scratch),
            root,
        }
    }
}

impl Engine for Embedded {
    fn open(&self, options: Options) -> Result<PartStore> {
        options.open(&self.root)
    }

    fn contents(&self) -> BTreeSet<ContentHash> {
        let names = files(&self.root.join("blobs")).into_iter();
        let names = names.flat_map(|prefix| files(&self.root.join("blobs").join(prefix)));
        names.map(|name| hash_of(&name)).collect()
    }

    fn damage(&self, content: &ContentHash) {
        let name = content.to_string();
        let path = self.root.join("blobs").join(&name[..2]).join(name);
        let mut bytes = fs::read(&path).unwrap();
        bytes[0] ^= 1;
        fs::write(path, bytes).unwrap();
    }

    fn lose_index(&self) {
        for entry in fs::read_dir(self.root.join("meta")).unwrap() {
            let entry = entry.unwrap();
            if entry.file_name().to_string_lossy().starts_with("index") {
                fs::remove_dir_all(entry.path()).unwrap();
            }
        }
    }

    fn check_recovery(&self, store: &PartStore, opened: Opened) {
        let recovery = store.recovery();
        let trusted = match opened {
            Opened::Closed => Some(true),
            // Where all rows rest in layers, the index had none, and none is missing.
            Opened::WithoutIndex => None,
            Opened::Crashed => Some(false),
        };
        let found = recovery.index == IndexRecovery::Trusted;
        assert_eq!(found, trusted.unwrap_or(found), "{recovery:?}");
        assert_eq!((recovery.created, recovery.torn_bytes), (false, 0));
    }

    fn crashed(&self) -> Box<dyn Engine> {
        Box::new(self.killed())
    }
}

fn hash_of(name: &str) -> ContentHash {
    let digits = name.as_bytes().chunks(2);
    let bytes: Vec<u8> = digits
        .map(|two| u8::from_str_radix(std::str::from_utf8(two).unwrap(), 16).unwrap())
        .collect();
    ContentHash::from_bytes(bytes.try_into().unwrap())
}

/// The names in a directory.
///
/// # Panics
/// If it cannot be read.
#[must_use]
pub fn files(dir: &Path) -> BTreeSet<String> {
    let entries = fs::read_dir(dir).unwrap();
    entries
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect()
}

/// Copies a directory.
///
/// # Panics
/// If it cannot be copied.
pub fn copy_tree(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy_tree(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}
