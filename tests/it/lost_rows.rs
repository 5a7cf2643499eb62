//! An index that has lost rows while the store is open: no file is removed on its word.
//!
//! What sled loses in an open store cannot be made to happen. So a row is removed from the index of a
//! closed store, and the marker is forged to agree: the store that opens it does not know.

use std::fs;
use std::path::Path;

use partstore::{Background, Error, IndexRecovery, PartOptions, PartStore, Scope, Upload};

use crate::fixture::{Fixture, free_options, number, read_part, refusal};

/// Where the marker holds what; see `src/meta/marker.rs` and `src/meta/tally.rs`.
const HASH: usize = 24;
const ROWS: usize = HASH + 16;
const BYTES: usize = ROWS + 11 * 8;
const BLOBS: usize = BYTES + 8;
const BLOB_BYTES: usize = BLOBS + 8;

/// The store's trees and their numbers, of those that matter here.
const BLOBS_TREE: (&str, u8) = ("blobs", 5);
const REFS_TREE: (&str, u8) = ("refs", 6);

/// Takes the rows of a blob out of the index of a closed store, unnoticed.
fn lose(root: &Path, (name, number): (&str, u8), content: &[u8; 32]) {
    let db = sled::open(root.join("meta/index")).unwrap();
    let tree = db.open_tree(name).unwrap();
    let path = root.join("meta/CLEAN");
    let mut marker = fs::read(&path).unwrap();
    marker.truncate(marker.len() - 4);
    let mut lost = 0;
    for row in tree.scan_prefix(content) {
        let (key, value) = row.unwrap();
        if value.is_empty() {
            // The mark of a removed row.
            continue;
        }
        tree.remove(&key).unwrap();
        let mut hasher = blake3::Hasher::new();
        hasher.update(&[number]);
        hasher.update(&(key.len() as u64).to_be_bytes());
        hasher.update(&key);
        hasher.update(&value);
        take_hash(&mut marker, &hasher.finalize().as_bytes()[..16]);
        take(&mut marker, ROWS + 8 * (usize::from(number) - 1), 1);
        take(&mut marker, BYTES, (key.len() + value.len()) as u64);
        if (name, number) == BLOBS_TREE {
            take(&mut marker, BLOBS, 1);
            let size = u64::from_be_bytes(value[1..9].try_into().unwrap());
            take(&mut marker, BLOB_BYTES, size);
        }
        lost += 1;
    }
    assert_eq!(lost, 1, "one row of {name}");
    db.flush().unwrap();
    let crc = crc32fast::hash(&marker).to_be_bytes();
    fs::write(path, [marker.as_slice(), &crc].concat()).unwrap();
}

fn take(marker: &mut [u8], at: usize, less: u64) {
    let before = u64::from_be_bytes(marker[at..at + 8].try_into().unwrap());
    marker[at..at + 8].copy_from_slice(&before.wrapping_sub(less).to_be_bytes());
}

fn take_hash(marker: &mut [u8], hash: &[u8]) {
    let before = u128::from_be_bytes(marker[HASH..ROWS].try_into().unwrap());
    let less = u128::from_be_bytes(hash.try_into().unwrap());
    marker[HASH..ROWS].copy_from_slice(&before.wrapping_sub(less).to_be_bytes());
}

/// A store with two parts of the same bytes, of which one was aborted: the blob is garbage by its row,
/// and referred to. A second blob is garbage indeed.
fn half_aborted(fixture: &Fixture) -> (Upload, [u8; 32]) {
    let [kept, aborted] = ["kept", "aborted"].map(|key| fixture.initiate(key));
    let content = fixture.put(&kept, 1, b"bytes").content;
    fixture.put(&aborted, 1, b"bytes");
    fixture.put(&aborted, 2, b"garbage indeed");
    fixture.store.abort_upload(&aborted).unwrap();
    (kept, *content.as_bytes())
}

/// Opens a store whose index has lost rows without noticing.
fn reopen_without(fixture: &mut Fixture, tree: (&str, u8), content: &[u8; 32]) {
    fixture.store.close().unwrap();
    lose(&fixture.root(), tree, content);
    fixture.store = fixture.options.clone().open(fixture.root()).unwrap();
    assert_eq!(fixture.store.recovery().index, IndexRecovery::Trusted);
}

