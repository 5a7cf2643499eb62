//! Completing in place of an object: the new one comes and the old one goes in one commit.

use super::concurrency::assert_sound;
use crate::support::{Fixture, bytes, free_options, lines, number, race, read_object, refusal};
use partstore::{
    CompletedPart, Error, ListObjects, Object, Options, Part, PartStore, Result, Upload,
};
use std::collections::BTreeSet;
use std::io::Read;

pub const NO_OBJECT: (&str, u16) = ("NoSuchKey", 404);

const NO_UPLOAD: (&str, u16) = ("NoSuchUpload", 404);

/// An object, and an upload that is about to take its place.
pub struct Successor {
    pub old: Object,
    pub upload: Upload,
    pub list: Vec<CompletedPart>,
}

impl Successor {
    pub fn put(fixture: &Fixture, old: &[&[u8]], new: &[&[u8]]) -> Self {
        let old = fixture.complete("key", old);
        let (upload, list) = put_all(fixture, new);
        Self { old, upload, list }
    }

    pub fn replace(&self, store: &PartStore) -> Result<Object> {
        store.complete_upload_replacing(&self.upload, &self.list, &self.old.upload)
    }

    /// Whether the old and the new object are there; one of them is open for reading or neither is.
    pub fn there(&self, store: &PartStore) -> (bool, bool) {
        let is_there = |object: &Upload| match store.open_object(object) {
            Ok(mut reader) => {
                reader.read_to_end(&mut Vec::new()).unwrap();
                true
            }
            Err(error) => {
                assert_eq!((error.code(), error.http_status()), NO_OBJECT);
                false
            }
        };
        (is_there(&self.old.upload), is_there(&self.upload))
    }
}

/// An open upload with these parts, all of them listed.
pub fn put_all(fixture: &Fixture, bodies: &[&[u8]]) -> (Upload, Vec<CompletedPart>) {
    let upload = fixture.initiate("key");
    let put = |(at, body): (u32, &&[u8])| fixture.put(&upload, at, body);
    let parts: Vec<Part> = (1..).zip(bodies).map(put).collect();
    (upload, lines(&parts))
}

fn names(parts: &[Part]) -> BTreeSet<String> {
    parts.iter().map(|part| part.content.to_string()).collect()
}

/// Metadata in several rows goes along, and what was not listed (R24).
pub fn a_new_object_takes_the_place_of_the_old_one_and_nothing_else_is_left() {
    let mut fixture = Fixture::new();
    let store = &fixture.store;
    let old = store.initiate_upload_with("key", bytes(9, 8000)).unwrap();
    let list = lines(&[fixture.put(&old, 1, b"old"), fixture.put(&old, 2, b"bytes")]);
    store.complete_upload(&old, &list).unwrap();
    let upload = store.initiate_upload_with("key", b"metadata").unwrap();
    let parts = [1, 2, 3].map(|at| fixture.put(&upload, at, &bytes(at.into(), 1000)));
    let object = store
        .complete_upload_replacing(&upload, &lines(&parts[1..]), &old)
        .unwrap();
    assert_eq!((object.size, object.parts), (2000, 2));
    assert_eq!(
        (&object.upload, &object.metadata[..]),
        (&upload, &b"metadata"[..])
    );
    assert_eq!(refusal(store.object(&old)), NO_OBJECT);
    assert_eq!(refusal(store.remove_object(&old)), NO_OBJECT);
    assert_eq!(
        store.sweep().unwrap().blobs,
        3,
        "two old ones and an unlisted one"
    );
    for _ in 0..2 {
        let listed = fixture
            .store
            .list_objects(&ListObjects::new().limit(10))
            .unwrap()
            .objects;
        assert_eq!(listed, std::slice::from_ref(&object));
        let read = read_object(&fixture.store, &upload);
        assert!(read == [bytes(2, 1000), bytes(3, 1000)].concat());
        assert_eq!(fixture.blob_files(), names(&parts[1..]));
        fixture.assert_tidy();
        fixture.reopen();
    }
    fixture.store.remove_object(&upload).unwrap();
    fixture.assert_tidy();
    assert_eq!(fixture.store.stats().unwrap().index_rows, 0);
}

