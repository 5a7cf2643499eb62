//! Damage to blobs: named, and no other is touched.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use partstore::{PartStore, Scope};

use super::{Bench, Damage, Outcome, Tally, blob_path, blobs_with_bytes, kind_of, print_table};
use crate::fixture::{Doing, bytes};
use crate::seen::Seen;

impl Bench {
    /// What is damaged is named by whoever reads it, by `verify` and in `stats`; all else reads.
    pub fn assert_blobs_damaged(&self, store: &PartStore, blobs: &[String]) -> Seen {
        let seen = self.seen(store);
        assert!(seen.is_but_for(&self.whole, blobs), "others are touched");
        let report = store.verify(Scope::Everything).unwrap();
        assert_eq!(report.inconsistent, [""; 0]);
        let damaged = report.damaged.iter().map(|blob| blob.hash.to_string());
        let expected: BTreeSet<String> = blobs.iter().cloned().collect();
        assert_eq!(damaged.collect::<BTreeSet<_>>(), expected);
        let stats = store.stats().unwrap();
        assert_eq!(stats.damaged_blobs, expected.len() as u64);
        for blob in report.damaged {
            assert_eq!(
                blob.parts.len(),
                self.whole.holders(&blob.hash.to_string()),
                "{blob:?}"
            );
        }
        seen
    }
}

fn name_of(file: &Path) -> String {
    file.file_name().unwrap().to_str().unwrap().to_owned()
}

#[test]
fn damage_to_a_blob_is_named_and_touches_no_other() {
    let benches = [Bench::closed(), Bench::killed()];
    let mut tally = Tally::new();
    for bench in &benches {
        let root = bench.copy("blobs");
        let store = bench.open(&root).unwrap();
        let names = blobs_with_bytes(&root);
        for (at, name) in names.iter().enumerate() {
            let file = blob_path(name);
            let len = usize::try_from(fs::metadata(root.join(&file)).unwrap().len()).unwrap();
            let other = &names[(at + 1) % names.len()];
            let mut kinds = Damage::all(len, len);
            kinds.push(Damage::CopyOver(blob_path(other)));
            kinds.push(Damage::Swap(blob_path(other)));
            for damage in kinds {
                let _doing = Doing(format!("{damage:?} to {name}"));
                damage.apply(&root, &file);
                let now = |file: &PathBuf| fs::read(root.join(file)).unwrap_or_default();
                let was = |file: &PathBuf| fs::read(bench.original.join(file)).unwrap();
                let mut touched = damage.touches(&file);
                touched.retain(|file| names.contains(&name_of(file)) && now(file) != was(file));
                let damaged: Vec<String> = touched.iter().map(|file| name_of(file)).collect();
                let seen = bench.assert_blobs_damaged(&store, &damaged);
                // A file that is only longer gives all its bytes.
                touched.retain(|file| !now(file).starts_with(&was(file)));
                let held = |file: &PathBuf| bench.whole.holders(&name_of(file)) > 0;
                assert_eq!(seen != bench.whole, touched.iter().any(held));
                let outcome = if damaged.is_empty() {
                    Outcome::Harmless
                } else {
                    Outcome::Reported
                };
                *tally.entry((kind_of(&file), outcome)).or_default() += 1;
                damage.undo(&bench.original, &root, &file);
            }
        }
        bench.assert_blobs_damaged(&store, &[]);
    }
    print_table("damaged blobs", [tally]);
}

/// Also when all are gone: it opens, and tells of each.
#[test]
fn blobs_that_are_missing_are_named() {
    for bench in [Bench::closed(), Bench::killed()] {
        let root = bench.copy("blobs");
        let all: Vec<String> = crate::fixture::blob_files(&root).into_iter().collect();
        let gone: Vec<_> = all
            .iter()
            .filter(|name| name.starts_with(&all[0][..2]))
            .cloned()
            .collect();
        fs::remove_dir_all(root.join(blob_path(&all[0])).parent().unwrap()).unwrap();
        let store = bench.open(&root).unwrap();
        bench.assert_blobs_damaged(&store, &gone);
        store.close().unwrap();
        fs::remove_dir_all(root.join("blobs")).unwrap();
        let store = bench.open(&root).unwrap();
        bench.assert_blobs_damaged(&store, &all);
    }
}

#[test]
fn a_file_that_nobody_knows_in_blobs_does_no_harm() {
    let bench = Bench::killed();
    let root = bench.copy("blobs");
    let strange = [
        Path::new("blobs/notes.txt"),
        Path::new("blobs/00/notes.txt"),
    ];
    fs::create_dir_all(root.join("blobs/00")).unwrap();
    for file in strange {
        fs::write(root.join(file), bytes(1, 10)).unwrap();
    }
    let store = bench.open(&root).unwrap();
    store.sweep().unwrap();
    assert!(bench.seen(&store) == bench.whole);
    assert!(strange.iter().all(|file| root.join(file).exists()));
}
