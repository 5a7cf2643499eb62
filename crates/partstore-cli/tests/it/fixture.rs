//! A store in a directory of its own, and the program on it.

use std::ffi::OsStr;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use partstore::{Options, PartStore};
use serde_json::Value;

pub const PROGRAM: &str = env!("CARGO_BIN_EXE_partstore");

/// A directory for a store and for files.
pub struct Fixture {
    pub dir: tempfile::TempDir,
}

impl Fixture {
    /// With an empty store.
    pub fn new() -> Self {
        let fixture = Self::without_store();
        fixture.with(|_| ());
        fixture
    }

    pub fn without_store() -> Self {
        let dir = tempfile::tempdir().unwrap();
        Self { dir }
    }

    pub fn store(&self) -> PathBuf {
        self.path("store")
    }

    pub fn path(&self, name: impl AsRef<Path>) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Calls the library on the store, and closes it.
    pub fn with<T>(&self, call: impl FnOnce(&PartStore) -> T) -> T {
        let store = Options::s3().open(self.store()).unwrap();
        let done = call(&store);
        store.close().unwrap();
        done
    }

    pub fn command<I: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = I>) -> Command {
        let mut command = Command::new(PROGRAM);
        command
            .env_remove("PARTSTORE_STORE")
            .env_remove("PARTSTORE_CATALOG")
            .arg("--store")
            .arg(self.store())
            .args(args);
        command.current_dir(self.dir.path());
        command
    }

    /// Runs the program to its end.
    pub fn run<I: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = I>) -> Ran {
        let mut command = self.command(args);
        Ran::of(command.stdin(Stdio::null()).output().unwrap())
    }

    /// Runs it with bytes as its stdin.
    pub fn run_with<I: AsRef<OsStr>>(
        &self,
        args: impl IntoIterator<Item = I>,
        stdin: &[u8],
    ) -> Ran {
        let mut child = self.spawn(args);
        // A program that refuses does not read.
        let _ = child.stdin.take().unwrap().write_all(stdin);
        Ran::of(child.wait_with_output().unwrap())
    }

    pub fn spawn<I: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = I>) -> Child {
        let mut command = self.command(args);
        let command = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command.spawn().unwrap()
    }
}

/// What a run printed, and its exit code.
#[derive(Debug)]
pub struct Ran {
    pub code: Option<i32>,
    pub stdout: Vec<u8>,
    pub stderr: String,
}

impl Ran {
    pub fn of(output: Output) -> Self {
        Self {
            code: output.status.code(),
            stdout: output.stdout,
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    }

    /// Its stdout, after success without a word on stderr.
    #[track_caller]
    pub fn ok(self) -> String {
        assert_eq!((self.code, self.stderr.as_str()), (Some(0), ""), "{self:?}");
        self.text()
    }

    pub fn text(&self) -> String {
        String::from_utf8(self.stdout.clone()).unwrap()
    }

    /// Its one line on stderr, after a failure with this code.
    #[track_caller]
    pub fn fails(&self, code: i32) -> String {
        assert_eq!(self.code, Some(code), "{self:?}");
        assert_eq!(self.stderr.lines().count(), 1, "{self:?}");
        self.stderr.clone()
    }

    /// The one JSON document of its stdout.
    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.stdout).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }
}

/// Copies a directory.
pub fn copy_dir(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy_dir(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).unwrap();
        }
    }
}

/// Bytes that are never the same for two seeds.
pub fn noise(len: usize, seed: u64) -> Vec<u8> {
    let mut hash = blake3::Hasher::new();
    hash.update(&seed.to_le_bytes());
    let mut bytes = vec![0; len];
    hash.finalize_xof().fill(&mut bytes);
    bytes
}

/// The files of a directory, without those below it.
pub fn names(dir: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(dir).unwrap();
    let mut names: Vec<_> = entries
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

/// Says that a test is skipped, past the capture of the test harness.
pub fn skipped(why: &str) {
    let _ = writeln!(std::io::stderr(), "skipped: {why}");
}
