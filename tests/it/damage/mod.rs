//! Damage: each file of a small store, changed in each way, at many places. The outcome is one of
//! three: nothing is lost, the damage is repaired, or an error names the file. Never a panic, and
//! never other bytes or less than was acknowledged without a word.
//!
//! One loss cannot be told from a torn write: in a killed store, damage to the end of the journal.
//! It is reported, and what is left is the state before the first damaged batch.

mod blobs;
mod flips;
mod kinds;
mod metadata;
mod repaired;
mod running;
mod salvaged;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use partstore::{Error, IndexRecovery, ListObjects, PartStore, RecoveryReport, Result, Scope};
use tempfile::TempDir;

use crate::fixture::{blob_files, copy_tree, fast_dir, files, free_options};
use crate::seen::{Frame, Past, Seen, frames, segments, tail};
use kinds::Damage;

/// What became of damage, or would have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Outcome {
    Harmless,
    Repaired,
    Reported,
    /// Taken for a torn write: what was acknowledged last is gone, and the report says so.
    Torn,
}

/// How often there was which outcome, by kind of file.
type Tally = BTreeMap<(String, Outcome), usize>;

fn print_table(title: &str, tallies: impl IntoIterator<Item = Tally>) {
    let mut sums = BTreeMap::<String, [usize; 4]>::new();
    for ((kind, outcome), count) in tallies.into_iter().flatten() {
        sums.entry(kind).or_default()[outcome as usize] += count;
    }
    println!("{title:30} harmless repaired reported torn");
    for (kind, [harmless, repaired, reported, torn]) in sums {
        println!("{kind:30} {harmless:8} {repaired:8} {reported:8} {torn:4}");
    }
}

/// The name of a file without what is special to it.
fn kind_of(file: &Path) -> String {
    let first = |count| file.iter().take(count).collect::<PathBuf>();
    let dir = if file.starts_with("meta") {
        first(2)
    } else {
        first(1)
    };
    dir.display().to_string()
}

/// A store with a snapshot, several segments behind it, uploads, parts and objects, one of them
/// with a part of several blocks.
fn store() -> Past {
    let mut past = Past::new(free_options().journal_sizes(4096, 0));
    let large = past.initiate("large", 0);
    let parts = [past.put(&large, 1, 300_000), past.put(&large, 2, 8)];
    past.complete(&large, &parts);
    let more = past.initiate("more", 3500);
    for round in 0.. {
        past.put(&more, round % 3 + 1, u64::from(round % 7));
        if past.fixture.store.maintain().unwrap().checkpoint {
            break;
        }
    }
    let root = past.fixture.root();
    let sealed = segments(&root).len();
    for round in 4.. {
        past.put(&more, round, u64::from(round % 5) + 20);
        let in_tail = frames(&fs::read(tail(&root)).unwrap()).len();
        if segments(&root).len() > sealed + 2 && in_tail > 3 {
            break;
        }
    }
    past
}

/// Every file outside `blobs/` and `staging/`, relative to `root`.
fn metadata_files(root: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut dirs = vec![root.to_owned()];
    while let Some(dir) = dirs.pop() {
        for name in files(&dir) {
            let path = dir.join(name);
            if !path.is_dir() {
                found.push(path.strip_prefix(root).unwrap().to_owned());
            } else if !path.ends_with("blobs") && !path.ends_with("staging") {
                dirs.push(path);
            }
        }
    }
    found.sort();
    found
}

/// The path of a blob's file below the store's directory.
fn blob_path(name: &str) -> PathBuf {
    Path::new("blobs").join(&name[..2]).join(name)
}

/// Everything on disk that an opening must leave alone when it is refused.
fn contents(root: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let blobs = blob_files(root).into_iter().map(|name| blob_path(&name));
    let all = metadata_files(root).into_iter().chain(blobs);
    let is_truth = |file: &PathBuf| !file.to_string_lossy().starts_with("meta/index");
    all.filter(is_truth)
        .map(|file| (file.clone(), fs::read(root.join(file)).unwrap()))
        .collect()
}

/// One store, as it was left, to be damaged again and again.
struct Bench {
    past: Past,
    whole: Seen,
    original: PathBuf,
    /// The segment that the journal ends in, when that may be torn.
    may_be_torn: Option<PathBuf>,
    copies: TempDir,
}

impl Bench {
    fn killed() -> Self {
        let mut bench = Self::of(store());
        let tail = tail(&bench.original);
        bench.may_be_torn = Some(tail.strip_prefix(&bench.original).unwrap().to_owned());
        bench
    }

    fn closed() -> Self {
        let past = store();
        past.fixture.store.close().unwrap();
        Self::of(past)
    }

    fn of(past: Past) -> Self {
        let (whole, copies) = (past.states.last().unwrap().1.clone(), fast_dir());
        let original = copies.path().join("original");
        copy_tree(&past.fixture.root(), &original);
        Self {
            past,
            whole,
            original,
            may_be_torn: None,
            copies,
        }
    }

    /// A fresh copy, each thread its own.
    fn copy(&self, name: &str) -> PathBuf {
        let copy = self.copies.path().join(name);
        let _ = fs::remove_dir_all(&copy);
        copy_tree(&self.original, &copy);
        copy
    }

