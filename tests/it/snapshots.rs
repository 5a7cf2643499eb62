//! Snapshots: they change nothing that can be seen, and one that is damaged or missing is refused
//! by name.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use partstore::Options;

use crate::fixture::{Fixture, bytes, copy_tree, files, free_options};
use crate::seen::{Past, Seen, path_of_damage};

fn tiny() -> Options {
    free_options().journal_sizes(4096, 0)
}

fn snapshot(root: &Path) -> PathBuf {
    let dir = root.join("meta/snapshot");
    let names = files(&dir);
    assert_eq!(names.len(), 1, "{names:?}");
    dir.join(names.first().unwrap())
}

#[test]
fn snapshots_between_the_calls_change_nothing_that_can_be_seen() {
    let mut past = Past::new(tiny());
    let upload = past.initiate("more", 5000);
    let mut newest = 0;
    for round in 0..12 {
        past.put(&upload, round % 5 + 1, u64::from(round) + 20);
        past.fixture.store.maintain().unwrap();
        let seq = past.fixture.store.stats().unwrap().checkpoint_seq;
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

fn with_a_snapshot() -> Past {
    let mut past = Past::new(tiny());
    let upload = past.initiate("more", 5000);
    for round in 0..70 {
        past.put(&upload, round % 3 + 1, u64::from(round));
    }
    assert!(past.fixture.store.maintain().unwrap().checkpoint);
    past
}

#[test]
fn a_damaged_snapshot_of_a_killed_store_is_refused_by_name_each_time() {
    let past = with_a_snapshot();
    let copy = past.fixture.killed();
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
