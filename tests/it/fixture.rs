//! What the tests share: a store in a directory of its own, part numbers, bytes, files on disk.

use std::collections::BTreeSet;
use std::fmt::Debug;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Barrier;

use partstore::{
    Background, CompletedPart, ContentHash, ListParts, Object, Options, Part, PartNumber,
    PartStore, Result, Scope, Upload,
};

/// A store without a housekeeping thread and without size limits, in a directory that goes when
/// this is dropped.
pub struct Fixture {
    pub store: PartStore,
    pub options: Options,
    pub dir: tempfile::TempDir,
}

impl Fixture {
    pub fn new() -> Self {
        Self::with(free_options())
    }

    pub fn with(options: Options) -> Self {
        Self::within(tempfile::tempdir().unwrap(), options)
    }

    /// In a given directory.
    pub fn within(dir: tempfile::TempDir, options: Options) -> Self {
        let store = options.clone().open(dir.path().join("data")).unwrap();
        Self {
            store,
            options,
            dir,
        }
    }

    /// The store's directory.
    pub fn root(&self) -> PathBuf {
        self.dir.path().join("data")
    }

    /// Initiates an upload.
    pub fn initiate(&self, key: &str) -> Upload {
        self.store.initiate_upload(key).unwrap()
    }

    /// Puts a part.
    pub fn put(&self, upload: &Upload, part: u32, body: &[u8]) -> Part {
        let body = body.to_vec();
        self.store.put_part(upload, number(part), body).unwrap()
    }

    /// Initiates an upload, puts the bodies as its parts 1, 2, ... and completes it.
    pub fn complete(&self, key: &str, bodies: &[&[u8]]) -> Object {
        let upload = self.initiate(key);
        let parts: Vec<Part> = (1..)
            .zip(bodies)
            .map(|(at, body)| self.put(&upload, at, body))
            .collect();
        self.store.complete_upload(&upload, &lines(&parts)).unwrap()
    }

    /// The upload's parts, up to 1,000.
    pub fn parts(&self, upload: &Upload) -> Vec<Part> {
        self.store
            .list_parts(upload, &ListParts::new())
            .unwrap()
            .parts
    }

    /// Where the file of a blob is.
    pub fn blob_path(&self, content: &ContentHash) -> PathBuf {
        let name = content.to_string();
        self.root().join("blobs").join(&name[..2]).join(name)
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
        assert_eq!(
            files(&self.root().join("staging")),
            BTreeSet::new(),
            "staged files leaked"
        );
        let report = self.store.verify(Scope::Everything).unwrap();
        assert!(report.is_clean(), "{report:?}");
        let stats = self.store.stats().unwrap();
        assert_eq!(
            stats.blobs,
            self.blob_files().len() as u64,
            "files and records differ"
        );
        assert_eq!(
            (stats.garbage, stats.staged_bodies, stats.reserved_bytes),
            (0, 0, 0)
        );
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
    store
        .open_part(upload, number)
        .unwrap()
        .read_to_end(&mut bytes)
        .unwrap();
    bytes
}

pub fn read_object(store: &PartStore, object: &Upload) -> Vec<u8> {
    let mut bytes = Vec::new();
    store
        .open_object(object)
        .unwrap()
        .read_to_end(&mut bytes)
        .unwrap();
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

/// A directory in memory where there is one: for tests that open thousands of stores.
pub fn fast_dir() -> tempfile::TempDir {
    tempfile::tempdir_in("/dev/shm").unwrap_or_else(|_| tempfile::tempdir().unwrap())
}

/// Numbers that look random and are the same each time.
pub struct Random(u64);

impl Random {
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// One of `0..limit`.
    pub fn below(&mut self, limit: usize) -> usize {
        usize::try_from(self.next() % limit as u64).unwrap()
    }

    pub fn pick<'a, T>(&mut self, of: &'a [T]) -> Option<&'a T> {
        (!of.is_empty()).then(|| &of[self.below(of.len())])
    }
}

/// A number that can be set from outside, for a longer run or to repeat one.
pub fn setting(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |text| text.parse().unwrap())
}

/// Says what was being done when a panic passes by.
pub struct Doing(pub String);

impl Drop for Doing {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("while doing: {}", self.0);
        }
    }
}

/// What a server would answer to a call that was refused.
pub fn refusal<T: Debug>(result: Result<T>) -> (&'static str, u16) {
    let error = result.unwrap_err();
    (error.code(), error.http_status())
}

/// Runs `work` on this many threads at the same moment, each with its number from 0 on.
pub fn race<T: Send>(threads: usize, work: impl Fn(usize) -> T + Sync) -> Vec<T> {
    let start = Barrier::new(threads);
    std::thread::scope(|scope| {
        let run = |at| {
            let (start, work) = (&start, &work);
            scope.spawn(move || {
                start.wait();
                work(at)
            })
        };
        let running: Vec<_> = (0..threads).map(run).collect();
        running
            .into_iter()
            .map(|thread| thread.join().unwrap())
            .collect()
    })
}

/// Runs one test again as a process of its own, which finds `role` by [`role`]. Gives its output.
pub fn in_own_process(test: &str, role: &str) -> String {
    passes(own_process(test, role))
}

/// Runs one test as a process of its own that may have so many files open. It must pass.
pub fn in_own_process_with_files(test: &str, role: &str, files: u32) {
    passes(own_process_with_files(test, role, files));
}

/// Runs one test, which must pass; gives what it said.
fn passes(mut test: Command) -> String {
    let output = test.output().unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(
        output.status.success() && said.contains("1 passed"),
        "{said}{}",
        String::from_utf8_lossy(&output.stderr)
    );
    said
}

/// How to run one test as a process of its own.
pub fn own_process(test: &str, role: &str) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command
        .args([test, "--exact", "--nocapture", "--include-ignored"])
        .env(ROLE, role);
    command
}

/// What [`own_process`] told this process; `None` in the process that runs all tests.
pub fn role() -> Option<String> {
    std::env::var(ROLE).ok()
}

const ROLE: &str = "PARTSTORE_TEST_ROLE";

/// Paths and contents of everything in a directory.
pub fn tree(root: &Path) -> BTreeSet<(String, Vec<u8>)> {
    let mut found = BTreeSet::new();
    for name in files(root) {
        let path = root.join(&name);
        if path.is_dir() {
            let inner = tree(&path).into_iter();
            found.extend(inner.map(|(below, bytes)| (format!("{name}/{below}"), bytes)));
            found.insert((format!("{name}/"), Vec::new()));
        } else {
            found.insert((name, std::fs::read(&path).unwrap()));
        }
    }
    found
}

/// How to run one test as a process of its own that may have so many files open.
pub fn own_process_with_files(test: &str, role: &str, files: u32) -> Command {
    let mut command = Command::new("sh");
    command
        .arg("-c")
        .arg(format!("ulimit -n {files} && exec \"$0\" \"$@\""))
        .arg(std::env::current_exe().unwrap())
        .args([test, "--exact", "--nocapture", "--include-ignored"])
        .env(ROLE, role);
    command
}
