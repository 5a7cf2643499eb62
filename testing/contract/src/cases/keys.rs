//! Keys and their current objects: put, completed, copied, replaced, removed, under conditions, one by one
//! and at the same time.

use crate::support::{Fixture, bytes, free_options, lines, race, read_object, refusal};
use partstore::{
    CompleteOptions, Condition, Error, Key, ListKeys, Object, ObjectETag, ObjectOptions,
    PartOptions, PartStore, Quota, Result, Scope,
};
use std::io::{Read, Write};

const NO_KEY: (&str, u16) = ("NoSuchKey", 404);

const FAILED: (&str, u16) = ("PreconditionFailed", 412);

fn read_key(store: &PartStore, key: impl Into<Key>) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    store.open_key(key)?.read_to_end(&mut bytes).unwrap();
    Ok(bytes)
}

fn only(condition: Condition) -> ObjectOptions {
    ObjectOptions::new().only(condition)
}

/// Everything that is stored belongs to something, and nothing is inconsistent.
fn assert_sound(fixture: &Fixture) {
    fixture.store.sweep().unwrap();
    let report = fixture.store.verify(Scope::Everything).unwrap();
    assert!(report.is_clean(), "{report:?}");
    fixture.assert_tidy();
}

/// Completes an upload of one body under a key.
fn complete(fixture: &Fixture, key: &str, body: &[u8], condition: Condition) -> Result<Object> {
    let upload = fixture.initiate(key);
    let part = fixture.put(&upload, 1, body);
    let options = CompleteOptions::new().make_current(condition);
    let done = fixture
        .store
        .complete_upload_with(&upload, &lines(&[part]), &options);
    if done.is_err() {
        fixture.store.abort_upload(&upload).unwrap();
    }
    done
}

pub fn an_object_that_is_put_is_found_by_its_key_also_after_a_kill() {
    let fixture = Fixture::new();
    let options = ObjectOptions::new().metadata("color=red");
    let object = fixture
        .store
        .put_object_with("key", &b"hello"[..], &options)
        .unwrap();
    assert_eq!(object.etag.to_string(), "5d41402abc4b2a76b9719d911017c592");
    assert_eq!((object.size, object.parts), (5, 1));
    assert_eq!(object.checksums.crc32(), Some(0x3610_a686));
    for store in [fixture.store.clone(), fixture.open_killed()] {
        let found = store.object_by_key("key").unwrap();
        assert_eq!(found, object);
        assert_eq!(found.metadata, b"color=red");
        assert_eq!(read_key(&store, "key").unwrap(), b"hello");
        assert_eq!(refusal(store.object_by_key("other")), NO_KEY);
        assert_eq!(refusal(store.open_key("ke")), NO_KEY);
    }
    assert_sound(&fixture);
}

pub fn a_stream_becomes_an_object_with_what_was_declared_behind_it() {
    let fixture = Fixture::new();
    let body = bytes(7, 3_000_000);
    let options = ObjectOptions::new().body(PartOptions::new().content_length(3_000_000));
    let mut writer = fixture.store.object_writer("key", options).unwrap();
    for chunk in body.chunks(77_777) {
        writer.write_all(chunk).unwrap();
    }
    let trailer =
        partstore::Checksums::new().with(partstore::Checksum::Crc32(crc32fast::hash(&body)));
    let object = writer.finish_with(&trailer).unwrap();
    assert_eq!(object.size, 3_000_000);
    assert_eq!(read_key(&fixture.store, "key").unwrap(), body);

    // What does not fit leaves the object as it is.
    let wrong = partstore::Checksums::new().with(partstore::Checksum::Crc32(1));
    let mut writer = fixture
        .store
        .object_writer("key", ObjectOptions::new())
        .unwrap();
    writer.write_all(b"other").unwrap();
    assert_eq!(refusal(writer.finish_with(&wrong)), ("BadDigest", 400));
    let short = ObjectOptions::new().body(PartOptions::new().content_length(9));
    let put = fixture.store.put_object_from("key", &b"short"[..], short);
    assert_eq!(refusal(put), ("IncompleteBody", 400));
    assert_eq!(fixture.store.object_by_key("key").unwrap(), object);
    drop(fixture.store.object_writer("key", ObjectOptions::new()));
    assert_sound(&fixture);
}

