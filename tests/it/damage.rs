//! The damage matrix: each file of a small store, changed in each way, at many places. The outcome
//! is one of three: nothing is lost, the damage is repaired, or an error names the file. Never a
//! panic, and never less than was acknowledged without a word.
//!
//! One loss cannot be told from a torn write: in a killed store, damage to the end of the journal.
//! It is reported, and what is left is a state that the store was in.

use std::fs;
use std::path::{Path, PathBuf};

use partstore::{Error, Scope};

use crate::fixture::{bytes, copy_tree, files, free_options};
use crate::seen::{Past, Seen, frames, tail};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Damage {
    Flip(usize),
    Truncate(usize),
    ZeroFrom(usize),
    ZeroBlock(usize),
    Garbage,
    Extend,
    Remove,
    Duplicate,
}

impl Damage {
    fn apply(self, path: &Path) {
        let mut bytes = fs::read(path).unwrap();
        match self {
            Self::Flip(at) => bytes[at] ^= 1 << (at % 8),
            Self::Truncate(at) => bytes.truncate(at),
            Self::ZeroFrom(at) => bytes[at..].fill(0),
            Self::ZeroBlock(at) => bytes[at..].iter_mut().take(64).for_each(|byte| *byte = 0),
            Self::Garbage => bytes = crate::fixture::bytes(5, bytes.len()),
            Self::Extend => bytes.extend([0xab; 40]),
            Self::Remove => {
                fs::remove_file(path).unwrap();
                return;
            }
            Self::Duplicate => {
                fs::copy(path, second_name(path)).unwrap();
                return;
            }
        }
        fs::write(path, bytes).unwrap();
    }

    /// All kinds, at places spread over the `len` bytes of a file that are not zeros at its end.
    fn all(len: usize) -> Vec<Self> {
        let mut all = vec![Self::Garbage, Self::Extend, Self::Remove, Self::Duplicate];
        let places = |count: usize| {
            (0..count)
                .map(move |at| at * len / count)
                .filter(|_| len > 0)
        };
        all.extend(places(16).map(Self::Flip));
        all.extend(places(4).map(Self::Truncate));
        all.extend(places(4).map(Self::ZeroFrom));
        all.extend(places(4).map(Self::ZeroBlock));
        all
    }
}

/// Where a copy is most likely to be taken for something: the next number.
fn second_name(path: &Path) -> PathBuf {
    let stem = path.file_stem().unwrap().to_str().unwrap();
    let number = stem
        .parse::<u64>()
        .map(|number| format!("{:020}", number + 1));
    match (number, path.extension()) {
        (Ok(next), Some(extension)) => path.with_file_name(next).with_extension(extension),
        _ => path.with_file_name(format!("{stem} (copy)")),
    }
}

