//! Damage to journal or snapshot of a store that was closed cleanly: the index proves what they held, and
//! both are written anew.

use std::fs;
use std::path::{Path, PathBuf};

use partstore::{Error, IndexRecovery, PartStore};

use super::{Bench, Damage, contents};
use crate::fixture::{Doing, copy_tree, files};
use crate::seen::{segments, tail};

const CLEAN: &str = "meta/CLEAN";

impl Bench {
    pub fn snapshot(&self) -> PathBuf {
        let name = files(&self.original.join("meta/snapshot")).pop_first();
        Path::new("meta/snapshot").join(name.unwrap())
    }

    fn below(&self, path: &Path) -> PathBuf {
        path.strip_prefix(&self.original).unwrap().to_owned()
    }

    pub fn sealed(&self) -> PathBuf {
        self.below(&segments(&self.original)[0])
    }

    /// Damage of each kind to each file of the journal.
    fn damages_to_the_journal(&self) -> Vec<(PathBuf, Damage)> {
        let active = self.below(&tail(&self.original));
        let mut damages = Vec::new();
        for file in [self.sealed(), active] {
            for damage in [
                Damage::Flip { at: 3, mask: 1 },
                Damage::Flip { at: 70, mask: 16 },
                Damage::Truncate(100),
                Damage::Remove,
            ] {
                damages.push((file.clone(), damage));
            }
        }
        damages.push((PathBuf::from("meta/journal"), Damage::Remove));
        damages
    }

    /// What was damaged is told once; then the store is as any other.
    fn assert_repaired(&self, root: &Path) {
        let store = self.open(root).unwrap();
        let recovery = store.recovery().clone();
        assert_eq!(recovery.repaired.len(), 1, "{recovery:?}");
        assert!(recovery.repaired[0].path.starts_with(root.join("meta")));
        assert_eq!(recovery.index, IndexRecovery::Trusted);
        assert!(!recovery.orphans_possible);
        self.assert_goes_on(&store, root);
    }

    /// Everything is there, after each way to end, and there are no more files than there should be.
    fn assert_goes_on(&self, store: &PartStore, root: &Path) {
        self.assert_whole(store, root);
        let layers = files(&root.join("meta/snapshot"));
        assert!(
            layers.len() <= 2 && !layers.contains("layer.tmp"),
            "{layers:?}"
        );
        let killed = root.with_extension("killed");
        let _ = fs::remove_dir_all(&killed);
        copy_tree(root, &killed);
        self.assert_whole(&self.open(&killed).unwrap(), &killed);
        store.close().unwrap();
        let store = self.open(root).unwrap();
        assert!(self.is_usual(store.recovery()), "{:?}", store.recovery());
        self.assert_whole(&store, root);
        store.close().unwrap();
    }
}

#[test]
fn damage_to_the_journal_of_a_closed_store_is_repaired_and_told() {
    let bench = Bench::closed();
    for (file, damage) in bench.damages_to_the_journal() {
        let _doing = Doing(format!("{damage:?} to {}", file.display()));
        let root = bench.copy("repaired");
        damage.apply(&root, &file);
        bench.assert_repaired(&root);
    }
}

/// Each state between two steps: CLEAN and the index are as they were, of the new files some are there,
/// of the old ones some are gone.
#[test]
fn a_repair_that_is_cut_short_anywhere_is_done_again() {
    let bench = Bench::closed();
    for (file, damage) in bench.damages_to_the_journal() {
        let done = bench.copy("done");
        damage.apply(&done, &file);
        drop(bench.open(&done).unwrap());
        let snapshot = files(&done.join("meta/snapshot")).pop_last().unwrap();
        let snapshot = Path::new("meta/snapshot").join(snapshot);
        let segment =
            Path::new("meta/journal").join(files(&done.join("meta/journal")).pop_first().unwrap());
        let mut steps = vec![Step::Snapshot(0, "tmp"), Step::Snapshot(70, "tmp")];
        steps.push(Step::Snapshot(usize::MAX, "rows"));
        steps.extend([Step::Segment(0), Step::Segment(32), Step::Segment(64)]);
        let root = bench.copy("cut");
        damage.apply(&root, &file);
        steps.extend(segments_if_any(&root).into_iter().map(Step::Gone));
        for (at, step) in steps.iter().enumerate() {
            let _doing = Doing(format!(
                "{damage:?} to {}, cut after step {at}, {step:?}",
                file.display()
            ));
            step.take(&root, &done, (&snapshot, &segment));
            let again = root.with_file_name("again");
            let _ = fs::remove_dir_all(&again);
            copy_tree(&root, &again);
            let store = bench.open(&again).unwrap();
            assert_eq!(store.recovery().index, IndexRecovery::Trusted);
            bench.assert_goes_on(&store, &again);
        }
    }
}