pub fn the_object_before_is_removed_with_the_put_that_replaces_it() {
    let fixture = Fixture::new();
    let first = fixture.store.put_object("key", "first").unwrap();
    let reader = fixture.store.open_key("key").unwrap();
    let second = complete(&fixture, "key", b"second", Condition::Always).unwrap();
    assert_ne!(first.upload, second.upload);
    assert_eq!(refusal(fixture.store.object(&first.upload)), NO_KEY);
    assert_eq!(fixture.store.object_by_key("key").unwrap(), second);
    assert_eq!(fixture.store.stats().unwrap().objects, 1);
    // Whoever reads it continues.
    fixture.store.sweep().unwrap();
    let mut bytes = Vec::new();
    { reader }.read_to_end(&mut bytes).unwrap();
    assert_eq!(bytes, b"first");
    assert_sound(&fixture);
}

pub fn a_completion_without_a_word_leaves_the_key_alone() {
    let fixture = Fixture::new();
    let current = fixture.store.put_object("key", "current").unwrap();
    let other = fixture.complete("key", &[b"other"]);
    assert_eq!(fixture.store.object_by_key("key").unwrap(), current);
    assert_eq!(read_object(&fixture.store, &other.upload), b"other");
    // Later it may take the key.
    fixture
        .store
        .make_current(&other.upload, Condition::Always)
        .unwrap();
    assert_eq!(fixture.store.object_by_key("key").unwrap(), other);
    assert_eq!(refusal(fixture.store.object(&current.upload)), NO_KEY);
    // Again changes nothing.
    fixture
        .store
        .make_current(&other.upload, Condition::Always)
        .unwrap();
    assert_eq!(fixture.store.object_by_key("key").unwrap(), other);
    assert_eq!(
        refusal(
            fixture
                .store
                .make_current(&current.upload, Condition::Always)
        ),
        NO_KEY
    );
    assert_sound(&fixture);
}

type Call<'a> = Box<dyn Fn(Condition) -> Result<()> + 'a>;

pub fn conditions_hold_for_every_call_that_takes_or_gives_up_a_key() {
    let fixture = Fixture::new();
    let store = &fixture.store;
    let nobody: ObjectETag = "00000000000000000000000000000000".parse().unwrap();
    let elsewhere = fixture.complete("elsewhere", &[b"e"]);
    let source = store.open_object(&elsewhere.upload).unwrap();
    let calls: [Call<'_>; 4] = [
        Box::new(|condition| {
            store
                .put_object_with("key", "put", &only(condition))
                .map(drop)
        }),
        Box::new(|condition| complete(&fixture, "key", b"completed", condition).map(drop)),
        Box::new(|condition| {
            store
                .copy_object(&source, "key", &only(condition))
                .map(drop)
        }),
        Box::new(|condition| {
            let object = fixture.complete("key", &[b"taken"]);
            let done = store.make_current(&object.upload, condition);
            if done.is_err() {
                store.remove_object(&object.upload).unwrap();
            }
            done
        }),
    ];
    for call in &calls {
        // No object.
        assert_eq!(refusal(call(Condition::IfMatch(nobody))), NO_KEY);
        assert_eq!(
            refusal(call(Condition::IfCurrent(elsewhere.upload.id()))),
            FAILED
        );
        assert_eq!(refusal(store.object_by_key("key")), NO_KEY);
        call(Condition::IfAbsent).unwrap();
        let first = store.object_by_key("key").unwrap();
        // An object.
        for refused in [
            Condition::IfAbsent,
            Condition::IfMatch(nobody),
            Condition::IfCurrent(elsewhere.upload.id()),
        ] {
            assert_eq!(refusal(call(refused)), FAILED);
            assert_eq!(store.object_by_key("key").unwrap(), first);
        }
        call(Condition::IfMatch(first.etag)).unwrap();
        let second = store.object_by_key("key").unwrap();
        assert_ne!(second.upload, first.upload);
        call(Condition::IfCurrent(second.upload.id())).unwrap();
        assert_ne!(store.object_by_key("key").unwrap().upload, second.upload);
        call(Condition::Always).unwrap();
        assert!(store.remove_key("key", Condition::Always).unwrap());
    }
    drop(calls);
    drop(source);
    assert_sound(&fixture);
}

