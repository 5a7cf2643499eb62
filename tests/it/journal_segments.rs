//! The journal in several files: segments and snapshots, whole, missing, damaged or left over.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use partstore::{Error, Options, PartStore, Scope};

use crate::fixture::{Fixture, bytes, copy_tree, files, free_options, number};
use crate::seen::{Past, Seen, frames, segments};

fn tiny() -> Options {
    free_options().journal_sizes(4096, 0)
}

fn path_of_damage(opened: partstore::Result<PartStore>) -> PathBuf {
    match opened {
        Err(Error::Damaged { path, .. }) => path,
        other => panic!("{other:?}"),
    }
}

fn snapshot(root: &Path) -> PathBuf {
    let dir = root.join("meta/snapshot");
    let names = files(&dir);
    assert_eq!(names.len(), 1, "{names:?}");
    dir.join(names.first().unwrap())
}

/// The segments that hold frames.
fn used(root: &Path) -> Vec<PathBuf> {
    let is_used = |path: &PathBuf| !frames(&fs::read(path).unwrap()).is_empty();
    segments(root).into_iter().filter(is_used).collect()
}

#[test]
fn a_journal_of_several_segments_gives_the_same_state_as_a_running_store() {
    let past = Past::new(tiny());
    assert!(used(&past.fixture.root()).len() > 1);
    let seen = past.seen();
    let copy = past.fixture.open_killed();
    assert_eq!(Seen::of(&copy, &past.names), seen);
    assert_eq!(seen.counts(), (1, 1));
}

#[test]
fn snapshots_between_the_calls_change_nothing_that_can_be_seen() {
    let mut past = Past::new(tiny());
    let upload = past.initiate("more", 5000);
    let mut newest = 0;
    for round in 0..12 {
        past.put(&upload, round % 5 + 1, u64::from(round) + 20);
        past.fixture.store.maintain().unwrap();
        let seq = past.fixture.store.stats().unwrap().snapshot_seq;
        assert!(seq >= newest);
        newest = seq;
        let copy = past.fixture.open_killed();
        assert_eq!(Seen::of(&copy, &past.names), past.seen());
    }
    assert_ne!(newest, 0);
    let seen = past.seen();
    past.fixture.reopen();
    assert_eq!(past.seen(), seen);
}

#[test]
fn a_missing_segment_is_refused_by_name() {
    let past = Past::new(tiny());
    let original = past.fixture.killed();
    let used = used(&original);
    let dir = original.join("meta/journal");
    for (at, missing) in used.iter().enumerate() {
        let bytes = fs::read(missing).unwrap();
        fs::remove_file(missing).unwrap();
        let named = path_of_damage(past.fixture.options.clone().open(&original));
        // Nothing tells how many segments were before the oldest that is there.
        let expected = if at == 0 { &dir } else { missing };
        assert_eq!(&named, expected);
        fs::write(missing, bytes).unwrap();
    }
    let store = past.fixture.options.clone().open(&original).unwrap();
    assert_eq!(Seen::of(&store, &past.names), past.seen());
}

#[test]
fn a_journal_without_its_newest_segments_is_refused() {
    let past = Past::new(tiny());
    for kept in 0..used(&past.fixture.root()).len() {
        let copy = past.fixture.killed();
        for path in segments(&copy).iter().skip(kept) {
            fs::remove_file(path).unwrap();
        }
        let named = path_of_damage(past.fixture.options.clone().open(&copy));
        assert!(named.starts_with(copy.join("meta/journal")));
    }
}

#[test]
fn a_missing_spare_segment_is_harmless() {
    let past = Past::new(tiny());
    let copy = past.fixture.killed();
    let spare = segments(&copy).pop().unwrap();
    assert!(!used(&copy).contains(&spare));
    fs::remove_file(&spare).unwrap();
    let store = past.fixture.options.clone().open(&copy).unwrap();
    assert_eq!(Seen::of(&store, &past.names), past.seen());
    store.initiate_upload("later").unwrap();
}

#[test]
fn a_spare_segment_whose_creation_was_cut_short_is_made_again() {
    let past = Past::new(tiny());
    for len in [0, 1, 31, 32, 4096] {
        let copy = past.fixture.killed();
        let spare = segments(&copy).pop().unwrap();
        fs::write(&spare, vec![0; len]).unwrap();
        let store = past.fixture.options.clone().open(&copy).unwrap();
        assert_eq!(Seen::of(&store, &past.names), past.seen());
        store.initiate_upload("later").unwrap();
        store.close().unwrap();
        past.fixture.options.clone().open(&copy).unwrap();
    }
}

#[test]
fn a_segment_under_another_number_is_never_applied() {
    let past = Past::new(tiny());
    let copy = past.fixture.killed();
    let all = segments(&copy);
    fs::copy(&all[0], all.last().unwrap()).unwrap();
    let store = past.fixture.options.clone().open(&copy).unwrap();
    assert_eq!(Seen::of(&store, &past.names), past.seen());
    store.close().unwrap();

    let copy = past.fixture.killed();
    let all = segments(&copy);
    fs::copy(&all[0], &all[1]).unwrap();
    assert_eq!(
        path_of_damage(past.fixture.options.clone().open(&copy)),
        all[1]
    );
}

