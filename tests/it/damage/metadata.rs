//! Every kind of damage to every file but the blobs.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use super::{Bench, Damage, Outcome, Tally, kind_of, metadata_files, print_table};
use crate::fixture::{Doing, files, indexes, race};
use crate::seen::{frames, path_of_damage, segments};

const THREADS: usize = 2;
const DIRECTORIES: [&str; 4] = ["meta", "meta/journal", "meta/snapshot", "staging"];

impl Bench {
    /// Tries all out, on several threads.
    fn damage_everything(&self, name: &str, all: &[(PathBuf, Damage)]) {
        let tallies = race(THREADS, |thread| {
            let mut tally = Tally::new();
            for (file, damage) in all.iter().skip(thread).step_by(THREADS) {
                let _doing = Doing(format!(
                    "{damage:?} to {} of a {name} store",
                    file.display()
                ));
                let outcome = self.outcome(&thread.to_string(), file, damage);
                assert!(
                    outcome != Outcome::Torn || self.may_be_torn.as_ref() == Some(file),
                    "lost by damage to another file"
                );
                *tally.entry((kind_of(file), outcome)).or_default() += 1;
            }
            tally
        });
        print_table(&format!("{} times damaged, {name}", all.len()), tallies);
    }

    fn damages(&self) -> Vec<(PathBuf, Damage)> {
        let mut all = Vec::new();
        for file in metadata_files(&self.original) {
            let bytes = fs::read(self.original.join(&file)).unwrap();
            let last = bytes.iter().rposition(|byte| *byte != 0);
            let damages = Damage::all(last.map_or(0, |last| last + 1), bytes.len());
            all.extend(damages.into_iter().map(|damage| (file.clone(), damage)));
        }
        all.extend(self.damages_by_others());
        let indexes = indexes(&self.original);
        let dirs = DIRECTORIES.map(PathBuf::from).into_iter().chain(indexes);
        all.extend(dirs.map(|dir| (dir, Damage::Remove)));
        all
    }

    /// Each file in place of each other.
    fn damages_by_others(&self) -> Vec<(PathBuf, Damage)> {
        let all = metadata_files(&self.original);
        let mut damages = Vec::new();
        for (at, file) in all.iter().enumerate() {
            for (other_at, other) in all.iter().enumerate().filter(|(other, _)| *other != at) {
                damages.push((file.clone(), Damage::CopyOver(other.clone())));
                if other_at > at {
                    damages.push((file.clone(), Damage::Swap(other.clone())));
                }
            }
        }
        damages
    }
}

#[test]
fn no_damage_to_a_cleanly_closed_store_loses_anything_without_a_word() {
    let bench = Bench::closed();
    bench.damage_everything("closed", &bench.damages());
}

#[test]
fn no_damage_to_a_killed_store_loses_more_than_a_torn_write_and_that_is_reported() {
    let bench = Bench::killed();
    bench.damage_everything("killed", &bench.damages());
}

#[test]
fn the_store_that_is_damaged_has_everything() {
    for bench in [Bench::closed(), Bench::killed()] {
        let root = bench.copy("whole");
        let store = bench.open(&root).unwrap();
        bench.assert_whole(&store, &root);
        assert!(bench.is_usual(store.recovery()), "{:?}", store.recovery());
        let stats = store.stats().unwrap();
        assert_ne!(stats.checkpoint_seq, 0);
        assert!(
            stats.open_uploads > 1 && stats.objects > 1 && stats.blobs > 6,
            "{stats:?}"
        );
        let all = segments(&bench.original);
        let used = |path: &&PathBuf| !frames(&fs::read(path).unwrap()).is_empty();
        assert!(all.iter().filter(used).count() > 2, "{all:?}");
        assert!(all.last().is_some_and(|last| !used(&last)), "no spare");
        assert!(metadata_files(&bench.original).contains(&Path::new("meta/ballast").to_owned()));
    }
}

#[test]
fn a_refusal_for_a_damaged_snapshot_changes_nothing() {
    let bench = Bench::killed();
    let name = files(&bench.original.join("meta/snapshot")).pop_first();
    let snapshot = Path::new("meta/snapshot").join(name.unwrap());
    let spare = segments(&bench.original).pop().unwrap();
    let spare = spare.strip_prefix(&bench.original).unwrap().to_owned();
    for damage in [Damage::Flip { at: 100, mask: 1 }, Damage::Swap(spare)] {
        let root = bench.copy("refused");
        damage.apply(&root, &snapshot);
        let before = all_bytes(&root);
        assert_eq!(path_of_damage(bench.open(&root)), root.join(&snapshot));
        assert!(
            all_bytes(&root) == before,
            "{damage:?}: a refusal has changed something"
        );
    }
}

fn all_bytes(root: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let read = |file| fs::read(root.join(&file)).map(|bytes| (file, bytes));
    let all = metadata_files(root).into_iter().map(read);
    all.collect::<Result<_, _>>().unwrap()
}