fn segments_if_any(root: &Path) -> Vec<PathBuf> {
    let dir = Path::new("meta/journal");
    let names = root.join(dir).exists().then(|| files(&root.join(dir)));
    names
        .unwrap_or_default()
        .iter()
        .map(|name| dir.join(name))
        .collect()
}

/// A step of a repair.
#[derive(Debug)]
enum Step {
    /// So many bytes of the new layer are there, under a name that ends so.
    Snapshot(usize, &'static str),
    /// So many bytes of the new segment are there; the rest is zeros.
    Segment(usize),
    /// An old file is gone.
    Gone(PathBuf),
}

impl Step {
    fn take(&self, root: &Path, done: &Path, (snapshot, segment): (&Path, &Path)) {
        for dir in ["meta/journal", "meta/snapshot"] {
            fs::create_dir_all(root.join(dir)).unwrap();
        }
        match self {
            Self::Snapshot(len, extension) => {
                let mut bytes = fs::read(done.join(snapshot)).unwrap();
                bytes.truncate(*len);
                let work = root.join("meta/snapshot/layer.tmp");
                let to = if *extension == "tmp" {
                    work.clone()
                } else {
                    root.join(snapshot)
                };
                let _ = fs::remove_file(work);
                fs::write(to, bytes).unwrap();
            }
            Self::Segment(len) => {
                let mut bytes = fs::read(done.join(segment)).unwrap();
                bytes[*len..].fill(0);
                fs::write(root.join(segment), bytes).unwrap();
            }
            Self::Gone(file) => fs::remove_file(root.join(file)).unwrap(),
        }
    }
}

#[test]
fn without_a_proven_index_the_damage_is_the_answer_and_nothing_changes() {
    let bench = Bench::closed();
    let index = PathBuf::from("meta/index");
    for file in [bench.sealed(), bench.snapshot()] {
        let root = bench.copy("unproven");
        Damage::Flip { at: 70, mask: 1 }.apply(&root, &file);
        Damage::Remove.apply(&root, &index);
        let before = contents(&root);
        for _ in 0..2 {
            match bench.open(&root) {
                Err(Error::Damaged { path, reason, .. }) => {
                    assert_eq!(path, root.join(&file));
                    assert!(reason.contains("the index cannot stand in"), "{reason}");
                }
                other => panic!("{other:?}"),
            }
            assert!(contents(&root) == before, "a refusal has changed something");
        }
    }
}

/// CLEAN of an earlier close beside a journal that went on: what came later must not be taken back.
#[test]
fn a_marker_that_somebody_put_back_proves_nothing() {
    let bench = Bench::closed();
    let root = bench.copy("old");
    let store = bench.open(&root).unwrap();
    store.initiate_upload("later").unwrap();
    drop(store);
    let sealed = root.join(bench.sealed());
    Damage::Flip { at: 70, mask: 1 }.apply(&root, &bench.sealed());
    for file in [CLEAN, "meta/index"] {
        Damage::Remove.undo(&bench.original, &root, Path::new(file));
    }
    match bench.open(&root) {
        Err(Error::Damaged { path, reason, .. }) => {
            assert_eq!(path, sealed);
            assert!(reason.contains("is newer than CLEAN"), "{reason}");
        }
        other => panic!("{other:?}"),
    }
}
