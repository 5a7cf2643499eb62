//! Opening: a clean close lets the index be trusted, if its rows add up; after anything else it is
//! rebuilt from snapshot and journal, and the report says why.

use std::fs;
use std::path::Path;

use partstore::{Error, IndexRecovery, Options, PartStore, Scope};

use crate::fixture::{bytes, copy_tree, files, free_options, number};
use crate::seen::{Past, Seen, tail};

fn small() -> Options {
    free_options().journal_sizes(16 * 1024, 32 * 1024)
}

/// A store with a past that was closed cleanly, and what was to be seen of it.
fn closed() -> (Past, Seen) {
    let past = Past::new(small());
    let seen = past.seen();
    past.fixture.store.close().unwrap();
    (past, seen)
}

fn open(past: &Past, root: &Path) -> PartStore {
    past.fixture.options.clone().open(root).unwrap()
}

/// Why the index was rebuilt; fails when it was trusted.
fn rebuilt(store: &PartStore) -> &str {
    match &store.recovery().index {
        IndexRecovery::Rebuilt { reason } => reason,
        other => panic!("{other:?}"),
    }
}

/// The store at `root` must not believe its index, and must lose nothing.
fn assert_rebuilt(past: &Past, root: &Path, seen: &Seen, why: &str) {
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
    assert!(!past.fixture.open_killed().recovery().created);
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
    assert_eq!(store.list_parts(&upload, 0, 10).unwrap().parts.len(), 1);
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

const TREES: [&str; 7] = [
    "uploads",
    "upload_names",
    "metadata",
    "parts",
    "blobs",
    "refs",
    "garbage",
];

/// Changes the index of a closed copy behind the store's back.
fn tamper(past: &Past, change: impl Fn(&sled::Tree), tree: &str) -> std::path::PathBuf {
    let root = past.fixture.killed();
    let db = sled::open(root.join("meta/index")).unwrap();
    let tree = db.open_tree(tree).unwrap();
    assert!(!tree.is_empty(), "nothing to change");
    change(&tree);
    db.flush().unwrap();
    root
}

#[test]
fn a_row_that_the_index_lost_is_missed() {
    let (past, seen) = closed();
    for name in TREES {
        let lose_first = |tree: &sled::Tree| drop(tree.pop_min().unwrap());
        let root = tamper(&past, lose_first, name);
        assert_rebuilt(&past, &root, &seen, "do not add up");
        let lose_all = |tree: &sled::Tree| tree.clear().unwrap();
        let root = tamper(&past, lose_all, name);
        assert_rebuilt(&past, &root, &seen, "do not add up");
    }
}

#[test]
fn a_row_that_the_index_altered_is_not_believed() {
    let (past, seen) = closed();
    for name in TREES {
        let flip = |tree: &sled::Tree| {
            let (key, value) = tree.last().unwrap().unwrap();
            let mut value = value.to_vec();
            value[0] ^= 1;
            tree.insert(key, value).unwrap();
        };
        let root = tamper(&past, flip, name);
        assert_rebuilt(&past, &root, &seen, "do not add up");
    }
}

#[test]
fn a_row_under_another_key_is_not_believed() {
    let (past, seen) = closed();
    for name in TREES {
        let rename = |tree: &sled::Tree| {
            let (key, value) = tree.pop_max().unwrap().unwrap();
            let mut key = key.to_vec();
            *key.last_mut().unwrap() ^= 1;
            tree.insert(key, value).unwrap();
        };
        let root = tamper(&past, rename, name);
        assert_rebuilt(&past, &root, &seen, "do not add up");
    }
}

#[test]
fn an_index_or_a_marker_from_before_is_not_believed() {
    let (mut past, _) = closed();
    let before = past.fixture.killed();
    past.fixture.reopen();
    let upload = past.initiate("later", 100);
    past.put(&upload, 1, 50);
    let seen = past.seen();
    past.fixture.store.close().unwrap();

    let old_index = past.fixture.killed();
    fs::remove_dir_all(old_index.join("meta/index")).unwrap();
    copy_tree(&before.join("meta/index"), &old_index.join("meta/index"));
    assert_rebuilt(&past, &old_index, &seen, "do not add up");

    let old_marker = past.fixture.killed();
    fs::copy(before.join("meta/CLEAN"), old_marker.join("meta/CLEAN")).unwrap();
    assert_rebuilt(&past, &old_marker, &seen, "older than the journal");

    let old_both = past.fixture.killed();
    fs::remove_dir_all(old_both.join("meta/index")).unwrap();
    copy_tree(&before.join("meta/index"), &old_both.join("meta/index"));
    fs::copy(before.join("meta/CLEAN"), old_both.join("meta/CLEAN")).unwrap();
    assert_rebuilt(&past, &old_both, &seen, "older than the journal");
}

#[test]
fn a_journal_from_before_is_refused_by_name() {
    let (mut past, _) = closed();
    let before = past.fixture.killed();
    past.fixture.reopen();
    past.initiate("later", 100);
    past.fixture.store.close().unwrap();
    let mixed = past.fixture.killed();
    fs::remove_dir_all(mixed.join("meta/journal")).unwrap();
    copy_tree(&before.join("meta/journal"), &mixed.join("meta/journal"));
    for _ in 0..2 {
        match past.fixture.options.clone().open(&mixed) {
            Err(Error::Damaged { path, .. }) => assert_eq!(path, tail(&mixed)),
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn a_damaged_marker_is_no_marker() {
    let (past, seen) = closed();
    let marker = fs::read(past.fixture.root().join("meta/CLEAN")).unwrap();
    for at in (0..marker.len()).step_by(7) {
        let mut flipped = marker.clone();
        flipped[at] ^= 0x40;
        for bytes in [flipped.as_slice(), &marker[..at]] {
            let root = past.fixture.killed();
            fs::write(root.join("meta/CLEAN"), bytes).unwrap();
            let store = open(&past, &root);
            rebuilt(&store);
            assert_eq!(Seen::of(&store, &past.names), seen);
        }
    }
}

/// A marker whose checksum fits what somebody wrote into it.
fn forge(marker: &[u8], at: usize) -> Vec<u8> {
    let mut forged = marker[..marker.len() - 4].to_vec();
    forged[at] ^= 1;
    let crc = crc32fast::hash(&forged).to_be_bytes();
    forged.extend_from_slice(&crc);
    forged
}

#[test]
fn a_forged_marker_is_not_believed() {
    let (past, seen) = closed();
    let marker = fs::read(past.fixture.root().join("meta/CLEAN")).unwrap();
    // Magic, low bits of the sequence number, and all that is counted; not the note on orphans.
    for at in (0..8).chain(16..marker.len() - 5) {
        let root = past.fixture.killed();
        fs::write(root.join("meta/CLEAN"), forge(&marker, at)).unwrap();
        let store = open(&past, &root);
        rebuilt(&store);
        assert_eq!(Seen::of(&store, &past.names), seen);
    }
}

#[test]
fn garbage_in_the_files_of_the_index_is_rebuilt() {
    let (past, seen) = closed();
    let names = files(&past.fixture.root().join("meta/index"));
    for (seed, name) in (1..).zip(&names) {
        for keep in [0, 3, 64] {
            let root = past.fixture.killed();
            let path = root.join("meta/index").join(name);
            if path.is_dir() {
                continue;
            }
            let mut garbage = fs::read(&path).unwrap();
            let len = garbage.len();
            garbage.truncate(keep);
            garbage.extend(bytes(seed, len.max(100)));
            fs::write(&path, garbage).unwrap();
            let store = open(&past, &root);
            assert_eq!(Seen::of(&store, &past.names), seen, "{name}");
            if name == "db" {
                rebuilt(&store);
            }
        }
    }
}

#[test]
fn a_snapshot_that_sled_was_generating_does_not_stop_the_store() {
    let (past, seen) = closed();
    for kill in [false, true] {
        let root = past.fixture.killed();
        let index = root.join("meta/index");
        fs::write(
            index.join("snap.00000000000012AB.generating"),
            bytes(3, 200),
        )
        .unwrap();
        fs::write(index.join("snap.00000000000012AB"), bytes(4, 200)).unwrap();
        if kill {
            fs::remove_file(root.join("meta/CLEAN")).unwrap();
        }
        let store = open(&past, &root);
        assert_eq!(Seen::of(&store, &past.names), seen);
        store.close().unwrap();
        assert_eq!(Seen::of(&open(&past, &root), &past.names), seen);
    }
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
