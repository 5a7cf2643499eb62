//! Many single flips, each of a bit or a byte, at random places of random files.

use std::fs;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use partstore::{PartStore, Scope};

use super::{
    Bench, Damage, Outcome, Tally, blob_path, blobs_with_bytes, kind_of, metadata_files,
    print_table,
};
use crate::fixture::{Doing, Random, race, setting};
use crate::seen::frames;

const THREADS: usize = 2;

/// A copy that stays open while its files are damaged.
struct Live<'a> {
    bench: &'a Bench,
    store: PartStore,
    root: PathBuf,
}

impl<'a> Live<'a> {
    fn new(bench: &'a Bench, thread: usize) -> Self {
        let root = bench.copy(&format!("live-{thread}"));
        let store = bench.open(&root).unwrap();
        Self { bench, store, root }
    }

    fn blob(&self, random: &mut Random) -> (PathBuf, Outcome) {
        let blobs = blobs_with_bytes(&self.root);
        let blob = random.pick(&blobs).unwrap();
        let file = blob_path(blob);
        self.flipped(&file, random, |_| {
            let held = self.bench.whole.holders(blob) > 0;
            let seen = self
                .bench
                .assert_blobs_damaged(&self.store, std::slice::from_ref(blob));
            assert_eq!(seen != self.bench.whole, held);
            Outcome::Reported
        })
    }

    /// `verify` reads journal and snapshot again.
    fn truth(&self, random: &mut Random) -> (PathBuf, Outcome) {
        let is_truth =
            |file: &PathBuf| file.starts_with("meta/journal") || file.starts_with("meta/snapshot");
        let mut files = metadata_files(&self.root);
        files.retain(is_truth);
        let file = random.pick(&files).unwrap().clone();
        self.flipped(&file, random, |at| {
            let written = frames(&fs::read(self.bench.original.join(&file)).unwrap());
            let matters = file.starts_with("meta/snapshot")
                || written.last().is_some_and(|last| at < last.end);
            let report = self.store.verify(Scope::Metadata).unwrap();
            assert_eq!(report.inconsistent, [""; 0]);
            assert_eq!(report.is_clean(), report.files.is_empty());
            let named: Vec<_> = report.files.iter().map(|file| &file.path).collect();
            if matters {
                assert_eq!(named, [&self.root.join(&file)]);
                Outcome::Reported
            } else {
                assert!(named.is_empty(), "{named:?}");
                Outcome::Harmless
            }
        })
    }

    fn flipped(
        &self,
        file: &Path,
        random: &mut Random,
        look: impl FnOnce(usize) -> Outcome,
    ) -> (PathBuf, Outcome) {
        let path = self.root.join(file);
        let (at, mask) = place(&fs::read(&path).unwrap(), random);
        let _doing = Doing(format!(
            "flip {mask:#04x} at {at} of {} while open",
            file.display()
        ));
        flip(&path, at, mask);
        let outcome = look(at);
        flip(&path, at, mask);
        (file.to_owned(), outcome)
    }
}

fn flip(path: &Path, at: usize, mask: u8) {
    let file = fs::File::options()
        .read(true)
        .write(true)
        .open(path)
        .unwrap();
    let mut byte = [0];
    file.read_exact_at(&mut byte, at as u64).unwrap();
    file.write_all_at(&[byte[0] ^ mask], at as u64).unwrap();
}

/// Where to flip what: mostly where something was written; a bit or the whole byte.
fn place(file: &[u8], random: &mut Random) -> (usize, u8) {
    let last = file.iter().rposition(|byte| *byte != 0);
    let used = match random.below(10) {
        0 => file.len(),
        _ => last.map_or(file.len(), |last| last + 1),
    };
    let mask = match random.below(5) {
        0 => u8::try_from(random.below(255) + 1).unwrap(),
        _ => 1 << random.below(8),
    };
    (random.below(used), mask)
}

/// Of the metadata of a store that is not open.
fn closed(bench: &Bench, thread: usize, random: &mut Random) -> (PathBuf, Outcome) {
    let mut files = metadata_files(&bench.original);
    files.retain(|file| fs::metadata(bench.original.join(file)).unwrap().len() > 0);
    let file = random.pick(&files).unwrap();
    let (at, mask) = place(&fs::read(bench.original.join(file)).unwrap(), random);
    let _doing = Doing(format!("flip {mask:#04x} at {at} of {}", file.display()));
    let outcome = bench.outcome(&thread.to_string(), file, &Damage::Flip { at, mask });
    (file.clone(), outcome)
}

/// `PARTSTORE_FLIPS` sets their number, `PARTSTORE_SEED` other places.
#[test]
fn no_flip_gives_other_bytes_or_loses_anything_without_a_word() {
    let (flips, seed) = (
        setting("PARTSTORE_FLIPS", 2_500),
        setting("PARTSTORE_SEED", 1),
    );
    let benches = [("closed", Bench::closed()), ("killed", Bench::killed())];
    let tallies = race(THREADS, |thread| {
        let live = [0, 1].map(|at| Live::new(&benches[at].1, thread));
        let mut tally = Tally::new();
        for number in (0..flips).skip(thread).step_by(THREADS) {
            let mut random = Random::new(seed.wrapping_mul(flips).wrapping_add(number));
            let at = random.below(2);
            let (name, bench) = &benches[at];
            let _doing = Doing(format!(
                "PARTSTORE_SEED={seed} PARTSTORE_FLIPS={flips}, flip {number} ({name})"
            ));
            let (file, outcome) = match random.below(100) {
                0..60 => live[at].blob(&mut random),
                60..80 => live[at].truth(&mut random),
                _ => closed(bench, thread, &mut random),
            };
            *tally
                .entry((format!("{} ({name})", kind_of(&file)), outcome))
                .or_default() += 1;
        }
        tally
    });
    print_table(&format!("{flips} flips, seed {seed}"), tallies);
}
