//! Copying parts: another reference to the same bytes, and none of them is moved.

use std::collections::BTreeSet;
use std::os::unix::fs::MetadataExt;
use std::sync::Mutex;

use partstore::{Error, ListParts, MinimumAt, Options, Part, PartReader, PartStore, Upload};

use crate::concurrency::assert_sound;
use crate::dedup::DAMAGES;
use crate::fixture::{
    Fixture, bytes, free_options, lines, number, race, read_object, read_part, refusal,
};

fn open(fixture: &Fixture, upload: &Upload, at: u32) -> PartReader {
    fixture.store.open_part(upload, number(at)).unwrap()
}

fn copy(fixture: &Fixture, source: &PartReader, upload: &Upload, at: u32) -> Part {
    fixture.store.copy_part(source, upload, number(at)).unwrap()
}

/// `part` under another number, put at another time.
fn assert_is_copy(copy: &Part, part: &Part, at: u32) {
    let mut expected = part.clone();
    expected.number = number(at);
    expected.stored_at = copy.stored_at;
    assert_eq!(copy, &expected);
    assert!(copy.stored_at >= part.stored_at);
}

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

/// What a server does for "Put Object - Copy".
#[test]
fn an_object_that_is_copied_part_by_part_has_the_same_etag() {
    let fixture = Fixture::new();
    let bodies = [bytes(1, 300_000), bytes(2, 5)];
    let object = fixture.complete("source", &[&bodies[0], &bodies[1]]);
    let reader = fixture.store.open_object(&object.upload).unwrap();
    let target = fixture.initiate("target");
    let copied: Vec<Part> = reader
        .parts()
        .iter()
        .map(|placed| {
            let part = reader.part(placed.part.number).unwrap();
            copy(&fixture, &part, &target, placed.part.number.get().into())
        })
        .collect();
    let list = lines(&copied);
    let made = fixture.store.complete_upload(&target, &list).unwrap();
    assert_eq!(
        (made.etag, made.size, made.checksums),
        (object.etag, object.size, object.checksums)
    );
    drop(reader);
    fixture.store.remove_object(&object.upload).unwrap();
    fixture.assert_tidy();
    assert!(read_object(&fixture.store, &target) == bodies.concat());
}