/// I2: what was answered is there after a `kill -9`.
pub fn a_replacement_that_was_answered_outlives_a_kill() {
    let fixture = Fixture::new();
    let successor = Successor::put(&fixture, &[b"old"], &[b"new", b"bytes"]);
    let before = fixture.open_killed();
    assert_eq!(successor.there(&before), (true, false));
    let object = successor.replace(&fixture.store).unwrap();
    let after = fixture.open_killed();
    assert_eq!(after.object(&successor.upload).unwrap(), object);
    assert_eq!(successor.there(&after), (false, true));
    // What a crash leaves of it is replaced by the same call.
    assert_eq!(successor.replace(&before).unwrap().etag, object.etag);
    assert_eq!(successor.there(&before), (false, true));
}

/// R25, R26: also when the replaced object has gone since, and after a restart.
pub fn the_same_replacement_again_answers_the_same_and_removes_nothing() {
    let mut fixture = Fixture::new();
    let successor = Successor::put(&fixture, &[b"old"], &[b"new", b"bytes"]);
    let other = fixture.complete("key", &[b"other"]);
    let object = successor.replace(&fixture.store).unwrap();
    let (upload, list) = (&successor.upload, &successor.list);
    let never = Upload::parse("key", &"1".repeat(74)).unwrap();
    for _ in 0..2 {
        let store = &fixture.store;
        assert_eq!(successor.replace(store).unwrap(), object);
        // It is the list that makes it the same.
        for replaced in [&other.upload, &never, upload] {
            let again = store.complete_upload_replacing(upload, list, replaced);
            assert_eq!(again.unwrap(), object, "{replaced:?}");
        }
        assert_eq!(store.complete_upload(upload, list).unwrap(), object);
        let another = store.complete_upload_replacing(upload, &list[..1], &other.upload);
        assert_eq!(refusal(another), NO_UPLOAD);
        assert_eq!(store.object(&other.upload).unwrap(), other);
        assert_eq!(store.stats().unwrap().objects, 2);
        fixture.assert_tidy();
        fixture.reopen();
    }
}

/// A completion that replaced nothing is not made to replace something by saying it again.
pub fn a_completion_that_is_repeated_as_a_replacement_removes_nothing() {
    let fixture = Fixture::new();
    let successor = Successor::put(&fixture, &[b"old"], &[b"new"]);
    let (upload, list) = (&successor.upload, &successor.list);
    let object = fixture.store.complete_upload(upload, list).unwrap();
    assert_eq!(successor.replace(&fixture.store).unwrap(), object);
    assert_eq!(successor.there(&fixture.store), (true, true));
}

/// R27: what refuses a completion refuses it before the object is looked for.
pub fn a_list_that_does_not_fit_replaces_nothing() {
    let fixture = Fixture::with(free_options().min_part_size(4));
    let store = &fixture.store;
    let successor = Successor::put(&fixture, &[b"old"], &[b"new", b"bytes", b"more"]);
    let (upload, list) = (&successor.upload, &successor.list);
    let of = |places: &[usize]| places.iter().map(|at| list[*at]).collect::<Vec<_>>();
    let never_put = CompletedPart::new(number(4), list[0].etag);
    let cases = [
        (vec![], "MalformedXML"),
        (of(&[2, 1]), "InvalidPartOrder"),
        (vec![list[2], never_put], "InvalidPart"),
        (of(&[0, 1]), "EntityTooSmall"),
    ];
    let never = Upload::parse("key", &"1".repeat(74)).unwrap();
    for (list, code) in cases {
        for replaced in [&successor.old.upload, &never] {
            let answer = store.complete_upload_replacing(upload, &list, replaced);
            assert_eq!(answer.unwrap_err().code(), code);
        }
        assert_eq!(successor.there(store), (true, false));
        assert_eq!(fixture.parts(upload).len(), 3);
    }
    let other_key = Upload::new("other", upload.id());
    let answer = store.complete_upload_replacing(&other_key, list, &successor.old.upload);
    assert_eq!(refusal(answer), NO_UPLOAD, "R9");
    store.abort_upload(upload).unwrap();
    assert_eq!(refusal(successor.replace(store)), NO_UPLOAD);
    assert_eq!(successor.there(store), (true, false));
}

