//! Copying parts: another reference to the same bytes, and none of them is moved.

use crate::dedup::DAMAGES;
use crate::fixture::{Fixture, bytes, lines, number, read_part};
use partstore::{Error, ListParts, Part, PartReader, PartStore};
pub use partstore_contract::cases::copy::{assert_is_copy, copy, open};
use std::collections::BTreeSet;
use std::os::unix::fs::MetadataExt;

/// What shows that nobody wrote or replaced a blob: names, inodes and times.
fn blob_facts(fixture: &Fixture) -> BTreeSet<(u64, i64, i64)> {
    let parts = fixture.blob_files();
    let facts = parts.iter().map(|name| {
        let path = fixture.root().join("blobs").join(&name[..2]).join(name);
        let facts = path.metadata().unwrap();
        (facts.ino(), facts.mtime(), facts.mtime_nsec())
    });
    facts.collect()
}

/// R12, I2: of any size, from an open upload and from an object, also after a `kill -9`.
#[test]
fn a_copied_part_has_the_bytes_and_digests_of_its_source_and_takes_no_new_blob() {
    let mut fixture = Fixture::new();
    let source = fixture.initiate("source");
    let bodies = [0, 1, 262_144, 600_000].map(|len| bytes(len as u64, len));
    let parts: Vec<Part> = (1..)
        .zip(&bodies)
        .map(|(at, body)| fixture.put(&source, at, body))
        .collect();
    let target = fixture.initiate("target");
    let blobs = blob_facts(&fixture);
    let copy_all = |fixture: &Fixture, from: &dyn Fn(u32) -> PartReader, above: u32| {
        for (at, part) in (1..).zip(&parts) {
            let made = copy(fixture, &from(at), &target, above + at);
            assert_is_copy(&made, part, above + at);
        }
    };
    copy_all(&fixture, &|at| open(&fixture, &source, at), 0);
    let list = lines(&parts);
    fixture.store.complete_upload(&source, &list).unwrap();
    let object = fixture.store.open_object(&source).unwrap();
    copy_all(&fixture, &|at| object.part(number(at)).unwrap(), 100);
    drop(object);

    let copied = fixture.parts(&target);
    assert_eq!(copied.len(), 2 * parts.len());
    let assert_there = |store: &PartStore| {
        let listed = store
            .list_parts(&target, &ListParts::new().limit(100))
            .unwrap()
            .parts;
        assert_eq!(listed, copied);
        for (part, body) in copied.iter().zip(bodies.iter().cycle()) {
            assert!(&read_part(store, &target, part.number) == body);
        }
    };
    assert_there(&fixture.open_killed());
    fixture.reopen();
    assert_there(&fixture.store);
    assert_eq!(blob_facts(&fixture), blobs);
    fixture.assert_tidy();
}

/// I7, R11
#[test]
fn the_bytes_of_a_part_that_a_copy_replaces_go() {
    let fixture = Fixture::new();
    let upload = fixture.initiate("key");
    let part = fixture.put(&upload, 1, b"copied");
    let replaced = fixture.put(&upload, 2, b"replaced");
    copy(&fixture, &open(&fixture, &upload, 1), &upload, 2);
    assert_eq!(fixture.store.sweep().unwrap().blobs, 1);
    assert!(!fixture.blob_path(&replaced.content).exists());
    assert_eq!(read_part(&fixture.store, &upload, number(2)), b"copied");
    assert_eq!(fixture.parts(&upload)[0], part);
    fixture.assert_tidy();
}

/// I5: what is on disk is looked at before a part is acknowledged that rests on it.
#[test]
fn a_damaged_blob_is_not_copied_until_its_bytes_are_put_again() {
    for (what, damage) in DAMAGES {
        let mut fixture = Fixture::new();
        let body = bytes(1, 600_000);
        let upload = fixture.initiate("key");
        let part = fixture.put(&upload, 1, &body);
        let before = fixture.put(&upload, 2, b"before");
        fixture.reopen();
        let reader = open(&fixture, &upload, 1);
        damage(&fixture.blob_path(&part.content));
        let answer = fixture.store.copy_part(&reader, &upload, number(2));
        let Err(Error::DamagedBlob { hash, .. }) = answer else {
            panic!("{what}: {answer:?}");
        };
        assert_eq!(hash, part.content);
        assert_eq!(fixture.store.stats().unwrap().damaged_blobs, 1, "{what}");
        assert_eq!(fixture.parts(&upload)[1], before, "{what}");
        fixture.put(&upload, 3, &body);
        copy(&fixture, &reader, &upload, 2);
        drop(reader);
        fixture.assert_tidy();
        assert!(read_part(&fixture.store, &upload, number(2)) == body);
    }
}
