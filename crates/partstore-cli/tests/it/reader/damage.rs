//! Damage: the engine and the reader name the same files, and take the same bytes for harmless.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use partstore::{
    Background, Condition, Error, IndexRecovery, Options, PartStore, Quota, Scope, UploadOptions,
};
use serde_json::Value;

use super::stores::number;
use super::{Bench, has_python, listed, options, read};
use crate::fixture::{copy_dir, noise};

/// What is done to a file.
#[derive(Clone, Copy, Debug)]
enum Doing {
    Flip {
        at: usize,
        bit: u8,
    },
    Cut(usize),
    Grow(usize),
    Remove,
    /// As a lost write leaves them.
    Zeros {
        at: usize,
        len: usize,
    },
}

impl Doing {
    /// Returns whether it changed anything.
    fn to(self, path: &Path) -> bool {
        let before = fs::read(path).unwrap();
        let mut bytes = before.clone();
        match self {
            Self::Flip { at, bit } => bytes[at] ^= 1 << bit,
            Self::Cut(len) => bytes.truncate(len),
            Self::Grow(by) => bytes.extend(vec![0; by]),
            Self::Zeros { at, len } => bytes.iter_mut().skip(at).take(len).for_each(|b| *b = 0),
            Self::Remove => {
                fs::remove_file(path).unwrap();
                return true;
            }
        }
        fs::write(path, &bytes).unwrap();
        bytes != before
    }
}

/// Random numbers that a seed repeats.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 += 1;
        let bytes = noise(8, self.0 ^ 0xda3a_6e5e_ed00_0000);
        let number = u64::from_le_bytes(bytes.try_into().unwrap());
        usize::try_from(number % bound as u64).unwrap()
    }

    /// At the beginning, at the end, or anywhere.
    fn place(&mut self, len: usize) -> usize {
        match self.below(6) {
            0 => self.below(len.min(64)),
            1 => len - 1 - self.below(len.min(260)),
            _ => self.below(len),
        }
    }

    fn doing(&mut self, len: usize) -> Doing {
        match self.below(10) {
            0 => Doing::Cut(self.place(len)),
            1 => Doing::Grow(1 + self.below(5_000)),
            2 => Doing::Remove,
            3 => Doing::Zeros {
                at: self.place(len),
                len: 1 + self.below(600),
            },
            _ => Doing::Flip {
                at: self.place(len),
                bit: u8::try_from(self.below(8)).unwrap(),
            },
        }
    }
}

/// Files below `dir`, relative to the root.
fn files(root: &Path, dir: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for name in crate::fixture::names(&root.join(dir)) {
        let path = Path::new(dir).join(&name);
        if root.join(&path).is_dir() {
            found.extend(files(root, path.to_str().unwrap()));
        } else {
            found.push(path);
        }
    }
    found
}

/// What an opening of the store, and `verify`, say is damaged: files relative to the root, and rows. Then what it lists, if
/// it opens.
fn found_by_engine(root: &Path) -> (BTreeSet<String>, Value) {
    let mut found = BTreeSet::new();
    let mut named = |path: &Path| {
        let path = path.strip_prefix(root).unwrap();
        found.insert(path.to_str().unwrap().to_owned());
    };
    // Without a ballast, which would be copied each time.
    let quiet = options().headroom(0).background(Background::Host);
    let store = match quiet.open(root) {
        Ok(store) => store,
        Err(Error::Damaged { path, .. }) => {
            named(&path);
            return (found, Value::Null);
        }
        Err(error) => panic!("{error}"),
    };
    let recovery = store.recovery();
    recovery.repaired.iter().for_each(|file| named(&file.path));
    let report = store.verify(Scope::Everything).unwrap();
    report.files.iter().for_each(|file| named(&file.path));
    for blob in &report.damaged {
        let hash = blob.hash.to_string();
        named(&root.join("blobs").join(&hash[..2]).join(&hash));
    }
    if let (IndexRecovery::Rebuilt { .. }, true) = (&recovery.index, recovery.repaired.is_empty()) {
        // Nothing else but the marker was touched.
        named(&root.join("meta/CLEAN"));
    }
    found.extend(report.inconsistent);
    let listed = match report.files.as_slice() {
        [] => listed::by_library(&store),
        _ => Value::Null,
    };
    // A store that has found damage says so when it is closed.
    let _ = store.close();
    (found, listed)
}

