//! Salvage: of a store that was killed and then damaged, everything that is proven, and a list of the rest.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use partstore::{
    CompleteOptions, Condition, Error, Key, ListParts, ListUploads, Loss, PartStore, Quota,
    SalvageReport, Scope, Upload, UploadId,
};

use super::{Bench, Damage, Outcome, blob_path, blobs_with_bytes, contents};
use crate::fixture::{
    Doing, Random, blob_files, copy_tree, files, free_options, indexes, lines, number, race,
    refusal, remove_indexes,
};
use crate::seen::{Past, Seen, Thing, frames, segments, tail};

const THREADS: usize = 2;
/// The only namespace of the past.
const NAMESPACE: &str = "bucket";

type Things = BTreeMap<(UploadId, Thing), String>;

impl Bench {
    fn salvage(&self, root: &Path) -> PartStore {
        let options = self.past.fixture.options.clone().salvage();
        options.open(root).unwrap()
    }

    /// Everything that there was at any time.
    fn past_things(&self) -> BTreeSet<((UploadId, Thing), String)> {
        let states = self.past.states.iter();
        states.flat_map(|(_, seen)| seen.things()).collect()
    }

    /// Damages a copy, and salvages it if it does not open. What is missing is in the list, and what is there
    /// was there.
    fn salvaged(
        &self,
        copy: &str,
        file: &Path,
        damage: &Damage,
    ) -> Option<(PathBuf, SalvageReport)> {
        let root = self.copy(copy);
        damage.apply(&root, file);
        if self.open(&root).is_ok() {
            return None;
        }
        let before = contents(&root);
        let store = self.salvage(&root);
        let report = store.recovery().salvaged.clone().unwrap();
        self.assert_explained(&store, &report.lost);
        assert_evidence_is_kept(&before, &root, &report);
        store.sweep().unwrap();
        self.assert_explained(&store, &report.lost);
        let seen = self.seen_with_all(&store, &report.lost);
        let found = store.verify(Scope::Everything).unwrap();
        assert!(
            found.is_clean() || has_lost_bytes(&report.lost),
            "{found:?}"
        );
        store.close().unwrap();
        let store = self.open(&root).unwrap();
        assert!(store.recovery().salvaged.is_none() && store.recovery().repaired.is_empty());
        assert_eq!(self.seen_with_all(&store, &report.lost), seen);
        Some((root, report))
    }

    /// Everything of the store. If a namespace has lost its name, what it holds is in one that the list
    /// names, and is as it was otherwise. Here it has its old name.
    fn seen_with_all(&self, store: &PartStore, lost: &[Loss]) -> Things {
        let Some(given) = given_name(lost) else {
            return Seen::of(store, &self.past.names).things();
        };
        let names: Vec<_> = self
            .past
            .names
            .iter()
            .map(|name| moved(name, given))
            .collect();
        let things = Seen::of(store, &names).things().into_iter();
        let (new, old) = (format!("{given:?}"), format!("{NAMESPACE:?}"));
        things
            .map(|(thing, text)| (thing, text.replace(&new, &old)))
            .collect()
    }

    fn assert_explained(&self, store: &PartStore, lost: &[Loss]) {
        let (whole, seen) = (self.whole.things(), self.seen_with_all(store, lost));
        let batches = lost.iter().any(|loss| {
            matches!(
                loss,
                Loss::Batches { .. } | Loss::End { .. } | Loss::Rows { .. }
            )
        });
        for (name, text) in &whole {
            let same = seen.get(name) == Some(text);
            let named = lost.iter().any(|loss| explains(loss, *name));
            assert!(same || named || batches, "{name:?} is gone: {lost:?}");
        }
        let past = self.past_things();
        for (name, text) in &seen {
            let was = past.contains(&(*name, text.clone()));
            let named = lost.iter().any(|loss| explains(loss, *name));
            assert!(was || named, "{name:?} never was: {text}, {lost:?}");
        }
    }
}

fn explains(loss: &Loss, (id, thing): (UploadId, Thing)) -> bool {
    match loss {
        Loss::Upload { id: of, .. } => *of == id,
        Loss::Object { upload, .. } => upload.id() == id,
        Loss::Metadata { upload } => upload.id() == id && !matches!(thing, Thing::Part(_)),
        // The time stands in the part, and in the list of the object's parts.
        Loss::Part { upload, number } | Loss::StoredAt { upload, number } => {
            upload.id() == id && (thing == Thing::Part(*number) || thing == Thing::Object)
        }
        _ => false,
    }
}