/// I4: the reader holds the bytes before the copy, the new part afterwards.
#[test]
fn a_source_that_goes_is_copied_while_its_reader_lives() {
    let fixture = Fixture::new();
    let body = bytes(1, 300_000);
    let target = fixture.initiate("target");
    let source = fixture.initiate("source");
    fixture.put(&source, 1, &body);
    let replaced = || {
        fixture.put(&source, 1, &body);
        let reader = open(&fixture, &source, 1);
        fixture.put(&source, 1, b"another");
        reader
    };
    let removed = || {
        let object = fixture.complete("object", &[&body]).upload;
        let reader = fixture.store.open_object(&object).unwrap();
        fixture.store.remove_object(&object).unwrap();
        reader.part(number(1)).unwrap()
    };
    let sources: [&dyn Fn() -> PartReader; 2] = [&replaced, &removed];
    for (at, source) in (1..).zip(sources) {
        let reader = source();
        fixture.store.sweep().unwrap();
        copy(&fixture, &reader, &target, at);
        fixture.store.sweep().unwrap();
        drop(reader);
        fixture.assert_tidy();
        assert!(read_part(&fixture.store, &target, number(at)) == body);
        let killed = fixture.open_killed();
        assert!(read_part(&killed, &target, number(at)) == body);
        fixture.put(&target, at, b"another");
        fixture.assert_tidy();
    }
    fixture.assert_tidy();
    assert_eq!(fixture.blob_files().len(), 1, "only the other part's");
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

#[test]
fn a_part_that_is_copied_onto_itself_keeps_its_bytes() {
    let mut fixture = Fixture::new();
    let upload = fixture.initiate("key");
    let part = fixture.put(&upload, 1, b"bytes");
    let copied = copy(&fixture, &open(&fixture, &upload, 1), &upload, 1);
    assert_is_copy(&copied, &part, 1);
    assert_eq!(fixture.store.sweep().unwrap().blobs, 0);
    fixture.reopen();
    fixture.assert_tidy();
    assert_eq!(fixture.parts(&upload), [copied]);
    assert_eq!(read_part(&fixture.store, &upload, number(1)), b"bytes");
}

/// R9, R10: as for a put.
#[test]
fn a_copy_to_an_upload_that_is_not_open_is_refused() {
    let fixture = Fixture::new();
    let source = fixture.initiate("source");
    fixture.put(&source, 1, b"copied");
    let reader = open(&fixture, &source, 1);
    let aborted = fixture.initiate("aborted");
    fixture.store.abort_upload(&aborted).unwrap();
    let completed = fixture.complete("completed", &[b"listed"]).upload;
    let another = Upload::new("another", source.id());
    for upload in [&aborted, &completed, &another] {
        let answer = fixture.store.copy_part(&reader, upload, number(1));
        assert_eq!(refusal(answer), ("NoSuchUpload", 404));
    }
    drop(reader);
    assert_eq!(read_object(&fixture.store, &completed), b"listed");
    fixture.assert_tidy();
    assert_eq!(fixture.store.stats().unwrap().parts, 2);
}

/// I4: its pin would hold nothing, also if the bytes are there.
#[test]
fn a_reader_of_another_store_is_refused() {
    let mut fixture = Fixture::new();
    let upload = fixture.initiate("key");
    fixture.put(&upload, 1, b"bytes");
    let other = Fixture::new();
    let elsewhere = other.initiate("key");
    other.put(&elsewhere, 1, b"bytes");
    let before_close = open(&fixture, &upload, 1);
    let handle = fixture.store.clone();
    copy(&fixture, &before_close, &upload, 2);
    handle.copy_part(&before_close, &upload, number(3)).unwrap();
    fixture.reopen();
    let parts = fixture.parts(&upload);
    for foreign in [&open(&other, &elsewhere, 1), &before_close] {
        let answer = fixture.store.copy_part(foreign, &upload, number(1));
        let Err(Error::InvalidArgument { argument, .. }) = &answer else {
            panic!("{answer:?}");
        };
        assert_eq!(*argument, "source");
        assert_eq!(refusal(answer), ("InvalidArgument", 400));
    }
    let closed = handle.copy_part(&before_close, &upload, number(1));
    assert!(matches!(closed, Err(Error::Closed)), "{closed:?}");
    assert_eq!(fixture.parts(&upload), parts);
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

/// R1, R3, R4: limits may have been lowered since the source was put.
#[test]
fn a_copy_heeds_the_limits_of_a_put() {
    let mut fixture = Fixture::new();
    let upload = fixture.initiate("key");
    for (at, len) in [(1, 1000), (2, 1001), (3, 0)] {
        fixture.put(&upload, at, &bytes(1, len));
    }
    let mut assert_limits = |options: Options, answers: [&str; 3], at: u32| {
        fixture.options = options;
        fixture.reopen();
        for (from, expected) in (1..).zip(answers) {
            let reader = open(&fixture, &upload, from);
            let answer = fixture.store.copy_part(&reader, &upload, number(at));
            let found = answer.map_or_else(|error| error.code(), |_| "");
            assert_eq!(found, expected, "part {from} to {at}");
        }
        fixture.assert_tidy();
    };
    let largest = free_options().max_part_size(1000);
    assert_limits(largest, ["", "EntityTooLarge", ""], 10);
    let least = free_options().min_part_size(1001);
    let least = least.min_part_size_at(MinimumAt::Put);
    let small = "EntityTooSmall";
    assert_limits(least, [small, "", small], 10);
    assert_limits(free_options().max_part_number(number(10)), [""; 3], 10);
    let few = free_options().max_part_number(number(9));
    assert_limits(few, ["InvalidArgument"; 3], 10);
    let headroom = free_options().headroom(1 << 60);
    assert_limits(headroom, ["ServiceUnavailable"; 3], 10);
}

/// R11: copies and puts to one number have one order.
#[test]
fn copies_among_puts_to_one_number_leave_one_of_them() {
    let fixture = Fixture::new();
    let upload = fixture.initiate("key");
    let body = |thread: usize| bytes(thread as u64 % 3, 3000);
    for thread in 0..3 {
        fixture.put(&upload, 1 + thread, &body(thread as usize));
    }
    let last = race(12, |thread| {
        let make = |_| {
            if thread < 6 {
                return fixture.put(&upload, 10, &body(thread));
            }
            let from = u32::try_from(thread % 3).unwrap();
            let source = open(&fixture, &upload, 1 + from);
            copy(&fixture, &source, &upload, 10)
        };
        (0..30).map(make).collect::<Vec<Part>>().pop().unwrap()
    });
    let there = fixture.parts(&upload).pop().unwrap();
    assert!(last.contains(&there), "the last one of some thread");
    assert_sound(&fixture);
}

/// Puts of the same new bytes each give their file the one name: what is copied in the meantime is sound.
#[test]
fn bytes_that_others_put_at_the_same_time_are_not_called_damaged() {
    let fixture = Fixture::new();
    let upload = fixture.initiate("key");
    for round in 0..60 {
        let body = bytes(round, 3000);
        race(8, |thread| {
            let at = u32::try_from(thread).unwrap() + 1;
            fixture.put(&upload, at, &body);
            let source = open(&fixture, &upload, at);
            for _ in 0..3 {
                copy(&fixture, &source, &upload, 100 + at);
            }
        });
        assert_sound(&fixture);
        assert_eq!(fixture.blob_files().len(), 1);
        assert_eq!(fixture.store.stats().unwrap().damaged_blobs, 0);
    }
}

/// R28, I6: an upload that ends in the meantime takes no copy, and whichever comes first, nothing is left of it.
#[test]
fn a_copy_among_aborts_and_sweeps_is_whole_or_refused() {
    for _ in 0..20 {
        let fixture = Fixture::new();
        let [source, target] = ["source", "target"].map(|key| fixture.initiate(key));
        fixture.put(&source, 1, &bytes(1, 3000));
        let ended = fixture.initiate("ended");
        let readers = [(); 4].map(|()| open(&fixture, &source, 1)).map(Some);
        let readers = Mutex::new(readers);
        race(6, |thread| match thread {
            4 => fixture.store.abort_upload(&source).unwrap(),
            5 => fixture.store.abort_upload(&ended).unwrap(),
            _ => {
                let reader = readers.lock().unwrap()[thread].take().unwrap();
                fixture.store.sweep().unwrap();
                copy(&fixture, &reader, &target, 1);
                if let Err(error) = fixture.store.copy_part(&reader, &ended, number(1)) {
                    assert_eq!(error.code(), "NoSuchUpload");
                }
                drop(reader);
                fixture.store.sweep().unwrap();
            }
        });
        assert_sound(&fixture);
        assert_eq!(fixture.blob_files().len(), 1);
        let parts = fixture.store.stats().unwrap().parts;
        assert_eq!(parts, 1, "the one copy that nobody aborted");
    }
}
