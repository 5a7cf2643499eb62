//! Copying parts: another reference to the same bytes, and none of them is moved.

use super::concurrency::assert_sound;
use crate::support::{
    Fixture, bytes, free_options, lines, number, race, read_object, read_part, refusal,
};
use partstore::{Error, MinimumAt, Options, Part, PartReader, Upload};
use std::sync::Mutex;

pub fn open(fixture: &Fixture, upload: &Upload, at: u32) -> PartReader {
    fixture.store.open_part(upload, number(at)).unwrap()
}

pub fn copy(fixture: &Fixture, source: &PartReader, upload: &Upload, at: u32) -> Part {
    fixture.store.copy_part(source, upload, number(at)).unwrap()
}

/// `part` under another number, put at another time.
pub fn assert_is_copy(copy: &Part, part: &Part, at: u32) {
    let mut expected = part.clone();
    expected.number = number(at);
    expected.stored_at = copy.stored_at;
    assert_eq!(copy, &expected);
    assert!(copy.stored_at >= part.stored_at);
}

/// What a server does for "Put Object - Copy".
pub fn an_object_that_is_copied_part_by_part_has_the_same_etag() {
    let fixture = Fixture::new();
    let bodies = [bytes(1, 300_000), bytes(2, 5)];
    let object = fixture.complete("source", &[&bodies[0], &bodies[1]]);
    let reader = fixture.store.open_object(&object.upload).unwrap();
    let target = fixture.initiate("target");
    let copied: Vec<Part> = reader
        .parts()
        .map(|placed| {
            let placed = placed.unwrap();
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
pub fn a_source_that_goes_is_copied_while_its_reader_lives() {
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

pub fn a_part_that_is_copied_onto_itself_keeps_its_bytes() {
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
pub fn a_copy_to_an_upload_that_is_not_open_is_refused() {
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
pub fn a_reader_of_another_store_is_refused() {
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

/// R1, R3, R4: limits may have been lowered since the source was put.
pub fn a_copy_heeds_the_limits_of_a_put() {
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
}

/// R11: copies and puts to one number have one order.
pub fn copies_among_puts_to_one_number_leave_one_of_them() {
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
pub fn bytes_that_others_put_at_the_same_time_are_not_called_damaged() {
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
pub fn a_copy_among_aborts_and_sweeps_is_whole_or_refused() {
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
