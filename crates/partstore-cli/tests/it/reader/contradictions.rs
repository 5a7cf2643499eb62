//! Rows that contradict each other, with all checksums right: `verify` finds what the reader finds.

use std::fs;
use std::path::Path;

use partstore::{Background, CompletedPart, Condition, PartStore, Quota, Scope, UploadOptions};

use super::stores::{complete, number};
use super::{Bench, has_python, options, read, run};
use crate::fixture::{copy_dir, noise};

const TREES: [&str; 11] = [
    "uploads",
    "upload_names",
    "metadata",
    "parts",
    "blobs",
    "refs",
    "garbage",
    "keys",
    "namespaces",
    "usage",
    "tombstones",
];

/// An object or upload with so many parts of one byte, which is the same in all.
fn of_many(store: &PartStore, key: &str, count: u32) {
    let options = UploadOptions::new().metadata(noise(4_000, 1));
    let upload = store.initiate_upload_with(("films", key), options).unwrap();
    let put = |at| store.put_part(&upload, number(at), "x").unwrap();
    let parts = (1..=count).map(put);
    let listed: Vec<_> = parts
        .map(|part| CompletedPart::new(part.number, part.etag))
        .collect();
    if count > 10 {
        complete(store, &upload, &listed);
    }
}

fn fill(store: &PartStore) {
    store
        .create_namespace("films", Quota::new().keys(9))
        .unwrap();
    store.create_namespace("more", Quota::new()).unwrap();
    // One has marks. What is left of one is still to be released.
    of_many(store, "many", 70);
    of_many(store, "removed", 40);
    store
        .remove_key(("films", "removed"), Condition::Always)
        .unwrap();
    for at in 0..4 {
        of_many(store, &format!("open {at}"), at);
        store
            .put_object(format!("k{at}"), noise(50_000, at.into()))
            .unwrap();
    }
    // Its blob is garbage until a sweep.
    store.remove_key("k3", Condition::Always).unwrap();
}

/// Whether an open and a `verify` find nothing.
fn is_sound_to_engine(root: &Path) -> bool {
    let quiet = options().headroom(0).background(Background::Host);
    let Ok(store) = quiet.open(root) else {
        return false;
    };
    let report = store.verify(Scope::Everything);
    let _ = store.close();
    report.is_ok_and(|report| report.is_clean())
}

#[test]
fn verify_finds_the_contradictions_that_the_reader_finds() {
    if !has_python() {
        return;
    }
    let bench = Bench::new();
    // Small files are copied sooner.
    let quiet = options().headroom(0).background(Background::Host);
    bench.with(&quiet, fill);
    let set =
        |name: &str, plain: u64| std::env::var(name).map_or(plain, |text| text.parse().unwrap());
    let first = set("PARTSTORE_SEED", 1);
    let mut found = 0;
    for seed in first..first + set("PARTSTORE_CASES", 1) {
        for tree in TREES {
            for doing in ["remove", "alter", "move"] {
                let root = bench.fixture.path("copy");
                copy_dir(&bench.root(), &root);
                let done = run("contradict.py", &[tree, doing, &seed.to_string()], &root);
                let done = format!("{}, seed {seed}", done.ok());
                let ran = read(&root, &[]);
                let said = ran.json();
                let text = format!("{} {}", said["damage"], said["inconsistent"]);
                // `verify` believes what a part's row says of its bytes, beside their hash.
                if !text.contains("than its bytes") {
                    let is_sound = ran.code == Some(0);
                    assert_eq!(is_sound_to_engine(&root), is_sound, "{text}, {done}");
                    found += u64::from(!is_sound);
                }
                fs::remove_dir_all(&root).unwrap();
            }
        }
    }
    assert!(found > 15, "{found}");
}
