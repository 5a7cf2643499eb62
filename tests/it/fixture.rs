//! What the tests share: a store in a directory of its own, part numbers, bytes, files on disk.

use std::collections::BTreeSet;
use std::io::Read;
use std::path::{Path, PathBuf};

use partstore::{
    Background, CompletedPart, Options, Part, PartNumber, PartStore, Scope, Upload,
};

/// A store without a housekeeping thread and without size limits, in a directory that goes when
/// this is dropped.
pub struct Fixture {
    pub store: PartStore,
    pub options: Options,
    dir: tempfile::TempDir,
}

impl Fixture {
    pub fn new() -> Self {
        Self::with(free_options())
    }

    pub fn with(options: Options) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let store = options.clone().open(dir.path().join("data")).unwrap();
        Self { store, options, dir }
    }

    /// The store's directory.
    pub fn root(&self) -> PathBuf {
        self.dir.path().join("data")
    }

    /// Closes the store and opens it again.
    pub fn reopen(&mut self) {
        self.store.close().unwrap();
        self.store = self.options.clone().open(self.root()).unwrap();
    }

    /// A copy of the directory as a `kill -9` at this moment would leave it.
    pub fn killed(&self) -> PathBuf {
        let mut copies = 0;
        let copy = loop {
            let copy = self.dir.path().join(format!("killed-{copies}"));
            if !copy.exists() {
                break copy;
            }
            copies += 1;
        };
        copy_tree(&self.root(), &copy);
        copy
    }

    /// Opens a copy as [`killed`](Self::killed) makes it.
    pub fn open_killed(&self) -> PartStore {
        self.options.clone().open(self.killed()).unwrap()
    }

    /// The names of all files in `blobs/`.
    pub fn blob_files(&self) -> BTreeSet<String> {
        blob_files(&self.root())
    }

    /// What must hold at any quiet moment: nothing is staged, and after a sweep every file in
    /// `blobs/` is referenced, and everything verifies.
    pub fn assert_tidy(&self) {
        self.store.sweep().unwrap();
        assert_eq!(files(&self.root().join("staging")), BTreeSet::new(), "staged files leaked");
        let report = self.store.verify(Scope::Everything).unwrap();
        assert!(report.is_clean(), "{report:?}");
        let stats = self.store.stats().unwrap();
        assert_eq!(stats.blobs, self.blob_files().len() as u64, "files and records differ");
        assert_eq!((stats.garbage, stats.staged_bodies, stats.reserved_bytes), (0, 0, 0));
    }
}

/// Options that allow parts of any size and leave the housekeeping to the test.
pub fn free_options() -> Options {
    Options::cos().min_part_size(0).background(Background::Host)
}

pub fn number(number: u32) -> PartNumber {
    PartNumber::new(number).unwrap()
}

/// `len` bytes that differ by seed and by place.
pub fn bytes(seed: u64, len: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut step = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()
    };
    let mut bytes = Vec::with_capacity(len + 8);
    while bytes.len() < len {
        bytes.extend_from_slice(&step());
    }
    bytes.truncate(len);
    bytes
}

pub fn lines(parts: &[Part]) -> Vec<CompletedPart> {
    parts.iter().map(CompletedPart::from).collect()
}

pub fn read_part(store: &PartStore, upload: &Upload, number: PartNumber) -> Vec<u8> {
    let mut bytes = Vec::new();
    store.open_part(upload, number).unwrap().read_to_end(&mut bytes).unwrap();
    bytes
}

pub fn read_object(store: &PartStore, object: &Upload) -> Vec<u8> {
    let mut bytes = Vec::new();
    store.open_object(object).unwrap().read_to_end(&mut bytes).unwrap();
    bytes
}

pub fn blob_files(root: &Path) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for prefix in files(&root.join("blobs")) {
        names.extend(files(&root.join("blobs").join(prefix)));
    }
    names
}

/// The names in a directory.
pub fn files(dir: &Path) -> BTreeSet<String> {
    std::fs::read_dir(dir)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect()
}

pub fn copy_tree(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy_tree(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).unwrap();
        }
    }
}