    fn open(&self, root: &Path) -> Result<PartStore> {
        self.past.fixture.options.clone().open(root)
    }

    fn seen(&self, store: &PartStore) -> Seen {
        let seen = Seen::of(store, &self.past.names);
        let objects = store.list_objects(&ListObjects::new()).unwrap().objects;
        assert_eq!(objects.len(), seen.counts().1, "an object that never was");
        seen
    }

    /// Everything is there, and stays there when what nobody refers to is removed.
    fn assert_whole(&self, store: &PartStore, root: &Path) {
        assert!(self.seen(store) == self.whole, "something is missing");
        store.sweep().unwrap();
        assert!(self.seen(store) == self.whole, "swept away");
        let report = store.verify(Scope::Everything).unwrap();
        assert!(report.is_clean(), "{report:?}");
        let stats = store.stats().unwrap();
        assert_eq!(stats.blobs, blob_files(root).len() as u64);
    }

    /// Damages metadata in a copy, opens it, and checks that nothing is lost without a word.
    fn outcome(&self, copy: &str, file: &Path, damage: &Damage) -> Outcome {
        let root = self.copy(copy);
        damage.apply(&root, file);
        let before = contents(&root);
        let store = match self.open(&root) {
            Ok(store) => store,
            Err(error) => {
                let touched = damage.touches(file);
                let named = touched.iter().any(|file| names(&error, &root, file));
                assert!(named, "{error}");
                assert!(contents(&root) == before, "a refusal has changed something");
                assert!(self.open(&root).is_err(), "the second opening lets it pass");
                damage.undo(&self.original, &root, file);
                self.assert_whole(&self.open(&root).unwrap(), &root);
                return Outcome::Reported;
            }
        };
        if self.seen(&store) != self.whole {
            self.assert_torn(&store, &before);
            store.close().unwrap();
            self.assert_torn_before(&self.open(&root).unwrap(), &before);
            return Outcome::Torn;
        }
        let outcome = if self.is_usual(store.recovery()) {
            Outcome::Harmless
        } else {
            Outcome::Repaired
        };
        self.assert_whole(&store, &root);
        store.close().unwrap();
        self.assert_whole(&self.open(&root).unwrap(), &root);
        outcome
    }

    /// Whether this is how the store opens when it is not damaged.
    fn is_usual(&self, recovery: &RecoveryReport) -> bool {
        let trusted = recovery.index == IndexRecovery::Trusted;
        let as_closed = trusted == self.may_be_torn.is_none();
        as_closed && recovery.torn_bytes == 0 && recovery.repaired.is_empty()
    }

    fn assert_torn(&self, store: &PartStore, before: &BTreeMap<PathBuf, Vec<u8>>) {
        let torn = self.assert_torn_before(store, before);
        assert_eq!(store.recovery().torn_bytes, torn, "not reported");
    }

    /// What is gone is the end of the journal of a killed store, from the first damaged batch on,
    /// and behind that nothing was left whole. Gives the bytes that a torn write would have left.
    fn assert_torn_before(&self, store: &PartStore, before: &BTreeMap<PathBuf, Vec<u8>>) -> u64 {
        let tail = self.may_be_torn.as_ref();
        let tail = tail.expect("acknowledged state is gone");
        let (whole, damaged) = (fs::read(self.original.join(tail)).unwrap(), &before[tail]);
        let frames = frames(&whole);
        let intact = |frame: &Frame| {
            damaged.get(frame.start..frame.end) == whole.get(frame.start..frame.end)
        };
        let first = frames.iter().position(|frame| !intact(frame));
        let first = first.expect("acknowledged state is gone");
        assert!(!frames[first..].iter().any(intact), "not at the end");
        let kept = frames[first].seq - 1;
        let states = self.past.states.iter().rev();
        let (_, state) = states.clone().find(|(seq, _)| *seq <= kept).unwrap();
        assert!(self.seen(store) == *state, "more or less is gone");
        let left = damaged.get(frames[first].start..).unwrap_or_default();
        let last = left.iter().rposition(|byte| *byte != 0);
        last.map_or(0, |last| last as u64 + 1)
    }
}

/// Whether the error names the file, or for one that is missing its place.
fn names(error: &Error, root: &Path, file: &Path) -> bool {
    let text = error.to_string();
    let path = root.join(file);
    let names = |path: &Path| text.contains(path.to_str().unwrap());
    let missing = !path.exists() && names(path.parent().unwrap());
    let at_root = path.parent() == Some(root)
        && matches!(error, Error::NotAStore { .. } | Error::NewerFormat { .. });
    let layer = file.starts_with("meta/snapshot") && text.contains("layer");
    at_root || missing || layer || names(&path)
}

/// The names of the blobs that have bytes.
fn blobs_with_bytes(root: &Path) -> Vec<String> {
    let names: BTreeSet<String> = blob_files(root);
    let has_bytes = |name: &String| fs::metadata(root.join(blob_path(name))).unwrap().len() > 0;
    names.into_iter().filter(has_bytes).collect()
}
