//! Uploads and objects get other keys, and keep the rest.

use crate::support::{Fixture, lines, race, read_object, refusal};
use partstore::{
    CompleteOptions, Condition, Error, ListUploads, ObjectOptions, Quota, Scope, Upload,
};
use std::io::Read;
use std::sync::atomic::{AtomicBool, Ordering};

const BUCKET: &str = "bucket";

fn fixture() -> Fixture {
    let fixture = Fixture::new();
    let created = fixture.store.create_namespace(BUCKET, Quota::new());
    created.unwrap();
    fixture
}

fn assert_sound(fixture: &Fixture) {
    fixture.store.sweep().unwrap();
    let report = fixture.store.verify(Scope::Everything).unwrap();
    assert!(report.is_clean(), "{report:?}");
    fixture.assert_tidy();
}

/// Number of keys, objects and open uploads, and the bytes, of a namespace.
fn usage(fixture: &Fixture, namespace: &str) -> [u64; 4] {
    let usage = fixture.store.namespace(namespace).unwrap().usage;
    [usage.keys, usage.objects, usage.open_uploads, usage.bytes]
}

pub fn an_object_gets_another_key_and_keeps_all_but_that() {
    let fixture = fixture();
    let store = &fixture.store;
    let upload = store
        .initiate_upload_with("bucket/key", b"color=red")
        .unwrap();
    let parts = [b"one".as_slice(), b"two".as_slice()];
    let parts: Vec<_> = (1..)
        .zip(parts)
        .map(|(at, body)| fixture.put(&upload, at, body))
        .collect();
    let object = store.complete_upload(&upload, &lines(&parts)).unwrap();
    let mut reader = store.open_object(&upload).unwrap();
    let renamed = store
        .rename_object(&upload, (BUCKET, "key"), &ObjectOptions::new())
        .unwrap();
    assert_eq!(
        renamed.upload,
        Upload::new((BUCKET, "key"), object.upload.id())
    );
    let mut same = renamed.clone();
    same.upload = object.upload.clone();
    assert_eq!(same, object);
    assert_eq!(store.object_by_key((BUCKET, "key")).unwrap(), renamed);
    let gone = refusal(store.object(&upload));
    assert_eq!(gone.0, "NoSuchKey");
    let mut bytes = Vec::new();
    reader.read_to_end(&mut bytes).unwrap();
    assert_eq!(bytes, b"onetwo");
    assert_eq!(read_object(store, &renamed.upload), b"onetwo");
    // R25: the client of the completion may ask again.
    let options = CompleteOptions::new().make_current(Condition::IfAbsent);
    let again = store.complete_upload_with(&renamed.upload, &lines(&parts), &options);
    assert_eq!(again.unwrap(), renamed);
    assert_eq!(usage(&fixture, ""), [0; 4]);
    assert_eq!(usage(&fixture, BUCKET), [1, 1, 0, 6]);
    assert_sound(&fixture);
    let killed = fixture.open_killed();
    assert_eq!(killed.object_by_key((BUCKET, "key")).unwrap(), renamed);
    assert_eq!(killed.namespace("").unwrap().usage.objects, 0);
}

pub fn an_object_that_is_renamed_takes_the_key_from_another_under_a_condition() {
    let fixture = fixture();
    let store = &fixture.store;
    let options = |condition| ObjectOptions::new().only(condition);
    store.put_object("old", "first").unwrap();
    let there = store.put_object("new", "second").unwrap();
    let object = store.object_by_key("old").unwrap().upload;
    let refused = store.rename_object(&object, "new", &options(Condition::IfAbsent));
    assert_eq!(refusal(refused).0, "PreconditionFailed");
    assert_eq!(store.object_by_key("new").unwrap(), there);
    let condition = Condition::IfCurrent(there.upload.id());
    store
        .rename_object(&object, "new", &options(condition))
        .unwrap();
    let gone = store.object_by_key("old");
    assert!(matches!(gone, Err(Error::NoSuchKey { .. })), "{gone:?}");
    let found = store.object_by_key("new").unwrap();
    assert_eq!(read_object(store, &found.upload), b"first");
    assert!(store.object(&there.upload).is_err());
    assert_eq!(usage(&fixture, ""), [1, 1, 0, 5]);
    // To its own key it is renamed, too.
    let again = store.rename_object(&found.upload, "new", &ObjectOptions::new());
    assert_eq!(again.unwrap(), found);
    assert_eq!(usage(&fixture, ""), [1, 1, 0, 5]);
    assert_sound(&fixture);
}

pub fn a_renamed_or_copied_object_of_one_part_can_have_the_etag_and_metadata_of_a_put() {
    let fixture = fixture();
    let store = &fixture.store;
    let object = fixture.complete("old", &[b"hello"]);
    let options = ObjectOptions::new().whole_etag().metadata("color=blue");
    let reader = store.open_object(&object.upload).unwrap();
    let copied = store.copy_object(&reader, "copy", &options).unwrap();
    let renamed = store
        .rename_object(&object.upload, "new", &options)
        .unwrap();
    for made in [copied, renamed] {
        assert_eq!(made.etag.to_string(), "5d41402abc4b2a76b9719d911017c592");
        assert_eq!(made.metadata, b"color=blue");
        assert_eq!(store.object(&made.upload).unwrap(), made);
    }
    let parts = fixture.complete("parts", &[b"one", b"two"]);
    let renamed = store.rename_object(&parts.upload, "others", &ObjectOptions::new().whole_etag());
    assert_eq!(renamed.unwrap().etag, parts.etag);
    assert_sound(&fixture);
}