/// A store with a snapshot, several segments, uploads, parts and an object.
fn store() -> Past {
    let mut past = Past::new(free_options().journal_sizes(4096, 0));
    let upload = past.initiate("more", 3500);
    for round in 0..40 {
        past.put(&upload, round % 3 + 1, u64::from(round % 7));
        if past.fixture.store.maintain().unwrap().snapshot {
            break;
        }
    }
    assert_ne!(past.fixture.store.stats().unwrap().snapshot_seq, 0);
    past.put(&upload, 5, 9);
    past.put(&upload, 6, 10);
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

/// One store, as it was left, to be damaged again and again.
struct Bench {
    past: Past,
    whole: Seen,
    original: PathBuf,
    /// The end of the journal, when it may be torn.
    may_be_torn: Option<PathBuf>,
}

impl Bench {
    fn killed() -> Self {
        let past = store();
        let (whole, original) = (past.seen(), past.fixture.killed());
        let tail = tail(&original).strip_prefix(&original).unwrap().to_owned();
        Self {
            past,
            whole,
            original,
            may_be_torn: Some(tail),
        }
    }

    fn closed() -> Self {
        let past = store();
        let whole = past.seen();
        past.fixture.store.close().unwrap();
        let original = past.fixture.killed();
        Self {
            past,
            whole,
            original,
            may_be_torn: None,
        }
    }

    fn copy(&self) -> PathBuf {
        let copy = self.original.with_file_name("damaged");
        let _ = fs::remove_dir_all(&copy);
        copy_tree(&self.original, &copy);
        copy
    }

    fn damage_everything(&self) {
        let all = metadata_files(&self.original);
        assert!(all.len() > 6, "{all:?}");
        for file in &all {
            let bytes = fs::read(self.original.join(file)).unwrap();
            let used = bytes
                .iter()
                .rposition(|byte| *byte != 0)
                .map_or(0, |last| last + 1);
            for damage in Damage::all(used) {
                let root = self.copy();
                damage.apply(&root.join(file));
                let first = self.outcome(&root, file, damage);
                // A second opening finds no more and no less.
                let second = self.outcome(&root, file, Damage::ZeroFrom(0));
                assert_eq!(first, second, "{damage:?} in {}", file.display());
            }
        }
    }

    /// Opens a damaged store and checks that nothing is lost without a word. Answers whether it
    /// opened.
    fn outcome(&self, root: &Path, file: &Path, damage: Damage) -> bool {
        let what = format!("{damage:?} in {}", file.display());
        let store = match self.past.fixture.options.clone().open(root) {
            Ok(store) => store,
            Err(error) => {
                assert!(names(&error, root, file), "{what}: {error}");
                return false;
            }
        };
        let seen = Seen::of(&store, &self.past.names);
        if seen == self.whole {
            assert!(store.verify(Scope::Metadata).unwrap().is_clean(), "{what}");
            store.close().unwrap();
            return true;
        }
        assert_eq!(
            self.may_be_torn.as_deref(),
            Some(file),
            "{what}: acknowledged state is gone"
        );
        // Blobs that were swept since then are missing, and say so.
        let is_seen = |state: &Seen| seen.is_but_for_the_blob(state, "the blob");
        let was = self.past.states.iter().any(|(_, state)| is_seen(state));
        assert!(was, "{what}: a state in which the store never was");
        if matches!(damage, Damage::Flip(_)) {
            let left = frames(&fs::read(root.join(file)).unwrap()).len();
            assert_eq!(
                left + 1,
                self.frames(file),
                "{what}: more than the last frame is gone"
            );
            assert_ne!(store.recovery().torn_bytes, 0, "{what}: not reported");
        }
        true
    }

    fn frames(&self, file: &Path) -> usize {
        frames(&fs::read(self.original.join(file)).unwrap()).len()
    }
}

/// Whether the error names the file, or for one that is missing its place.
fn names(error: &Error, root: &Path, file: &Path) -> bool {
    let text = error.to_string();
    let path = root.join(file);
    let at_root = path.parent() == Some(root) && text.contains(root.to_str().unwrap());
    let missing = !path.exists() && text.contains(path.parent().unwrap().to_str().unwrap());
    let snapshot = file.starts_with("meta/snapshot") && text.contains("snapshot");
    at_root
        || missing
        || snapshot
        || text.contains(path.to_str().unwrap())
        || text.contains(second_name(&path).to_str().unwrap())
}

#[test]
fn no_damage_to_a_cleanly_closed_store_loses_anything_without_a_word() {
    Bench::closed().damage_everything();
}

#[test]
fn no_damage_to_a_killed_store_loses_more_than_a_torn_write_and_that_is_reported() {
    Bench::killed().damage_everything();
}

#[test]
fn damage_to_a_blob_is_named_and_touches_no_other() {
    let bench = Bench::closed();
    let names: Vec<_> = files(&bench.original.join("blobs")).into_iter().collect();
    for prefix in names {
        let dir = Path::new("blobs").join(&prefix);
        for name in files(&bench.original.join(&dir)) {
            let len = fs::metadata(bench.original.join(&dir).join(&name))
                .unwrap()
                .len();
            for damage in [
                Damage::Flip(usize::try_from(len).unwrap() / 2),
                Damage::Truncate(10),
                Damage::ZeroFrom(3),
                Damage::Garbage,
                Damage::Remove,
            ] {
                let root = bench.copy();
                damage.apply(&root.join(&dir).join(&name));
                let store = bench.past.fixture.options.clone().open(&root).unwrap();
                let seen = Seen::of(&store, &bench.past.names);
                assert!(
                    seen.is_but_for_the_blob(&bench.whole, &name),
                    "{damage:?} in {name}"
                );
                let report = store.verify(Scope::Everything).unwrap();
                let damaged: Vec<_> = report
                    .damaged
                    .iter()
                    .map(|blob| blob.hash.to_string())
                    .collect();
                assert_eq!(damaged, [name.as_str()], "{damage:?}");
                let parts = !report.damaged[0].parts.is_empty();
                assert_eq!(parts, seen != bench.whole, "{damage:?} in {name}");
            }
        }
    }
}

#[test]
fn a_file_that_nobody_knows_in_blobs_does_no_harm() {
    let bench = Bench::killed();
    let root = bench.copy();
    fs::write(root.join("blobs/notes.txt"), bytes(1, 10)).unwrap();
    fs::create_dir_all(root.join("blobs/00")).unwrap();
    fs::write(root.join("blobs/00/notes.txt"), bytes(1, 10)).unwrap();
    let store = bench.past.fixture.options.clone().open(&root).unwrap();
    store.sweep().unwrap();
    assert_eq!(Seen::of(&store, &bench.past.names), bench.whole);
    assert!(root.join("blobs/00/notes.txt").exists());
}