fn found_by_reader(root: &Path) -> (BTreeSet<String>, Value) {
    let ran = read(root, &["--metadata"]);
    assert!(matches!(ran.code, Some(0 | 4)), "{ran:?}");
    let said = ran.json();
    let damage = said["damage"].as_array().unwrap();
    assert_eq!(said["clean"], ran.code == Some(0));
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let named = damage.iter().map(|file| text(&file["file"])).collect();
    (named, said)
}

/// A store with two layers and some segments, of which little is large.
fn small(bench: &Bench) {
    let tiny = Options::s3().min_part_size(0).journal_sizes(4096, 6_000);
    let tiny = tiny.headroom(0).background(Background::Host);
    for round in 0..3 {
        bench.with(&tiny, |store| {
            round_of(store, round);
            // It is due each time.
            assert!(round == 2 || store.maintain().unwrap().checkpoint);
        });
    }
}

fn round_of(store: &PartStore, round: u64) {
    let _ = store.create_namespace("films", Quota::new().keys(100));
    for at in 0..12 {
        let key = format!("k{at}");
        store
            .put_object(("films", key.as_str()), noise(100, round * 100 + at))
            .unwrap();
    }
    store.put_object("long", noise(70_000, 99 + round)).unwrap();
    store.put_object("empty", "").unwrap();
    let options = UploadOptions::new().metadata(noise(7_000, round));
    let upload = store.initiate_upload_with("open", options).unwrap();
    store.put_part(&upload, number(3), "x").unwrap();
    let removed = ("films", "k3");
    store.remove_key(removed, Condition::Always).unwrap();
}

#[test]
fn the_reader_and_the_engine_name_the_same_damage() {
    if !has_python() {
        return;
    }
    let set =
        |name: &str, plain: u64| std::env::var(name).map_or(plain, |text| text.parse().unwrap());
    let mut random = Random(set("PARTSTORE_SEED", 1) << 32);
    let bench = Bench::new();
    small(&bench);
    let root = bench.root();
    let mut all = ["meta/journal", "meta/snapshot", "blobs"].map(|dir| files(&root, dir));
    assert!(all[0].len() > 1 && all[1].len() > 1, "{all:?}");
    all[1].push("meta/CLEAN".into());
    let (mut harmless, cases) = (0, set("PARTSTORE_FLIPS", 40));
    for case in 0..cases {
        let kind = &all[random.below(3)];
        let file = &kind[random.below(kind.len())];
        let len = usize::try_from(fs::metadata(root.join(file)).unwrap().len()).unwrap();
        if len == 0 {
            continue;
        }
        let doing = random.doing(len);
        if matches!(doing, Doing::Remove) && file.ends_with("CLEAN") {
            // That is a store that was not closed.
            continue;
        }
        let damaged = bench.fixture.path("damaged");
        copy_dir(&root, &damaged);
        let is_clean = file.ends_with("CLEAN") || random.below(3) > 0;
        if !is_clean {
            // As after a kill: nothing proves what the journal held.
            fs::remove_file(damaged.join("meta/CLEAN")).unwrap();
        }
        if doing.to(&damaged.join(file)) {
            let (by_reader, said) = found_by_reader(&damaged);
            let (mut by_engine, listed) = found_by_engine(&damaged);
            if !is_clean {
                by_engine.remove("meta/CLEAN");
            }
            assert_eq!(
                by_reader,
                by_engine,
                "reader, engine: case {case}, {doing:?} of {} bytes of {}, closed: {is_clean}",
                len,
                file.display()
            );
            let is_metadata = |name: &String| name.starts_with("meta");
            if !by_reader.iter().any(is_metadata) {
                listed::assert_same(&said, &listed);
            }
            harmless += u64::from(by_reader.is_empty());
        }
        fs::remove_dir_all(&damaged).unwrap();
    }
    assert!(
        10 * harmless < 9 * cases,
        "{harmless} of {cases} did no harm"
    );
}