/// An upload whose abort takes more than a segment, between other calls.
fn with_a_large_abort() -> Past {
    let mut past = Past::new(tiny());
    let upload = past.initiate("large", 0);
    for at in 1..=80 {
        past.fixture
            .store
            .put_part(&upload, number(at), bytes(u64::from(at), 10))
            .unwrap();
    }
    past.fixture.store.maintain().unwrap();
    past.fixture.store.abort_upload(&upload).unwrap();
    past
}

#[test]
fn a_batch_larger_than_a_segment_is_whole_or_not_there() {
    let mut past = with_a_large_abort();
    let large = used(&past.fixture.root()).pop().unwrap();
    assert!(fs::metadata(large).unwrap().len() > 8192);
    let copy = past.fixture.open_killed();
    assert_eq!(Seen::of(&copy, &past.names), past.seen());
    let upload = past.initiate("after", 0);
    for at in 1..20 {
        past.put(&upload, at, u64::from(at));
    }
    let copy = past.fixture.open_killed();
    assert_eq!(Seen::of(&copy, &past.names), past.seen());
    assert!(copy.verify(Scope::Everything).unwrap().is_clean());
}

#[test]
fn a_crash_between_the_removals_of_segments_loses_nothing() {
    let mut past = with_a_large_abort();
    let upload = past.initiate("after", 0);
    for at in 1..30 {
        past.put(&upload, at, u64::from(at));
    }
    past.fixture.store.sweep().unwrap();
    let before = past.fixture.killed();
    assert!(past.fixture.store.maintain().unwrap().snapshot);
    let after = past.fixture.killed();
    let kept: BTreeSet<_> = files(&after.join("meta/journal"));
    let mut removed = segments(&before);
    removed.retain(|path| !kept.contains(path.file_name().unwrap().to_str().unwrap()));
    assert!(removed.len() > 2);
    // Segments are removed oldest first.
    for gone in 0..removed.len() {
        let copy = after.with_file_name(format!("crashed-{gone}"));
        copy_tree(&after, &copy);
        for path in &removed[gone..] {
            fs::copy(
                path,
                copy.join("meta/journal").join(path.file_name().unwrap()),
            )
            .unwrap();
        }
        let store = past.fixture.options.clone().open(&copy);
        let store = store.unwrap_or_else(|error| panic!("{gone} segments removed: {error}"));
        assert_eq!(Seen::of(&store, &past.names), past.seen());
    }
}

fn with_a_snapshot() -> Past {
    let mut past = Past::new(tiny());
    let upload = past.initiate("more", 5000);
    for round in 0..70 {
        past.put(&upload, round % 3 + 1, u64::from(round));
    }
    assert!(past.fixture.store.maintain().unwrap().snapshot);
    past
}

#[test]
fn a_damaged_snapshot_is_refused_by_name_each_time() {
    let past = with_a_snapshot();
    past.fixture.store.close().unwrap();
    // Cleanly closed, and as if it had been killed.
    for unclean in [false, true] {
        let copy = past.fixture.killed();
        if unclean {
            fs::remove_file(copy.join("meta/CLEAN")).unwrap();
        }
        let path = snapshot(&copy);
        let original = fs::read(&path).unwrap();
        for at in (0..original.len()).step_by(original.len() / 25) {
            let again = copy.with_file_name("again");
            let _ = fs::remove_dir_all(&again);
            copy_tree(&copy, &again);
            let mut bytes = original.clone();
            bytes[at] ^= 0x20;
            let damaged = again.join(path.strip_prefix(&copy).unwrap());
            fs::write(&damaged, &bytes).unwrap();
            for _ in 0..2 {
                assert_eq!(
                    path_of_damage(past.fixture.options.clone().open(&again)),
                    damaged
                );
            }
            fs::write(&damaged, &original[..at]).unwrap();
            assert_eq!(
                path_of_damage(past.fixture.options.clone().open(&again)),
                damaged
            );
        }
    }
}

#[test]
fn a_missing_snapshot_is_refused() {
    let past = with_a_snapshot();
    let copy = past.fixture.killed();
    fs::remove_file(snapshot(&copy)).unwrap();
    let named = path_of_damage(past.fixture.options.clone().open(&copy));
    assert!(named.starts_with(copy.join("meta")));
}

#[test]
fn what_an_unfinished_snapshot_left_is_removed() {
    let past = with_a_snapshot();
    let live = files(&past.fixture.root().join("meta/snapshot"));
    past.fixture.store.maintain().unwrap();
    let killed = past.fixture.killed();
    past.fixture.store.close().unwrap();
    let closed = past.fixture.killed();
    for root in [killed, closed] {
        let dir = root.join("meta/snapshot");
        fs::write(dir.join("snapshot.tmp"), bytes(1, 1000)).unwrap();
        fs::write(dir.join("0.run"), bytes(2, 1000)).unwrap();
        let store = past.fixture.options.clone().open(&root).unwrap();
        assert_eq!(files(&dir), live);
        assert_eq!(
            &Seen::of(&store, &past.names),
            &past.states.last().unwrap().1
        );
    }
}

#[test]
fn an_unfinished_snapshot_in_a_store_without_one_is_removed() {
    let fixture = Fixture::with(tiny());
    fs::write(fixture.root().join("meta/snapshot/snapshot.tmp"), b"half").unwrap();
    let copy = fixture.killed();
    fixture.options.clone().open(&copy).unwrap();
    assert_eq!(files(&copy.join("meta/snapshot")), BTreeSet::new());
}