pub fn a_key_is_removed_once_and_again_without_an_error() {
    let fixture = Fixture::new();
    let object = fixture.store.put_object("key", "bytes").unwrap();
    let other: ObjectETag = "00000000000000000000000000000000-2".parse().unwrap();
    let remove = |condition| fixture.store.remove_key("key", condition);
    assert_eq!(refusal(remove(Condition::IfMatch(other))), FAILED);
    assert_eq!(refusal(remove(Condition::IfAbsent)), FAILED);
    assert!(remove(Condition::IfMatch(object.etag)).unwrap());
    assert!(!remove(Condition::Always).unwrap());
    assert_eq!(refusal(remove(Condition::IfMatch(object.etag))), NO_KEY);
    assert_eq!(refusal(fixture.open_killed().object_by_key("key")), NO_KEY);
    // So does the removal of the object itself.
    let object = fixture.store.put_object("key", "bytes").unwrap();
    fixture.store.remove_object(&object.upload).unwrap();
    assert_eq!(refusal(fixture.store.object_by_key("key")), NO_KEY);
    assert_eq!(fixture.store.stats().unwrap().keys, 0);
    assert_sound(&fixture);
}

/// The list alone decides whether a completion is the same.
pub fn the_same_completion_again_gets_the_same_answer_whatever_its_condition() {
    let mut fixture = Fixture::new();
    let upload = fixture.initiate("key");
    let list = lines(&[fixture.put(&upload, 1, b"bytes")]);
    let absent = CompleteOptions::new().make_current(Condition::IfAbsent);
    let complete = |fixture: &Fixture| fixture.store.complete_upload_with(&upload, &list, &absent);
    let object = complete(&fixture).unwrap();
    assert_eq!(complete(&fixture).unwrap(), object);
    fixture.reopen();
    assert_eq!(complete(&fixture).unwrap(), object);
    // Replaced: it does not exist any more.
    fixture.store.put_object("key", "newer").unwrap();
    assert_eq!(refusal(complete(&fixture)), ("NoSuchUpload", 404));
    assert_eq!(read_key(&fixture.store, "key").unwrap(), b"newer");
}

pub fn a_refused_completion_leaves_upload_and_key() {
    let fixture = Fixture::new();
    let current = fixture.store.put_object("key", "current").unwrap();
    let upload = fixture.initiate("key");
    let list = lines(&[fixture.put(&upload, 1, b"bytes")]);
    let complete = |options| fixture.store.complete_upload_with(&upload, &list, &options);
    let absent = CompleteOptions::new().make_current(Condition::IfAbsent);
    assert_eq!(refusal(complete(absent)), FAILED);
    let always = || CompleteOptions::new().make_current(Condition::Always);
    assert_eq!(refusal(complete(always().size(6))), ("IncompleteBody", 400));
    let wrong = partstore::Checksum::Crc32(0);
    assert_eq!(
        refusal(complete(always().checksum(wrong))),
        ("BadDigest", 400)
    );
    assert_eq!(fixture.store.object_by_key("key").unwrap(), current);
    assert_eq!(fixture.parts(&upload).len(), 1);
    let right = partstore::Checksum::Crc32(crc32fast::hash(b"bytes"));
    let both = always().replacing(&current.upload);
    assert_eq!(refusal(complete(both)), ("InvalidArgument", 400));
    complete(always().size(5).checksum(right)).unwrap();
    assert_sound(&fixture);
}

pub fn replacing_an_object_by_name_gives_up_its_key() {
    let fixture = Fixture::new();
    let current = fixture.store.put_object("key", "current").unwrap();
    for key in ["key", "another"] {
        let current = match key {
            "key" => current.clone(),
            _ => fixture.store.put_object("key", "again").unwrap(),
        };
        let upload = fixture.initiate(key);
        let list = lines(&[fixture.put(&upload, 1, b"bytes")]);
        fixture
            .store
            .complete_upload_replacing(&upload, &list, &current.upload)
            .unwrap();
        assert_eq!(refusal(fixture.store.object_by_key("key")), NO_KEY, "{key}");
    }
    assert_sound(&fixture);
}

