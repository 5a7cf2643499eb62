//! A running store that finds its own journal or snapshot damaged.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use partstore::{
    CompletedPart, Error, ListParts, ListUploads, PartOptions, PartStore, Result, Scope,
};

use super::{Bench, Damage, blob_path, blobs_with_bytes};
use crate::fixture::{Fixture, bytes, files, free_options, number, race, read_part};
use crate::seen::{segments, tail};

/// The file that a refusal names.
fn named<T: std::fmt::Debug>(refused: Result<T>) -> PathBuf {
    match refused {
        Err(Error::Damaged { path, .. }) => path,
        other => panic!("{other:?}"),
    }
}

fn flip(path: &Path, at: usize) {
    let root = path.parent().unwrap();
    Damage::Flip { at, mask: 4 }.apply(root, Path::new(path.file_name().unwrap()));
}

/// A store whose journal is due for a snapshot, and one of its sealed segments.
fn due_for_a_snapshot() -> (Fixture, PathBuf) {
    let fixture = Fixture::with(free_options().journal_sizes(4096, 0));
    let upload = fixture.initiate("film");
    for round in 0..100 {
        fixture.put(&upload, round % 3 + 1, &bytes(u64::from(round), 100));
    }
    let sealed = segments(&fixture.root()).remove(1);
    (fixture, sealed)
}

#[test]
fn a_store_that_meets_its_own_damage_says_so_and_accepts_no_more() {
    let (mut fixture, sealed) = due_for_a_snapshot();
    let upload = fixture.initiate("other");
    let part = fixture.put(&upload, 1, b"part");
    assert!(fixture.store.stats().unwrap().damaged_files.is_empty());
    flip(&sealed, 100);
    assert_eq!(named(fixture.store.maintain()), sealed);
    let known = fixture.store.stats().unwrap().damaged_files;
    assert_eq!(known.len(), 1);
    assert_eq!((&known[0].path, known[0].offset), (&sealed, 32));

    let store = &fixture.store;
    assert_eq!(named(store.initiate_upload("more")), sealed);
    assert_eq!(named(store.put_part(&upload, number(2), "more")), sealed);
    assert_eq!(
        named(store.part_writer(&upload, number(2), PartOptions::new())),
        sealed
    );
    assert_eq!(named(store.abort_upload(&upload)), sealed);
    let list = [CompletedPart::from(&part)];
    assert_eq!(named(store.complete_upload(&upload, &list)), sealed);
    assert_eq!(named(store.expire_uploads(Duration::ZERO)), sealed);
    assert_eq!(read_part(store, &upload, number(1)), b"part");
    assert_eq!(
        store
            .list_parts(&upload, &ListParts::new().limit(10))
            .unwrap()
            .parts,
        [part]
    );
    assert_eq!(named(store.close()), sealed);

    fixture.store = fixture.options.clone().open(fixture.root()).unwrap();
    let repaired = &fixture.store.recovery().repaired;
    assert_eq!(repaired[0].path, sealed);
    assert!(fixture.store.stats().unwrap().damaged_files.is_empty());
    fixture.store.complete_upload(&upload, &list).unwrap();
    fixture.assert_tidy();
    fixture.store.close().unwrap();
}

/// The file is whole again, and nobody looks: what is known to be damaged is not read at every put.
#[test]
fn damage_that_is_known_is_not_looked_for_again() {
    let (fixture, sealed) = due_for_a_snapshot();
    flip(&sealed, 100);
    assert_eq!(named(fixture.store.maintain()), sealed);
    flip(&sealed, 100);
    assert_eq!(named(fixture.store.maintain()), sealed);
    assert_eq!(named(fixture.store.initiate_upload("more")), sealed);
}

#[test]
fn verify_lists_each_damaged_file_and_goes_on() {
    let bench = Bench::closed();
    let root = bench.copy("verified");
    let store = bench.open(&root).unwrap();
    let damaged = [segments(&root).remove(0), tail(&root)];
    for file in &damaged {
        flip(file, 70);
    }
    let blob = blobs_with_bytes(&root).remove(0);
    fs::remove_file(root.join(blob_path(&blob))).unwrap();
    let report = store.verify(Scope::Everything).unwrap();
    let named: Vec<_> = report.files.iter().map(|file| file.path.clone()).collect();
    assert_eq!(named, damaged);
    assert_eq!(report.damaged.len(), 1);
    assert_eq!(report.damaged[0].hash.to_string(), blob);
    assert_eq!(report.damaged[0].parts.len(), bench.whole.holders(&blob));
    assert_eq!(report.parts, store.stats().unwrap().parts);
    assert!(!report.is_clean());
    assert_eq!(store.stats().unwrap().damaged_files, report.files);
}