pub fn an_open_upload_gets_another_key_and_keeps_its_parts() {
    let fixture = fixture();
    let store = &fixture.store;
    let upload = fixture.initiate("bucket/key");
    let part = fixture.put(&upload, 1, b"hello");
    let renamed = store.rename_upload(&upload, (BUCKET, "key")).unwrap();
    assert_eq!(refusal(store.upload(&upload)).0, "NoSuchUpload");
    assert_eq!(fixture.parts(&renamed), std::slice::from_ref(&part));
    let listed = |namespace: &str| {
        let query = ListUploads::new().namespace(namespace);
        let uploads = store.list_uploads(&query).unwrap().uploads;
        uploads
            .into_iter()
            .map(|open| open.upload)
            .collect::<Vec<_>>()
    };
    assert_eq!(
        (listed(""), listed(BUCKET)),
        (vec![], vec![renamed.clone()])
    );
    assert_eq!(usage(&fixture, ""), [0; 4]);
    assert_eq!(usage(&fixture, BUCKET), [0, 0, 1, 5]);
    let options = CompleteOptions::new().make_current(Condition::Always);
    let done = store.complete_upload_with(&renamed, &lines(&[part]), &options);
    done.unwrap();
    assert_eq!(usage(&fixture, BUCKET), [1, 1, 0, 5]);
    assert_sound(&fixture);
}

pub fn what_cannot_be_renamed_stays_as_it_was() {
    let fixture = fixture();
    let store = &fixture.store;
    store.set_quota(BUCKET, Quota::new().bytes(4)).unwrap();
    let object = store.put_object("key", "hello").unwrap();
    let open = fixture.initiate("open");
    let part = fixture.put(&open, 1, b"hello");
    let options = ObjectOptions::new();
    let long = "x".repeat(2000);
    for (key, code) in [
        ((BUCKET, "key"), "QuotaExceeded"),
        (("absent", "key"), "NoSuchNamespace"),
        (("", ""), "InvalidArgument"),
        (("", long.as_str()), "KeyTooLong"),
    ] {
        let code_of = |error: Error| format!("{error:?}").contains(code) || error.code() == code;
        let refused = store.rename_object(&object.upload, key, &options);
        assert!(code_of(refused.unwrap_err()), "{code}");
        let refused = store.rename_upload(&open, key);
        assert!(code_of(refused.unwrap_err()), "{code}");
    }
    let refused = store.rename_object(&open, "other", &options);
    assert_eq!(refusal(refused).0, "NoSuchKey");
    let refused = store.rename_upload(&object.upload, "other");
    assert_eq!(refusal(refused).0, "NoSuchUpload");
    assert_eq!(store.object_by_key("key").unwrap(), object);
    assert_eq!(fixture.parts(&open), [part]);
    assert_eq!(usage(&fixture, BUCKET), [0; 4]);
    assert_sound(&fixture);
}

pub fn of_many_that_are_renamed_to_one_new_key_one_gets_it() {
    let fixture = fixture();
    let store = &fixture.store;
    let objects: Vec<_> = (0..8)
        .map(|at| store.put_object(format!("key{at}"), vec![at; 10]).unwrap())
        .collect();
    let only = ObjectOptions::new().only(Condition::IfAbsent);
    let done = race(8, |at| {
        store.rename_object(&objects[at].upload, (BUCKET, "key"), &only)
    });
    let winners: Vec<_> = done.into_iter().filter_map(Result::ok).collect();
    assert_eq!(winners.len(), 1);
    assert_eq!(store.object_by_key((BUCKET, "key")).unwrap(), winners[0]);
    assert_eq!(usage(&fixture, ""), [7, 7, 0, 70]);
    assert_eq!(usage(&fixture, BUCKET), [1, 1, 0, 10]);
    assert_sound(&fixture);
}

pub fn an_object_that_is_renamed_to_and_fro_is_found_or_absent_and_never_damaged() {
    let fixture = fixture();
    let store = &fixture.store;
    let object = store.put_object("one", "hello").unwrap();
    let ended = AtomicBool::new(false);
    race(3, |at| {
        if at == 0 {
            let mut upload = object.upload.clone();
            for key in ["other", "one"].into_iter().cycle().take(400) {
                let renamed = store.rename_object(&upload, key, &ObjectOptions::new());
                upload = renamed.unwrap().upload;
            }
            ended.store(true, Ordering::Release);
            return;
        }
        while !ended.load(Ordering::Acquire) {
            match store.object_by_key("one") {
                Ok(found) => assert_eq!(found, object),
                Err(Error::NoSuchKey { .. }) => {}
                Err(error) => panic!("{error}"),
            }
        }
    });
    assert_sound(&fixture);
}
