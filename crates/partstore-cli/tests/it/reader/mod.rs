//! `testing/reader`: a reader in Python that knows the bytes on disk from `docs/design.md` alone. What it finds in a closed
//! store is what the library and the program list.

mod contradictions;
mod damage;
mod listed;
mod stores;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

use partstore::{Options, PartStore};
use serde_json::Value;

use crate::fixture::{Fixture, Ran, skipped};

const SCRIPTS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../testing/reader");

/// Whether there is a Python to run it.
fn has_python() -> bool {
    static HAS: OnceLock<bool> = OnceLock::new();
    *HAS.get_or_init(|| {
        let version = Command::new("python3")
            .arg("--version")
            .stdout(Stdio::null())
            .status();
        let has = version.is_ok_and(|status| status.success());
        if !has {
            skipped("the reader of a store's bytes: python3 does not start");
        }
        has
    })
}

fn run(script: &str, before: &[&str], root: &Path) -> Ran {
    let mut command = Command::new("python3");
    // It leaves no compiled files in the sources.
    command.arg("-B").arg(Path::new(SCRIPTS).join(script));
    command.args(before).arg(root).stdin(Stdio::null());
    Ran::of(command.output().unwrap())
}

/// What the reader prints of a store, with or without the bytes of metadata.
fn read(root: &Path, options: &[&str]) -> Ran {
    run("read_store.py", options, root)
}

/// The same, of a store in which nothing is damaged.
#[track_caller]
fn read_whole(root: &Path) -> Value {
    let ran = read(root, &["--metadata"]);
    if ran.code == Some(4) {
        let found = ran.json();
        panic!("{}\n{}", found["damage"], found["inconsistent"]);
    }
    assert_eq!((ran.code, ran.stderr.as_str()), (Some(0), ""));
    ran.json()
}

/// Of any part size, with files of which many are made.
fn options() -> Options {
    let options = Options::s3().min_part_size(0).max_metadata_len(64 << 10);
    options.journal_sizes(64 << 10, 128 << 10)
}

/// A store that these tests open with options of their own.
struct Bench {
    fixture: Fixture,
}

impl Bench {
    fn new() -> Self {
        let fixture = Fixture::without_store();
        Self { fixture }
    }

    fn root(&self) -> PathBuf {
        self.fixture.store()
    }

    /// Calls the library on the store, closes it, and has it read. All must list the same.
    #[track_caller]
    fn with<T>(&self, options: &Options, call: impl FnOnce(&PartStore) -> T) -> (T, Value) {
        let store = options.clone().open(self.root()).unwrap();
        let done = call(&store);
        let listed = listed::by_library(&store);
        store.close().unwrap();
        let read = read_whole(&self.root());
        assert_eq!(read["closed"], true);
        assert_eq!(read["index_is_of_journal"], true);
        // I7: what a close rules out is not there.
        let orphans = read["orphans"].as_array().unwrap();
        assert!(read["orphans_possible"] == true || orphans.is_empty());
        listed::assert_same(&read, &listed);
        (done, read)
    }

    /// What the program lists is the same, too.
    fn compare_with_program(&self, read: &Value) {
        listed::compare_with_program(&self.fixture, read);
    }
}

/// The layers of a store: from which batch on each goes.
fn layers(root: &Path) -> Vec<String> {
    let entries = fs::read_dir(root.join("meta/snapshot")).unwrap();
    let mut names: Vec<_> = entries
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}
