//! What the tests share: a store in a directory of its own, and what is on its disk. The rest is that of the
//! contract's cases.

use std::collections::BTreeSet;
use std::ops::{Deref, DerefMut};
use std::path::{Path, PathBuf};
use std::process::Command;

use partstore::{ContentHash, Options};
use partstore_contract::support;
pub use partstore_contract::support::{
    Random, bytes, free_options, lines, number, race, read_object, read_part, refusal,
};
pub use partstore_contract::{Embedded, copy_tree, files};

/// A store without a housekeeping thread and without size limits, in a directory that goes when
/// this is dropped.
pub struct Fixture {
    on: support::Fixture,
    embedded: Embedded,
}

impl Deref for Fixture {
    type Target = support::Fixture;

    fn deref(&self) -> &Self::Target {
        &self.on
    }
}

impl DerefMut for Fixture {
    fn deref_mut(&mut self) -> &mut Self::Target {
        &mut self.on
    }
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
        let embedded = Embedded::within(dir);
        Self {
            on: support::Fixture::on(Box::new(embedded.clone()), options),
            embedded,
        }
    }

    /// The store's directory.
    pub fn root(&self) -> PathBuf {
        self.embedded.root().to_owned()
    }

    /// The directory that goes when this is dropped.
    pub fn dir(&self) -> &Path {
        self.embedded.scratch()
    }

    /// Where the file of a blob is.
    pub fn blob_path(&self, content: &ContentHash) -> PathBuf {
        let name = content.to_string();
        self.root().join("blobs").join(&name[..2]).join(name)
    }

    /// A copy of the directory as a `kill -9` at this moment would leave it.
    pub fn killed(&self) -> PathBuf {
        self.embedded.killed().root().to_owned()
    }

    /// Also that no file is left in `staging/`.
    pub fn assert_tidy(&self) {
        self.on.assert_tidy();
        assert_eq!(
            files(&self.root().join("staging")),
            BTreeSet::new(),
            "staged files leaked"
        );
    }
}

pub fn blob_files(root: &Path) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for prefix in files(&root.join("blobs")) {
        names.extend(files(&root.join("blobs").join(prefix)));
    }
    names
}

/// A directory in memory, where the system has a place and room for it: for tests that open thousands of stores.
pub fn fast_dir() -> tempfile::TempDir {
    let mut builder = tempfile::Builder::new();
    builder.prefix("partstore-");
    let in_memory = memory_left() > 4 << 30;
    let fast = in_memory.then(|| builder.tempdir_in("/dev/shm"));
    fast.and_then(Result::ok)
        .unwrap_or_else(|| builder.tempdir().unwrap())
}

/// What the system could still give, bytes.
fn memory_left() -> u64 {
    let said = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let line = said.lines().find(|line| line.starts_with("MemAvailable:"));
    let kib = line.and_then(|line| line.split_whitespace().nth(1)?.parse::<u64>().ok());
    kib.map_or(0, |kib| kib * 1024)
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

/// The directories of the index in a store, below its root.
pub fn indexes(root: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(root.join("meta")).unwrap();
    let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let is_index = |name: &String| {
        let number = name.strip_prefix("index");
        number.is_some_and(|number| number.is_empty() || number.starts_with('.'))
    };
    names
        .filter(is_index)
        .map(|name| Path::new("meta").join(name))
        .collect()
}

pub fn remove_indexes(root: &Path) {
    for index in indexes(root) {
        std::fs::remove_dir_all(root.join(index)).unwrap();
    }
}