/// The name that the namespace was given, if it has lost its own.
fn given_name(lost: &[Loss]) -> Option<&str> {
    lost.iter().find_map(|loss| match loss {
        Loss::Namespace { name } => Some(name.as_str()),
        _ => None,
    })
}

/// The upload under the name that its namespace has now.
fn moved(upload: &Upload, given: &str) -> Upload {
    if upload.namespace() != NAMESPACE {
        return upload.clone();
    }
    Upload::new(Key::new(given, upload.key()), upload.id())
}

fn has_lost_bytes(lost: &[Loss]) -> bool {
    lost.iter().any(|loss| matches!(loss, Loss::Part { .. }))
}

/// The old files are aside, byte for byte, and no blob is gone.
fn assert_evidence_is_kept(
    before: &BTreeMap<PathBuf, Vec<u8>>,
    root: &Path,
    report: &SalvageReport,
) {
    for (file, bytes) in before {
        let aside = match file.strip_prefix("meta") {
            Ok(below) if below.starts_with("journal") || below.starts_with("snapshot") => {
                report.aside.join(below)
            }
            _ if file.starts_with("blobs") && !root.join(file).exists() => {
                report.aside.join("blobs").join(file.file_name().unwrap())
            }
            _ if file.starts_with("blobs") => root.join(file),
            _ => continue,
        };
        assert!(fs::read(&aside).unwrap() == *bytes, "{}", aside.display());
    }
    let lines = fs::read_to_string(report.aside.join("lost.txt")).unwrap();
    let expected: Vec<_> = report.lost.iter().map(ToString::to_string).collect();
    assert_eq!(lines.trim_end(), expected.join("\n"));
}

/// Flips and holes all over journal and snapshot.
fn damages(bench: &Bench) -> Vec<(PathBuf, Damage)> {
    let mut random = Random::new(9);
    let mut all = Vec::new();
    let below = |path: &PathBuf| path.strip_prefix(&bench.original).unwrap().to_owned();
    let mut truth: Vec<PathBuf> = segments(&bench.original).iter().map(below).collect();
    truth.push(bench.snapshot());
    for file in truth {
        let bytes = fs::read(bench.original.join(&file)).unwrap();
        let used = bytes.iter().rposition(|byte| *byte != 0).unwrap_or(31) + 1;
        for _ in 0..6 {
            let mask = 1 << random.below(8);
            all.push((
                file.clone(),
                Damage::Flip {
                    at: random.below(used),
                    mask,
                },
            ));
        }
        for _ in 0..2 {
            let (at, len) = (random.below(used), random.below(600) + 1);
            all.push((file.clone(), Damage::Zero { at, len }));
            all.push((file.clone(), Damage::Insert { at, len: 8 }));
            all.push((file.clone(), Damage::Truncate(at)));
        }
        all.push((file.clone(), Damage::Zero { at: 0, len: 512 }));
        all.push((file.clone(), Damage::Garbage));
        all.push((file.clone(), Damage::Remove));
    }
    all.push((PathBuf::from("meta/journal"), Damage::Remove));
    all.push((PathBuf::from("meta/snapshot"), Damage::Remove));
    all
}

fn salvage_everything(bench: &Bench) {
    let all = damages(bench);
    let done = race(THREADS, |thread| {
        let mut done = 0;
        for (file, damage) in all.iter().skip(thread).step_by(THREADS) {
            let _doing = Doing(format!("{damage:?} to {}", file.display()));
            let copy = format!("salvaged-{thread}");
            done += usize::from(bench.salvaged(&copy, file, damage).is_some());
        }
        done
    });
    assert!(done.iter().sum::<usize>() > all.len() / 2, "{done:?}");
}

#[test]
fn what_is_lost_of_a_killed_store_is_in_the_list_and_all_else_is_given_back() {
    salvage_everything(&Bench::killed());
}

/// Journal and snapshot prove all they can without it.
#[test]
fn salvage_needs_no_index() {
    let bench = Bench::killed();
    remove_indexes(&bench.original);
    salvage_everything(&bench);
}

