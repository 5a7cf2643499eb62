//! The stores that the cases begin with.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use partstore::{ListParts, Options, Part, PartStore, Result, Upload};

use crate::fixture::{
    Fixture, bytes, copy_tree, fast_dir, free_options, lines, number, read_object, read_part,
};

pub const MIB: u64 = 1024 * 1024;
pub const FULL: (&str, u16) = ("ServiceUnavailable", 503);

/// A quarter of the default sizes, and a journal that no snapshot shortens.
pub fn options() -> Options {
    free_options()
        .headroom(16 * MIB)
        .journal_sizes(2 * MIB, u64::MAX)
}

/// Puts the files of a store where a new one made its directories: with what those have of the file system.
pub fn transplant(from: &Path, root: &Path) {
    options().open(root).unwrap().close().unwrap();
    remove_files(root);
    copy_tree(from, root);
}

fn remove_files(dir: &Path) {
    for entry in fs::read_dir(dir).unwrap() {
        let entry = entry.unwrap();
        if entry.file_type().unwrap().is_dir() {
            remove_files(&entry.path());
        } else {
            fs::remove_file(entry.path()).unwrap();
        }
    }
}

/// A store with an object, and an upload with a part.
pub struct Small {
    pub store: PartStore,
    pub object: Upload,
    pub upload: Upload,
    part: Part,
}

impl Small {
    pub fn new(root: &Path) -> Self {
        let store = options().open(root).unwrap();
        let object = store.initiate_upload("object").unwrap();
        let part = store.put_part(&object, number(1), "object").unwrap();
        store.complete_upload(&object, &lines(&[part])).unwrap();
        let upload = store.initiate_upload("upload").unwrap();
        let part = store.put_part(&upload, number(1), "before").unwrap();
        Self {
            store,
            object,
            upload,
            part,
        }
    }

    pub fn put(&self, at: u32, len: usize) -> Result<Part> {
        let body = bytes(u64::from(at), len);
        self.store.put_part(&self.upload, number(at), body)
    }

    /// Puts parts of a MiB until one is refused. Gives their number.
    pub fn put_until_full(&self) -> u64 {
        let mut stored = 0;
        loop {
            match self.put(100 + stored, 1 << 20) {
                Ok(_) => stored += 1,
                Err(error) => {
                    assert_eq!((error.code(), error.http_status()), FULL, "{error}");
                    return stored.into();
                }
            }
        }
    }

    pub fn assert_readable(&self) {
        let listed = self
            .store
            .list_parts(&self.upload, &ListParts::new().limit(1))
            .unwrap()
            .parts;
        assert_eq!(listed, std::slice::from_ref(&self.part));
        assert_eq!(read_part(&self.store, &self.upload, number(1)), b"before");
        assert_eq!(read_object(&self.store, &self.object), b"object");
    }
}

/// What tests share while one of them has it. (What a static holds to the end is never dropped, and its files stay.)
struct Shared<T>(Mutex<Weak<T>>);

impl<T> Shared<T> {
    const fn new() -> Self {
        Self(Mutex::new(Weak::new()))
    }

    fn get(&self, make: impl FnOnce() -> T) -> Arc<T> {
        let mut shared = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        shared.upgrade().unwrap_or_else(|| {
            let new = Arc::new(make());
            *shared = Arc::downgrade(&new);
            new
        })
    }
}

/// A killed store with a long journal.
pub struct Long {
    _fixture: Fixture,
    pub killed: PathBuf,
    pub open_uploads: u64,
}

/// More rows than a fold holds in memory, 16 MiB.
pub fn long_journal() -> Arc<Long> {
    static LONG: Shared<Long> = Shared::new();
    LONG.get(|| {
        let fixture = Fixture::within(fast_dir(), options());
        for at in 0..5000 {
            let metadata = bytes(at, 8000);
            let upload = fixture
                .store
                .initiate_upload_with(format!("key-{at}"), &metadata)
                .unwrap();
            if at % 10 == 0 {
                fixture.store.abort_upload(&upload).unwrap();
            }
        }
        Long {
            killed: fixture.killed(),
            open_uploads: 4500,
            _fixture: fixture,
        }
    })
}

/// A store that was closed, with uploads of many parts.
pub struct Large {
    _fixture: Fixture,
    pub closed: PathBuf,
    pub uploads: Vec<Upload>,
}

pub fn large_uploads() -> Large {
    let fixture = Fixture::within(fast_dir(), options());
    let uploads: Vec<Upload> = (0..4)
        .map(|at| fixture.initiate(&format!("key-{at}")))
        .collect();
    for at in 1..=2500 {
        for upload in &uploads {
            fixture.put(upload, at, &bytes(at.into(), 16));
        }
    }
    fixture.store.close().unwrap();
    Large {
        closed: fixture.root(),
        _fixture: fixture,
        uploads,
    }
}