/// What stands in the damaged block cannot be checked, and everything else is.
#[test]
fn verify_names_a_damaged_layer_and_goes_on() {
    let bench = Bench::closed();
    let root = bench.copy("layer");
    let store = bench.open(&root).unwrap();
    let layer = root.join(bench.snapshot());
    flip(&layer, 70);
    let blob = blobs_with_bytes(&root).remove(0);
    fs::remove_file(root.join(blob_path(&blob))).unwrap();
    let report = store.verify(Scope::Everything).unwrap();
    let told: Vec<_> = report.files.iter().map(|file| &file.path).collect();
    assert_eq!(told, [&layer]);
    assert_eq!(store.stats().unwrap().damaged_files, report.files);
    assert_eq!(named(store.initiate_upload("more")), layer);
}

/// What a commit must only subtract from the sums lies in the damaged block: the commit is kept, and it is the
/// last one.
#[test]
fn a_commit_that_meets_a_damaged_block_is_kept() {
    let mut fixture = Fixture::with(free_options().journal_sizes(4096, 0));
    let upload = fixture.initiate("film");
    let mut parts: Vec<_> = (1..=600)
        .map(|at| fixture.put(&upload, at, &bytes(u64::from(at), 100)))
        .collect();
    assert!(fixture.store.maintain().unwrap().checkpoint);
    let layer = files(&fixture.root().join("meta/snapshot")).pop_first();
    let layer = fixture.root().join("meta/snapshot").join(layer.unwrap());
    // Of all rows with this hash, the reference is the last one in the layer.
    parts.sort_by_key(|part| part.content);
    let replaced = &parts[300];
    let rows = fs::read(&layer).unwrap();
    let hash = replaced.content.as_bytes();
    let at = rows.windows(32).rposition(|window| window == hash).unwrap();
    flip(&layer, at);

    let number = u32::from(replaced.number.get());
    let part = fixture.put(&upload, number, b"in its place");
    let known = fixture.store.stats().unwrap().damaged_files;
    assert_eq!(known[0].path, layer);
    assert_eq!(named(fixture.store.initiate_upload("more")), layer);
    assert_eq!(
        read_part(&fixture.store, &upload, part.number),
        b"in its place"
    );
    assert_eq!(named(fixture.store.close()), layer);

    fs::write(&layer, rows).unwrap();
    fixture.store = fixture.options.clone().open(fixture.root()).unwrap();
    assert_eq!(
        read_part(&fixture.store, &upload, part.number),
        b"in its place"
    );
    assert_eq!(fixture.parts(&upload).len(), 600);
    fixture.assert_tidy();
}

fn put_until_refused(store: &PartStore, thread: usize, found: &AtomicBool) -> Vec<Vec<u8>> {
    let upload = store.initiate_upload(format!("upload-{thread}")).unwrap();
    let mut kept = Vec::new();
    for at in 1..=2000 {
        if at == 50 && thread == 0 {
            assert!(!store.verify(Scope::Metadata).unwrap().is_clean());
            found.store(true, Ordering::Relaxed);
        }
        let known = found.load(Ordering::Relaxed);
        let body = bytes(u64::from(at) * 8 + thread as u64, 50);
        match store.put_part(&upload, number(at), body.clone()) {
            Ok(_) => kept.push(body),
            Err(Error::Damaged { .. }) => return kept,
            Err(error) => panic!("{error}"),
        }
        assert!(!known, "accepted although the damage was known");
    }
    panic!("never refused");
}

/// What was under way when the damage was found is durable if it was acknowledged.
#[test]
fn nothing_that_was_acknowledged_before_the_damage_was_found_is_lost() {
    let (mut fixture, sealed) = due_for_a_snapshot();
    flip(&sealed, 100);
    let (store, found) = (&fixture.store, AtomicBool::new(false));
    let kept = race(4, |thread| put_until_refused(store, thread, &found));
    assert_eq!(named(fixture.store.close()), sealed);
    fixture.store = fixture.options.clone().open(fixture.root()).unwrap();
    for (thread, kept) in kept.iter().enumerate() {
        let key = format!("upload-{thread}");
        let page = fixture.store.list_uploads(&ListUploads::new()).unwrap();
        let upload = page
            .uploads
            .into_iter()
            .find(|info| info.upload.key() == key);
        let upload = upload.unwrap().upload;
        assert_eq!(fixture.parts(&upload).len(), kept.len());
        for (at, body) in (1..).zip(kept) {
            assert_eq!(read_part(&fixture.store, &upload, number(at)), *body);
        }
    }
    fixture.assert_tidy();
}