pub fn a_copy_has_the_bytes_of_its_source_and_outlives_it() {
    let fixture = Fixture::new();
    let store = &fixture.store;
    let parts: [&[u8]; 3] = [b"one", b"", b"three"];
    let object = fixture.complete("source", &parts);
    store
        .replace_metadata(&object.upload, "of the source")
        .unwrap();
    let source = store.open_object(&object.upload).unwrap();
    store.remove_object(&object.upload).unwrap();
    store.sweep().unwrap();
    let copy = store
        .copy_object(&source, "copy", &ObjectOptions::new())
        .unwrap();
    assert_eq!(
        (copy.etag, copy.size, copy.parts, copy.checksums),
        (object.etag, object.size, object.parts, object.checksums)
    );
    assert_eq!(copy.metadata, b"of the source");
    // Onto itself, with other metadata.
    drop(source);
    let source = store.open_key("copy").unwrap();
    let options = ObjectOptions::new().metadata("its own");
    let again = store.copy_object(&source, "copy", &options).unwrap();
    assert_eq!(again.metadata, b"its own");
    drop(source);
    store.sweep().unwrap();
    assert_eq!(read_key(store, "copy").unwrap(), b"onethree");
    assert_eq!(refusal(store.object(&copy.upload)), NO_KEY);
    // The reader of another store pins nothing here.
    let elsewhere = Fixture::new();
    elsewhere.store.put_object("key", "bytes").unwrap();
    let foreign = elsewhere.store.open_key("key").unwrap();
    let copied = store.copy_object(&foreign, "copy", &ObjectOptions::new());
    assert_eq!(refusal(copied), ("InvalidArgument", 400));
    assert_sound(&fixture);
}

pub fn metadata_is_replaced_longer_shorter_and_by_none() {
    let mut fixture = Fixture::with(free_options().max_metadata_len(64 * 1024));
    let object = fixture.store.put_object("key", "bytes").unwrap();
    for len in [0, 5, 3000, 3001, 65_536, 9000, 1, 0] {
        let metadata = bytes(len as u64, len);
        let changed = fixture
            .store
            .replace_metadata(&object.upload, metadata.clone())
            .unwrap();
        assert_eq!(changed.metadata, metadata);
        fixture.reopen();
        let found = fixture.store.object_by_key("key").unwrap();
        assert_eq!(found, changed);
        let listed = fixture.store.list_keys(&ListKeys::new()).unwrap().keys;
        assert_eq!(listed[0].modified_at, found.modified_at);
        assert_eq!(listed[0].id, object.upload.id());
    }
    let upload = fixture.initiate("open");
    let refused = fixture.store.replace_metadata(&upload, "m");
    assert_eq!(refusal(refused), NO_KEY);
    let long = fixture
        .store
        .replace_metadata(&object.upload, vec![0; 65_537]);
    assert_eq!(refusal(long), ("MetadataTooLarge", 400));
    assert_eq!(read_key(&fixture.store, "key").unwrap(), b"bytes");
    assert_sound(&fixture);
}

/// Whoever looks sees metadata as one call has set it, never pieces of two.
pub fn metadata_that_is_replaced_is_seen_whole() {
    let fixture = Fixture::with(free_options().max_metadata_len(64 * 1024));
    let whole = |seed: u8| vec![seed; 1000 + 5000 * usize::from(seed % 7)];
    let options = ObjectOptions::new().metadata(whole(0));
    let object = fixture
        .store
        .put_object_with("key", "bytes", &options)
        .unwrap();
    let done = std::sync::atomic::AtomicBool::new(false);
    let ordering = std::sync::atomic::Ordering::Relaxed;
    race(3, |thread| {
        if thread == 0 {
            for seed in 0..150 {
                let replaced = fixture.store.replace_metadata(&object.upload, whole(seed));
                replaced.unwrap();
            }
            done.store(true, ordering);
        }
        while !done.load(ordering) {
            let seen = [
                fixture.store.object_by_key("key").unwrap().metadata,
                fixture
                    .store
                    .open_key("key")
                    .unwrap()
                    .object()
                    .metadata
                    .clone(),
            ];
            for metadata in seen {
                assert_eq!(metadata, whole(metadata[0]));
            }
        }
    });
    assert_sound(&fixture);
}