/// The sweep found out: no file was removed, nothing is acknowledged, and the next open is right.
fn assert_stopped_and_whole(fixture: &mut Fixture, kept: &Upload, files: usize) {
    assert_eq!(fixture.blob_files().len(), files, "no file was removed");
    let put = fixture.store.put_part(kept, number(2), "more");
    assert_eq!(refusal(put), ("ServiceUnavailable", 503));
    assert!(fixture.store.sweep().is_err());
    assert!(fixture.store.close().is_err());
    assert_eq!(fixture.blob_files().len(), files, "no file was removed");

    fixture.store = fixture.options.clone().open(fixture.root()).unwrap();
    assert!(matches!(
        fixture.store.recovery().index,
        IndexRecovery::Rebuilt { .. }
    ));
    assert_eq!(read_part(&fixture.store, kept, number(1)), b"bytes");
    fixture.put(kept, 2, b"more");
    fixture.assert_tidy();
    assert_eq!(fixture.blob_files().len(), 2);
    assert!(fixture.store.verify(Scope::Everything).unwrap().is_clean());
}

fn assert_tells_of_lost_rows(store: &PartStore) {
    let error = store.sweep().unwrap_err();
    assert!(matches!(error, Error::Index { .. }), "{error:?}");
    let said = error.to_string();
    assert!(said.contains("has lost rows"), "{said}");
    assert!(
        said.contains("open it again"),
        "it names the remedy: {said}"
    );
}

/// I4
#[test]
fn a_blob_whose_reference_the_index_has_lost_is_not_removed() {
    let mut fixture = Fixture::new();
    let (kept, content) = half_aborted(&fixture);
    reopen_without(&mut fixture, REFS_TREE, &content);
    assert_tells_of_lost_rows(&fixture.store);
    assert_stopped_and_whole(&mut fixture, &kept, 2);
}

/// I4: what stands in a layer needs no row in the index.
#[test]
fn a_reference_that_rests_in_a_layer_counts_without_the_index() {
    let mut fixture = Fixture::with(free_options().journal_sizes(4096, 8192));
    let (kept, content) = half_aborted(&fixture);
    let other = fixture.initiate("other");
    for at in 0..40_u32 {
        fixture.put(&other, 1, &at.to_be_bytes());
    }
    fixture.store.abort_upload(&other).unwrap();
    assert!(fixture.store.maintain().unwrap().checkpoint);
    // Garbage again, and known to be looked at by the sweep.
    let again = fixture.initiate("again");
    fixture.put(&again, 1, b"bytes");
    fixture.put(&again, 2, b"garbage indeed");
    fixture.store.abort_upload(&again).unwrap();
    fixture.store.close().unwrap();
    let db = sled::open(fixture.root().join("meta/index")).unwrap();
    let (name, _) = REFS_TREE;
    let references = db.open_tree(name).unwrap();
    let rows: Vec<_> = references.scan_prefix(content).collect();
    assert!(rows.iter().all(|row| row.as_ref().unwrap().1.is_empty()));
    drop((references, db));
    fixture.store = fixture.options.clone().open(fixture.root()).unwrap();
    assert_eq!(fixture.store.recovery().index, IndexRecovery::Trusted);
    assert_eq!(fixture.store.sweep().unwrap().blobs, 1);
    assert_eq!(read_part(&fixture.store, &kept, number(1)), b"bytes");
    assert!(fixture.store.verify(Scope::Everything).unwrap().is_clean());
}

/// I1: the blob of a refused put is removed for want of a record.
#[test]
fn a_blob_whose_record_the_index_has_lost_is_not_removed_when_a_put_of_its_bytes_is_refused() {
    let mut fixture = Fixture::new();
    let (kept, content) = half_aborted(&fixture);
    fixture.store.sweep().unwrap();
    reopen_without(&mut fixture, BLOBS_TREE, &content);
    let refused = fixture.initiate("refused");
    let mut writer = fixture
        .store
        .part_writer(&refused, number(1), PartOptions::new())
        .unwrap();
    writer.append(b"bytes").unwrap();
    fixture.store.abort_upload(&refused).unwrap();
    assert_eq!(refusal(writer.finish()), ("NoSuchUpload", 404));
    assert_tells_of_lost_rows(&fixture.store);
    assert_stopped_and_whole(&mut fixture, &kept, 1);
}

/// The housekeeping thread asks the truth, too, and says what it found.
#[test]
fn the_background_sweep_removes_nothing_on_the_word_of_the_index_alone() {
    let mut fixture = Fixture::new();
    let (kept, content) = half_aborted(&fixture);
    fixture.options = free_options().background(Background::Thread);
    reopen_without(&mut fixture, REFS_TREE, &content);
    crate::background::wait_until("it says so", || {
        let failure = fixture.store.stats().unwrap().background_failure;
        failure.is_some_and(|said| said.contains("has lost rows"))
    });
    fixture.options = free_options();
    assert_stopped_and_whole(&mut fixture, &kept, 2);
}
