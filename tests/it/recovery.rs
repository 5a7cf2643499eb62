//! Opening: a clean close lets the index be trusted, if its rows add up; after anything else it is
//! rebuilt from snapshot and journal, and the report says why.

use std::fs;
use std::path::Path;

use partstore::{IndexRecovery, ListParts, Options, PartStore, Scope};

use crate::fixture::{bytes, copy_tree, files, free_options, number};
use crate::seen::{Past, Seen};

fn small() -> Options {
    free_options().journal_sizes(16 * 1024, 32 * 1024)
}

/// A store with a past that was closed cleanly, and what was to be seen of it.
pub fn closed() -> (Past, Seen) {
    let past = Past::new(small());
    let seen = past.seen();
    past.fixture.store.close().unwrap();
    (past, seen)
}

pub fn open(past: &Past, root: &Path) -> PartStore {
    past.fixture.options.clone().open(root).unwrap()
}

/// Why the index was rebuilt; fails when it was trusted.
pub fn rebuilt(store: &PartStore) -> &str {
    match &store.recovery().index {
        IndexRecovery::Rebuilt { reason } => reason,
        other => panic!("{other:?}"),
    }
}

/// The store at `root` must not believe its index, and must lose nothing.
pub fn assert_rebuilt(past: &Past, root: &Path, seen: &Seen, why: &str) {
    let store = open(past, root);
    assert!(rebuilt(&store).contains(why), "{}", rebuilt(&store));
    assert_eq!(&Seen::of(&store, &past.names), seen);
    assert!(store.verify(Scope::Everything).unwrap().is_clean());
    store.close().unwrap();
    let store = open(past, root);
    assert_eq!(store.recovery().index, IndexRecovery::Trusted);
    assert_eq!(&Seen::of(&store, &past.names), seen);
}

#[test]
fn a_new_store_says_so() {
    let past = Past::new(small());
    assert!(past.fixture.store.recovery().created);
    assert_eq!(rebuilt(&past.fixture.store), "the store is empty");
    assert!(!past.fixture.open_killed().recovery().created);
}

#[test]
fn an_index_is_made_anew_when_that_is_asked_for() {
    let (past, seen) = closed();
    let root = past.fixture.root();
    for _ in 0..2 {
        let options = past.fixture.options.clone().rebuild_index();
        let store = options.open(&root).unwrap();
        assert!(rebuilt(&store).contains("asked"), "{}", rebuilt(&store));
        assert_eq!(Seen::of(&store, &past.names), seen);
        assert!(store.verify(Scope::Everything).unwrap().is_clean());
        store.close().unwrap();
    }
    let store = open(&past, &root);
    assert_eq!(store.recovery().index, IndexRecovery::Trusted);
    assert_eq!(Seen::of(&store, &past.names), seen);
}

#[test]
fn after_a_clean_close_the_index_is_trusted() {
    let (past, seen) = closed();
    for _ in 0..3 {
        let store = open(&past, &past.fixture.root());
        assert_eq!(store.recovery().index, IndexRecovery::Trusted);
        assert_eq!(store.recovery().torn_bytes, 0);
        assert_eq!(Seen::of(&store, &past.names), seen);
        store.close().unwrap();
    }
}

#[test]
fn dropping_the_last_handle_closes_cleanly() {
    let dir = tempfile::tempdir().unwrap();
    let store = small().open(dir.path()).unwrap();
    let other = store.clone();
    let upload = store.initiate_upload("a").unwrap();
    drop(store);
    other.put_part(&upload, number(1), &b"x"[..]).unwrap();
    drop(other);
    let store = small().open(dir.path()).unwrap();
    assert_eq!(store.recovery().index, IndexRecovery::Trusted);
    assert_eq!(
        store
            .list_parts(&upload, &ListParts::new().limit(10))
            .unwrap()
            .parts
            .len(),
        1
    );
}

#[test]
fn after_a_kill_the_index_is_rebuilt_and_the_report_says_why() {
    let past = Past::new(small());
    let seen = past.seen();
    assert_rebuilt(&past, &past.fixture.killed(), &seen, "not closed cleanly");
}

#[test]
fn a_store_killed_right_after_a_recovery_is_the_same_again() {
    let past = Past::new(small());
    let seen = past.seen();
    let mut root = past.fixture.killed();
    for round in 0..4 {
        let store = open(&past, &root);
        rebuilt(&store);
        assert_eq!(Seen::of(&store, &past.names), seen);
        let again = root.with_file_name(format!("again-{round}"));
        copy_tree(&root, &again);
        root = again;
    }
}

#[test]
fn an_index_that_was_deleted_is_rebuilt() {
    let (past, seen) = closed();
    fs::remove_dir_all(past.fixture.root().join("meta/index")).unwrap();
    assert_rebuilt(&past, &past.fixture.root(), &seen, "0 rows");
}

#[test]
fn ids_ascend_across_every_kind_of_opening() {
    let mut past = Past::new(small());
    for round in 0..6 {
        let before = past.names.last().unwrap().id().to_string();
        let upload = past.initiate("next", 20);
        assert!(upload.id().to_string() > before);
        match round % 3 {
            0 => past.fixture.reopen(),
            1 => {
                past.fixture.store.close().unwrap();
                fs::remove_dir_all(past.fixture.root().join("meta/index")).unwrap();
                past.fixture.store = open(&past, &past.fixture.root());
            }
            _ => {
                let killed = past.fixture.killed();
                past.fixture.store = open(&past, &killed);
                fs::remove_dir_all(past.fixture.root()).unwrap();
                past.fixture.store.close().unwrap();
                fs::rename(killed, past.fixture.root()).unwrap();
                past.fixture.store = open(&past, &past.fixture.root());
            }
        }
    }
}

#[test]
fn what_a_crash_left_in_blobs_and_staging_is_reported_and_goes() {
    let past = Past::new(small());
    past.fixture.store.sweep().unwrap();
    let orphan = bytes(77, 500);
    let name = blake3::hash(&orphan).to_string();
    let root = past.fixture.killed();
    let dir = root.join("blobs").join(&name[..2]);
    fs::create_dir_all(&dir).unwrap();
    fs::write(dir.join(&name), orphan).unwrap();
    fs::write(root.join("staging/left"), b"half a body").unwrap();
    let store = open(&past, &root);
    assert!(store.recovery().orphans_possible);
    assert!(files(&root.join("staging")).is_empty());
    let report = store.sweep().unwrap();
    assert_eq!((report.orphans, report.blobs), (1, 0));
    assert!(!dir.join(&name).exists());
    assert_eq!(Seen::of(&store, &past.names), past.seen());
    store.close().unwrap();
    assert!(!open(&past, &root).recovery().orphans_possible);
}

#[test]
fn the_search_for_orphans_is_not_forgotten_by_a_close_before_the_sweep() {
    let past = Past::new(small());
    let root = past.fixture.killed();
    open(&past, &root).close().unwrap();
    let store = open(&past, &root);
    assert_eq!(store.recovery().index, IndexRecovery::Trusted);
    assert!(store.recovery().orphans_possible);
    store.sweep().unwrap();
    store.close().unwrap();
    assert!(!open(&past, &root).recovery().orphans_possible);
}