/// I4: bytes that the new object has, too, by a put or a copy, listed; and bytes that only what was not
/// listed shares with the old one go.
pub fn bytes_that_both_objects_have_stay() {
    let fixture = Fixture::new();
    let bodies: Vec<Vec<u8>> = (0..6).map(|seed| bytes(seed, 3000)).collect();
    let old: Vec<&[u8]> = bodies[..5].iter().map(Vec::as_slice).collect();
    let old = fixture.complete("key", &old).upload;
    let reader = fixture.store.open_object(&old).unwrap();
    let upload = fixture.initiate("key");
    let copy = |from: u32, to: u32| {
        let source = reader.part(number(from)).unwrap();
        fixture
            .store
            .copy_part(&source, &upload, number(to))
            .unwrap()
    };
    let parts = [
        fixture.put(&upload, 1, &bodies[0]),
        copy(2, 2),
        fixture.put(&upload, 3, &bodies[5]),
        copy(1, 4),
    ];
    // Not listed: of one body the old object has the only other part, of the other the new one has one.
    copy(3, 5);
    copy(1, 6);
    drop(reader);
    let list = lines(&parts);
    let replaced = fixture
        .store
        .complete_upload_replacing(&upload, &list, &old);
    replaced.unwrap();
    assert_eq!(fixture.store.sweep().unwrap().blobs, 3);
    assert_eq!(fixture.blob_files(), names(&parts));
    fixture.assert_tidy();
    let expected = [&bodies[0][..], &bodies[1], &bodies[5], &bodies[0]].concat();
    assert!(read_object(&fixture.store, &upload) == expected);
    let killed = fixture.open_killed();
    killed.sweep().unwrap();
    assert!(read_object(&killed, &upload) == expected);
}

/// I4, I7: and when they have gone their bytes go.
pub fn readers_of_the_replaced_object_go_on() {
    let fixture = Fixture::new();
    let body = bytes(1, 600_000);
    let successor = Successor::put(&fixture, &[&body, b"end"], &[b"new"]);
    let mut reader = fixture.store.open_object(&successor.old.upload).unwrap();
    let mut part = reader.part(number(2)).unwrap();
    successor.replace(&fixture.store).unwrap();
    let swept = fixture.store.sweep().unwrap();
    assert_eq!((swept.blobs, swept.in_use), (0, 2));
    let (mut whole, mut end) = (Vec::new(), Vec::new());
    reader.read_to_end(&mut whole).unwrap();
    part.read_to_end(&mut end).unwrap();
    assert!(whole == [&body[..], b"end"].concat() && end == b"end");
    drop((reader, part));
    assert_eq!(fixture.store.sweep().unwrap().blobs, 2);
    fixture.assert_tidy();
    assert_eq!(fixture.blob_files().len(), 1);
}

/// Of servers that all believe the same object to be the current one, one is right.
pub fn of_concurrent_replacements_of_one_object_exactly_one_wins() {
    for _ in 0..20 {
        let fixture = Fixture::new();
        let body = |thread: usize| bytes(1 + thread as u64, 3000);
        let old: Vec<Vec<u8>> = (0..50).map(|at| vec![at]).collect();
        let old: Vec<&[u8]> = old.iter().map(Vec::as_slice).collect();
        let old = fixture.complete("key", &old).upload;
        let ready: Vec<_> = (0..8)
            .map(|thread| put_all(&fixture, &[&body(thread)]))
            .collect();
        let store = &fixture.store;
        let won = race(8, |thread| {
            let (upload, list) = &ready[thread];
            match store.complete_upload_replacing(upload, list, &old) {
                Ok(_) => {
                    assert!(read_object(store, upload) == body(thread));
                    true
                }
                Err(error) => {
                    assert!(matches!(error, Error::NoSuchObject { .. }), "{error}");
                    assert_eq!(fixture.parts(upload).len(), 1, "it stays open");
                    false
                }
            }
        });
        assert_eq!(won.into_iter().filter(|won| *won).count(), 1);
        assert_eq!(store.stats().unwrap().objects, 1);
        assert_sound(&fixture);
        assert_eq!(
            fixture.blob_files().len(),
            8,
            "of the object and of what is open"
        );
    }
}