/// A part has a row and a reference, an open upload a row and a name, and blobs prove themselves: one
/// damaged row is told by the others, but for the rows of objects and metadata.
#[test]
fn of_a_snapshot_with_a_flipped_bit_no_part_is_lost() {
    let bench = Bench::killed();
    remove_indexes(&bench.original);
    let snapshot = bench.snapshot();
    let len = fs::read(bench.original.join(&snapshot)).unwrap().len();
    for at in (0..len).step_by(len / 60) {
        let _doing = Doing(format!("byte {at}"));
        let damage = Damage::Flip { at, mask: 2 };
        let (root, report) = bench.salvaged("flipped", &snapshot, &damage).unwrap();
        assert_eq!(report.damaged[0].path.file_name(), snapshot.file_name());
        let store = bench.open(&root).unwrap();
        assert_eq!(
            Seen::of(&store, &bench.past.names).quotas(),
            bench.whole.quotas()
        );
        let seen = bench.seen_with_all(&store, &report.lost);
        for (name, text) in bench.whole.things() {
            let named = report.lost.iter().any(|loss| explains(loss, name));
            assert!(seen.get(&name) == Some(&text) || named, "{name:?} is gone");
        }
        for loss in report.lost {
            let is_part = matches!(loss, Loss::Part { .. } | Loss::Object { .. });
            assert!(!is_part, "{loss}");
        }
    }
}

/// Where a snapshot has this text.
fn places_of(text: &str, snapshot: &[u8]) -> Vec<usize> {
    let has_it = |at: &usize| snapshot[*at..].starts_with(text.as_bytes());
    (0..snapshot.len()).filter(has_it).collect()
}

/// Two rows have the name of a namespace. They are the last ones of a snapshot, so a cut takes both.
#[test]
fn what_a_namespace_held_is_given_back_if_its_name_is_lost() {
    let bench = Bench::killed();
    remove_indexes(&bench.original);
    let snapshot = bench.snapshot();
    let bytes = fs::read(bench.original.join(&snapshot)).unwrap();
    // The row under the id comes first, and has the name in its value.
    let damage = Damage::Truncate(places_of(NAMESPACE, &bytes)[0]);
    let (root, report) = bench.salvaged("nameless", &snapshot, &damage).unwrap();
    let given = given_name(&report.lost).unwrap();
    let store = bench.open(&root).unwrap();
    let seen = bench.seen_with_all(&store, &report.lost);
    assert_eq!(seen, bench.whole.things());
    assert!(store.keys((given, "")).count() > 1);
    assert!(store.namespace(NAMESPACE).is_err());
}

#[test]
fn a_namespace_without_a_name_is_not_given_one_that_exists() {
    let mut past = Past::new(free_options().journal_sizes(4096, 0));
    let store = &past.fixture.store;
    store.create_namespace("salvaged-1", Quota::new()).unwrap();
    store.put_object(("salvaged-1", "mine"), "bytes").unwrap();
    let upload = past.initiate("more", 0);
    while !past.fixture.store.maintain().unwrap().checkpoint {
        past.put(&upload, 1, 1);
    }
    let bench = Bench::of(past);
    remove_indexes(&bench.original);
    let root = bench.copy("nameless");
    let snapshot = bench.snapshot();
    let bytes = fs::read(root.join(&snapshot)).unwrap();
    for at in places_of(NAMESPACE, &bytes) {
        Damage::Flip { at, mask: 1 }.apply(&root, &snapshot);
    }
    let store = bench.salvage(&root);
    let lost = store.recovery().salvaged.clone().unwrap().lost;
    let given = given_name(&lost).unwrap();
    assert_ne!(given, "salvaged-1");
    let keys = |name| store.keys((name, "")).map(|entry| entry.unwrap().key);
    assert!(keys("salvaged-1").eq(["mine"]));
    assert!(keys(given).eq(["done", "key"]));
}

/// A killed store, of which the batches that `lost` writes are damaged, and no other.
fn without_batches<T>(
    before: impl FnOnce(&PartStore) -> T,
    lost: impl FnOnce(&PartStore),
    after: impl FnOnce(&PartStore, &T),
) -> (Bench, Vec<Loss>, T) {
    let past = Past::new(free_options());
    let store = &past.fixture.store;
    let frames_now = || frames(&fs::read(tail(&past.fixture.root())).unwrap());
    let had = before(store);
    let from = frames_now().len();
    lost(store);
    let to = frames_now().len();
    after(store, &had);
    let all = frames_now();
    let bench = Bench::of(past);
    remove_indexes(&bench.original);
    let file = tail(&bench.original);
    for frame in &all[from..to] {
        let at = frame.start + 40;
        Damage::Flip { at, mask: 1 }.apply(&bench.original, &file);
    }
    let store = bench.salvage(&bench.original);
    let lost = store.recovery().salvaged.clone().unwrap().lost;
    let damaged = Loss::Batches {
        first: all[from].seq as u64,
        last: all[to - 1].seq as u64,
    };
    assert_eq!(lost[0], damaged);
    let found = store.verify(Scope::Everything).unwrap();
    assert!(found.is_clean(), "{found:?}");
    (bench, lost, had)
}