pub fn of_many_that_want_no_object_one_succeeds() {
    let fixture = Fixture::new();
    for round in 0..20 {
        let key = format!("key-{round}");
        let done = race(4, |thread| match thread % 2 {
            0 => fixture
                .store
                .put_object_with(&key, bytes(thread as u64, 50), &only(Condition::IfAbsent))
                .map(|object| object.upload),
            _ => complete(
                &fixture,
                &key,
                &bytes(thread as u64, 50),
                Condition::IfAbsent,
            )
            .map(|object| object.upload),
        });
        let won: Vec<_> = done.iter().flatten().collect();
        assert_eq!(won.len(), 1, "{done:?}");
        for refused in done.iter().filter_map(|done| done.as_ref().err()) {
            assert!(
                matches!(refused, Error::PreconditionFailed { .. }),
                "{refused}"
            );
        }
        let current = fixture.store.object_by_key(&key).unwrap();
        assert_eq!(&current.upload, won[0]);
    }
    assert_eq!(fixture.store.stats().unwrap().objects, 20);
    assert_sound(&fixture);
}

/// While a key is given new objects, whoever reads it gets one of them, whole. Whoever compares and swaps
/// loses none of the others' changes.
pub fn a_key_that_is_replaced_has_one_whole_object_at_every_moment() {
    let fixture = Fixture::new();
    let body = |at: u8| vec![at; 300_000 + 1000 * usize::from(at)];
    fixture.store.put_object("key", body(0)).unwrap();
    let done = std::sync::atomic::AtomicUsize::new(0);
    let ordering = std::sync::atomic::Ordering::SeqCst;
    let swaps = race(4, |thread| {
        let mut swapped = 0;
        if thread < 2 {
            for at in 1..40 {
                let before = fixture.store.object_by_key("key").unwrap();
                let condition = Condition::IfCurrent(before.upload.id());
                let put = fixture
                    .store
                    .put_object_with("key", body(at), &only(condition));
                swapped += usize::from(put.is_ok());
            }
            done.fetch_add(1, ordering);
        }
        while done.load(ordering) < 2 {
            let read = read_key(&fixture.store, "key").unwrap();
            assert_eq!(read, body(read[0]));
            let page = fixture.store.list_keys(&ListKeys::new()).unwrap();
            assert_eq!(page.keys.len(), 1);
            fixture.store.sweep().unwrap();
        }
        swapped
    });
    assert!(swaps[0] > 0 && swaps[1] > 0, "{swaps:?}");
    assert_eq!(fixture.store.stats().unwrap().objects, 1);
    assert_sound(&fixture);
}

pub fn keys_that_are_no_keys_are_refused() {
    let fixture = Fixture::new();
    let store = &fixture.store;
    for (key, code) in [
        (String::new(), "InvalidArgument"),
        ("a\0b".to_owned(), "InvalidArgument"),
        ("k".repeat(1025), "KeyTooLong"),
    ] {
        assert_eq!(refusal(store.put_object(&key, "bytes")).0, code);
        assert_eq!(
            refusal(store.object_writer(&key, ObjectOptions::new())).0,
            code
        );
        assert_eq!(refusal(store.object_by_key(&key)), NO_KEY);
        assert!(!store.remove_key(&key, Condition::Always).unwrap());
    }
    let nowhere = refusal(store.put_object(("nowhere", "key"), "bytes"));
    assert_eq!(nowhere, ("NoSuchBucket", 404));
    for key in [
        "/",
        "//",
        "a/",
        " ",
        "+",
        "%",
        "файл",
        "\u{1}",
        "\u{10ffff}",
    ] {
        store.put_object(key, key.to_owned()).unwrap();
        assert_eq!(read_key(store, key).unwrap(), key.as_bytes());
    }
    let longest = "ж".repeat(512);
    store.put_object(&longest, "bytes").unwrap();
    assert_eq!(store.keys("").count(), 10);
    assert_sound(&fixture);
}

/// An expiry ends open uploads, and nothing else.
pub fn an_expiry_leaves_keys_alone() {
    let fixture = Fixture::new();
    fixture.store.create_namespace("n", Quota::new()).unwrap();
    fixture.store.put_object(("n", "key"), "bytes").unwrap();
    let open = fixture.store.initiate_upload(("n", "open")).unwrap();
    std::thread::sleep(std::time::Duration::from_millis(20));
    let age = std::time::Duration::from_millis(1);
    assert_eq!(fixture.store.expire_uploads(age).unwrap(), 1);
    assert_eq!(refusal(fixture.store.upload(&open)), ("NoSuchUpload", 404));
    assert_eq!(read_key(&fixture.store, ("n", "key")).unwrap(), b"bytes");
    assert_eq!(fixture.store.namespace("n").unwrap().usage.open_uploads, 0);
    assert_sound(&fixture);
}
