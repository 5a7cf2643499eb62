//! The index is believed only when it holds exactly the rows that it held at a clean close: whatever
//! else is found there is rebuilt from the truth.

use std::fs;

use partstore::Error;

use crate::fixture::{bytes, copy_tree, files};
use crate::recovery::{assert_rebuilt, closed, open, rebuilt};
use crate::seen::{Past, Seen, tail};

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
            match value.first_mut() {
                Some(byte) => *byte ^= 1,
                None => value.push(1),
            }
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
fn a_journal_from_before_is_written_anew_if_the_index_is_proven_and_refused_if_not() {
    let (mut past, _) = closed();
    let before = past.fixture.killed();
    past.fixture.reopen();
    past.initiate("later", 100);
    let seen = past.seen();
    past.fixture.store.close().unwrap();
    let mixed = past.fixture.killed();
    fs::remove_dir_all(mixed.join("meta/journal")).unwrap();
    copy_tree(&before.join("meta/journal"), &mixed.join("meta/journal"));
    let unproven = mixed.with_file_name("unproven");
    copy_tree(&mixed, &unproven);
    fs::remove_dir_all(unproven.join("meta/index")).unwrap();
    for _ in 0..2 {
        match past.fixture.options.clone().open(&unproven) {
            Err(Error::Damaged { path, .. }) => assert_eq!(path, tail(&unproven)),
            other => panic!("{other:?}"),
        }
    }
    let named = tail(&mixed);
    let store = open(&past, &mixed);
    assert_eq!(store.recovery().repaired[0].path, named);
    assert_eq!(Seen::of(&store, &past.names), seen);
}

#[test]
fn a_damaged_marker_is_no_marker() {
    let (past, seen) = closed();
    let marker = fs::read(past.fixture.root().join("meta/CLEAN")).unwrap();
    for at in (0..marker.len()).step_by(7) {
        let mut flipped = marker.clone();
        flipped[at] ^= 0x40;
        for marker in [flipped.as_slice(), &marker[..at]] {
            assert_not_believed(&past, marker, &seen);
        }
    }
}

/// With this marker a copy of the store does not believe its index. The copy is removed again: together they are long.
fn assert_not_believed(past: &Past, marker: &[u8], seen: &Seen) {
    let root = past.fixture.killed();
    fs::write(root.join("meta/CLEAN"), marker).unwrap();
    let store = open(past, &root);
    rebuilt(&store);
    assert_eq!(&Seen::of(&store, &past.names), seen);
    drop(store);
    fs::remove_dir_all(root).unwrap();
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
    // Magic, low bits of the sequence number, and all that is counted of the index; not the sums over all
    // rows, which only `stats` tells, and not the note on orphans.
    let tally = (marker.len() - 24 - 5) / 2;
    for at in (0..8).chain(24..24 + tally) {
        assert_not_believed(&past, &forge(&marker, at), &seen);
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