/// The batches that removed the first one are lost.
#[test]
fn of_two_namespaces_with_one_name_the_newer_one_keeps_it() {
    let create = |store: &PartStore| {
        store.create_namespace("again", Quota::new()).unwrap();
        store.put_object(("again", "key"), "bytes").unwrap();
    };
    let (bench, lost, ()) = without_batches(
        create,
        |store| {
            store
                .remove_key(("again", "key"), Condition::Always)
                .unwrap();
            store.remove_namespace("again").unwrap();
        },
        |store, ()| create(store),
    );
    let store = bench.open(&bench.original).unwrap();
    let given = given_name(&lost).unwrap();
    for name in ["again", given] {
        let keys = store.keys((name, "")).map(|entry| entry.unwrap().key);
        assert!(keys.eq(["key"]), "{name}");
    }
}

/// The batch that replaced the first one is lost, so it exists again.
#[test]
fn of_two_objects_of_one_key_the_newer_one_keeps_it() {
    let put = |store: &PartStore, body: &'static str| {
        let object = store.put_object("again", body).unwrap();
        object.upload
    };
    let (bench, _, (first, _)) = without_batches(
        |store| {
            let begun = store.initiate_upload("again").unwrap();
            store.put_part(&begun, number(1), "third").unwrap();
            (put(store, "first"), begun)
        },
        |store| drop(put(store, "second")),
        |store, (_, upload)| {
            let parts = store.list_parts(upload, &ListParts::new()).unwrap().parts;
            let current = CompleteOptions::new().make_current(Condition::Always);
            store
                .complete_upload_with(upload, &lines(&parts), &current)
                .unwrap();
        },
    );
    let store = bench.open(&bench.original).unwrap();
    let read = || std::io::read_to_string(store.open_key("again").unwrap()).unwrap();
    assert_eq!(read(), "third");
    store.remove_object(&first).unwrap();
    assert_eq!(read(), "third");
}

/// An upload with more parts than one batch removes.
fn large(store: &PartStore) -> Upload {
    let upload = store.initiate_upload("large").unwrap();
    for at in 1..=40 {
        store.put_part(&upload, number(at), "same").unwrap();
    }
    upload
}

#[test]
fn what_has_ended_is_not_given_back_although_its_parts_have_rows() {
    let (bench, lost, upload) = without_batches(
        large,
        |store| drop(store.initiate_upload("lost").unwrap()),
        |store, upload| store.abort_upload(upload).unwrap(),
    );
    assert_eq!(lost.len(), 1, "{lost:?}");
    let store = bench.open(&bench.original).unwrap();
    assert_eq!(refusal(store.upload(&upload)).0, "NoSuchUpload");
    let file = blob_path(&blake3::hash(b"same").to_string());
    assert!(!bench.original.join(file).exists(), "nothing refers to it");
}

/// The batch that aborted it is lost.
#[test]
fn what_is_not_proven_to_have_ended_is_given_back() {
    let (bench, _, upload) = without_batches(
        |store| {
            let upload = large(store);
            (upload, store.initiate_upload("other").unwrap())
        },
        |store| {
            let uploads = store.list_uploads(&ListUploads::new()).unwrap().uploads;
            let large = uploads.iter().find(|found| found.upload.key() == "large");
            store.abort_upload(&large.unwrap().upload).unwrap();
        },
        |store, (_, other)| {
            store.put_part(other, number(1), "bytes").unwrap();
        },
    );
    let store = bench.open(&bench.original).unwrap();
    let parts = store.list_parts(&upload.0, &ListParts::new()).unwrap();
    assert_eq!(parts.parts.len(), 40);
}

#[test]
fn of_a_damaged_segment_only_the_damaged_batch_is_lost() {
    let bench = Bench::killed();
    remove_indexes(&bench.original);
    let sealed = segments(&bench.original).remove(1);
    let batches = frames(&fs::read(&sealed).unwrap());
    let file = sealed.strip_prefix(&bench.original).unwrap();
    for frame in batches.iter().filter(|frame| !frame.is_seal) {
        let damage = Damage::Flip {
            at: frame.start + 40,
            mask: 1,
        };
        let (_, report) = bench.salvaged("flipped", file, &damage).unwrap();
        let seq = frame.seq as u64;
        let lost = Loss::Batches {
            first: seq,
            last: seq,
        };
        assert!(report.lost.contains(&lost), "{:?}", report.lost);
        assert_eq!(report.damaged[0].offset, frame.start as u64);
    }
}