/// R26
pub fn the_same_replacement_at_once_answers_the_one_object() {
    for _ in 0..10 {
        let fixture = Fixture::new();
        let successor = Successor::put(&fixture, &[b"old"], &[b"new", b"bytes"]);
        let objects = race(12, |_| successor.replace(&fixture.store).unwrap());
        assert!(objects.iter().all(|object| *object == objects[0]));
        assert_eq!(successor.there(&fixture.store), (false, true));
        assert_sound(&fixture);
    }
}

/// Each names the other's upload: whoever waits for one lock must not hold the one that the other wants.
pub fn replacements_that_name_each_other_do_not_wait_for_each_other() {
    let fixture = Fixture::new();
    let store = &fixture.store;
    let both: Vec<_> = (0..40).map(|at| put_all(&fixture, &[&[at]])).collect();
    for pair in both.chunks(2) {
        let [one, other] = pair else { unreachable!() };
        let answers = race(8, |thread| {
            let ((upload, list), (replaced, _)) = match thread % 2 {
                0 => (one, other),
                _ => (other, one),
            };
            let replace = |_| store.complete_upload_replacing(upload, list, replaced);
            (0..200).filter_map(|at| replace(at).err()).all(|error| {
                matches!(
                    error,
                    Error::NoSuchObject { .. } | Error::NoSuchUpload { .. }
                )
            })
        });
        assert!(answers.into_iter().all(|as_expected| as_expected));
        store.complete_upload(&one.0, &one.1).unwrap();
        let replaced = race(2, |thread| match thread {
            0 => store.complete_upload_replacing(&other.0, &other.1, &one.0),
            _ => store.complete_upload_replacing(&one.0, &one.1, &other.0),
        });
        assert!(replaced[0].is_ok());
        assert_eq!(refusal(store.object(&one.0)), NO_OBJECT);
    }
    assert_eq!(store.stats().unwrap().objects, 20);
    assert_sound(&fixture);
}

/// A name that one call after the other gives a new object has one at every moment.
pub fn a_name_that_is_given_new_objects_has_one_whenever_it_is_looked_at() {
    let fixture = Fixture::with(Options::cos().min_part_size(0));
    let first = fixture.complete("key", &[b"0"]).upload;
    let done = std::sync::atomic::AtomicBool::new(false);
    race(3, |thread| {
        let ordering = std::sync::atomic::Ordering::Relaxed;
        if thread > 0 {
            while !done.load(ordering) {
                // Ids ascend, and so does the listing: it may see an object and then its successor.
                let listed = fixture
                    .store
                    .list_objects(&ListObjects::new().limit(10))
                    .unwrap()
                    .objects;
                assert!(!listed.is_empty(), "neither the old nor the new one");
            }
            return;
        }
        (1..100).fold(first.clone(), |current, at| {
            let (upload, list) = put_all(&fixture, &[&[at]]);
            let store = &fixture.store;
            let replaced = store.complete_upload_replacing(&upload, &list, &current);
            replaced.unwrap().upload
        });
        done.store(true, ordering);
    });
    assert_eq!(fixture.store.stats().unwrap().objects, 1);
    assert_sound(&fixture);
}

pub fn a_closed_store_replaces_nothing() {
    let mut fixture = Fixture::new();
    let successor = Successor::put(&fixture, &[b"old"], &[b"new"]);
    fixture.store.close().unwrap();
    let closed = successor.replace(&fixture.store);
    assert!(matches!(closed, Err(Error::Closed)), "{closed:?}");
    fixture.reopen();
    assert_eq!(successor.there(&fixture.store), (true, false));
    successor.replace(&fixture.store).unwrap();
}