/// The segment's header is gone with its salt; its frames still tell that they belong together.
#[test]
fn of_a_segment_without_a_header_no_batch_is_lost() {
    let bench = Bench::killed();
    let sealed = segments(&bench.original).remove(1);
    let file = sealed.strip_prefix(&bench.original).unwrap();
    let damage = Damage::Zero { at: 0, len: 32 };
    let (_, report) = bench.salvaged("headless", file, &damage).unwrap();
    assert_eq!(report.lost, []);
}

#[test]
fn a_part_of_which_the_bytes_are_missing_as_well_is_listed() {
    let mut bench = Bench::killed();
    let blob = blobs_with_bytes(&bench.original)
        .into_iter()
        .find(|blob| bench.whole.holders(blob) > 0);
    let blob = blob.unwrap();
    fs::remove_file(bench.original.join(blob_path(&blob))).unwrap();
    bench.past.states.clear();
    let file = bench.snapshot();
    let root = bench.copy("both");
    Damage::Flip { at: 2, mask: 1 }.apply(&root, &file);
    let store = bench.salvage(&root);
    let report = store.recovery().salvaged.clone().unwrap();
    assert_eq!(
        report.lost.len(),
        bench.whole.holders(&blob),
        "{:?}",
        report.lost
    );
    assert!(has_lost_bytes(&report.lost));
    let found = store.verify(Scope::Everything).unwrap();
    assert_eq!(found.damaged[0].hash.to_string(), blob);
    assert_eq!(found.damaged[0].parts.len(), bench.whole.holders(&blob));
}

#[test]
fn an_undamaged_store_and_one_that_the_index_proves_are_opened_as_ever() {
    let (killed, closed) = (Bench::killed(), Bench::closed());
    for bench in [&killed, &closed] {
        let root = bench.copy("whole");
        let store = bench.salvage(&root);
        assert!(bench.is_usual(store.recovery()) && store.recovery().salvaged.is_none());
        bench.assert_whole(&store, &root);
    }
    let root = closed.copy("proven");
    Damage::Flip { at: 100, mask: 1 }.apply(&root, &closed.sealed());
    let store = closed.salvage(&root);
    assert_eq!(store.recovery().repaired.len(), 1);
    assert!(store.recovery().salvaged.is_none());
    closed.assert_whole(&store, &root);
}

/// Nobody salvages by accident.
#[test]
fn damage_is_refused_unless_salvage_is_asked_for() {
    let bench = Bench::killed();
    let root = bench.copy("refused");
    let damage = Damage::Flip { at: 100, mask: 1 };
    assert_eq!(
        bench.outcome("other", &bench.snapshot(), &damage),
        Outcome::Reported
    );
    damage.apply(&root, &bench.snapshot());
    assert!(matches!(bench.open(&root), Err(Error::Damaged { .. })));
}

/// Each state between two steps of a salvage. Before the decision it is begun again, after it any open
/// finishes it.
#[test]
fn a_salvage_that_is_cut_short_anywhere_is_finished_or_begun_again() {
    let bench = Bench::killed();
    let sealed = segments(&bench.original).remove(1);
    let file = sealed.strip_prefix(&bench.original).unwrap();
    let damage = Damage::Flip { at: 100, mask: 1 };
    let (done, report) = bench.salvaged("done", file, &damage).unwrap();
    let seen_in = |root: &Path| bench.seen_with_all(&bench.open(root).unwrap(), &report.lost);
    let seen = seen_in(&done);

    let root = bench.copy("cut");
    damage.apply(&root, file);
    let meta = root.join("meta");
    let aside = meta.join(report.aside.file_name().unwrap());
    let (new, again) = (done.with_file_name("new"), root.with_file_name("again"));
    damage_and_salvage(&bench, &new, file, &damage);
    let check = |finished: bool| {
        let _ = fs::remove_dir_all(&again);
        copy_tree(&root, &again);
        if !finished {
            assert!(matches!(bench.open(&again), Err(Error::Damaged { .. })));
        }
        let store = if finished {
            bench.open(&again).unwrap()
        } else {
            bench.salvage(&again)
        };
        assert!(store.recovery().salvaged.is_some());
        assert_eq!(bench.seen_with_all(&store, &report.lost), seen);
        store.sweep().unwrap();
        drop(store);
        assert_eq!(seen_in(&again), seen);
        let left: Vec<_> = files(&again.join("meta"))
            .into_iter()
            .filter(|name| name.contains(".new") || name.contains(".tmp") || name == "SALVAGED")
            .collect();
        assert!(left.is_empty(), "{left:?}");
    };
    fs::create_dir_all(meta.join("salvage.tmp/kept")).unwrap();
    check(false);
    for name in ["journal", "snapshot"] {
        copy_tree(
            &new.join("meta").join(name),
            &meta.join(format!("{name}.new")),
        );
        check(false);
    }
    fs::remove_dir_all(meta.join("salvage.tmp")).unwrap();
    fs::create_dir(&aside).unwrap();
    check(false);
    fs::write(
        meta.join("SALVAGED"),
        aside.file_name().unwrap().as_encoded_bytes(),
    )
    .unwrap();
    check(true);
    for name in ["journal", "snapshot"] {
        fs::rename(meta.join(name), aside.join(name)).unwrap();
        check(true);
        fs::rename(meta.join(format!("{name}.new")), meta.join(name)).unwrap();
        check(true);
    }
    for index in indexes(&root) {
        let name = index.file_name().unwrap();
        fs::rename(root.join(&index), aside.join(name)).unwrap();
        check(true);
    }
}

fn damage_and_salvage(bench: &Bench, root: &Path, file: &Path, damage: &Damage) {
    copy_tree(&bench.original, root);
    damage.apply(root, file);
    bench.salvage(root).close().unwrap();
}

#[test]
fn the_end_of_a_closed_journal_that_is_lost_is_listed() {
    let bench = Bench::closed();
    remove_indexes(&bench.original);
    let last = tail(&bench.original);
    let file = last.strip_prefix(&bench.original).unwrap();
    let end = frames(&fs::read(&last).unwrap()).pop().unwrap();
    let damage = Damage::Zero {
        at: end.start,
        len: end.end - end.start,
    };
    let (_, report) = bench.salvaged("end", file, &damage).unwrap();
    let seq = end.seq as u64;
    assert_eq!(
        report.lost,
        [Loss::Batches {
            first: seq,
            last: seq
        }]
    );
}

/// Nothing says how much was in it, so the list says that it may have been anything.
#[test]
fn the_journal_of_a_killed_store_without_a_layer_that_is_lost_is_listed() {
    let past = Past::new(free_options());
    for has_index in [true, false] {
        let root = past.fixture.killed();
        if !has_index {
            remove_indexes(&root);
        }
        for segment in segments(&root) {
            fs::remove_file(segment).unwrap();
        }
        let options = past.fixture.options.clone().salvage();
        let store = options.open(&root).unwrap();
        let lost = &store.recovery().salvaged.as_ref().unwrap().lost;
        let is_listed = lost.contains(&Loss::End { after: 0 });
        assert!(is_listed, "index: {has_index}: {lost:?}");
    }
}

/// A directory that is missing is damage, which a salvage mends. Bytes of which nothing else is known are kept aside.
#[test]
fn a_store_without_a_directory_of_its_metadata_is_salvaged() {
    let past = Past::new(free_options());
    for lost in ["meta/journal", "meta"] {
        let root = past.fixture.killed();
        let blobs = blob_files(&root);
        fs::remove_dir_all(root.join(lost)).unwrap();
        let options = past.fixture.options.clone();
        let scratch = tempfile::tempdir().unwrap();
        for options in [options.clone(), options.clone().read_only(scratch.path())] {
            let error = options.open(&root).map(drop).unwrap_err();
            let is_named = matches!(&error, Error::Damaged { path, .. } if path.ends_with("meta") || path.ends_with("journal"));
            assert!(is_named, "{lost}: {error}");
        }
        assert!(!root.join(lost).exists());
        let store = options.salvage().open(&root).unwrap();
        let report = store.recovery().salvaged.clone().unwrap();
        assert!(report.lost.contains(&Loss::End { after: 0 }), "{report:?}");
        store.sweep().unwrap();
        assert!(store.verify(Scope::Everything).unwrap().is_clean());
        if lost == "meta" {
            assert_eq!(store.stats().unwrap().parts, 0);
            assert_eq!(files(&report.aside.join("blobs")), blobs);
        }
        store.put_object("key", b"body".to_vec()).unwrap();
    }
}
