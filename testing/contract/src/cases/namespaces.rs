//! Namespaces: created, listed and removed; what they hold, and may hold.

use crate::support::{Fixture, bytes, lines, number, race, refusal};
use partstore::{
    CompleteOptions, Condition, Key, ListNamespaces, ListUploads, ObjectOptions, PartOptions,
    Quota, Scope, Upload, Usage,
};

const MISSING: (&str, u16) = ("NoSuchBucket", 404);

const NOT_EMPTY: (&str, u16) = ("BucketNotEmpty", 409);

const OVER: (&str, u16) = ("QuotaExceeded", 403);

fn usage(fixture: &Fixture, name: &str) -> (u64, u64, u64, u64) {
    counts(fixture.store.namespace(name).unwrap().usage)
}

fn counts(usage: Usage) -> (u64, u64, u64, u64) {
    (usage.keys, usage.objects, usage.bytes, usage.open_uploads)
}

fn assert_sound(fixture: &Fixture) {
    let report = fixture.store.verify(Scope::Everything).unwrap();
    assert!(report.is_clean(), "{report:?}");
}

pub fn a_namespace_is_created_once_and_removed_when_it_is_empty() {
    let mut fixture = Fixture::new();
    let create = |fixture: &Fixture, name: &str| fixture.store.create_namespace(name, Quota::new());
    create(&fixture, "bucket").unwrap();
    assert_eq!(
        refusal(create(&fixture, "bucket")),
        ("BucketAlreadyExists", 409)
    );
    for (name, code) in [
        ("", "InvalidArgument"),
        ("a\0", "InvalidArgument"),
        (&"n".repeat(1025), "KeyTooLong"),
    ] {
        assert_eq!(refusal(create(&fixture, name)).0, code);
    }
    let longest = "n".repeat(1024);
    create(&fixture, &longest).unwrap();
    let widest = Key::new(longest.as_str(), "k".repeat(1024));
    fixture.store.put_object(&widest, "bytes").unwrap();
    let upload = fixture.store.initiate_upload(&widest).unwrap();
    fixture.reopen();
    assert_eq!(refusal(fixture.store.remove_namespace(&longest)), NOT_EMPTY);
    fixture
        .store
        .remove_key(&widest, Condition::Always)
        .unwrap();
    // An open upload is something, too.
    assert_eq!(refusal(fixture.store.remove_namespace(&longest)), NOT_EMPTY);
    fixture.store.abort_upload(&upload).unwrap();
    fixture.store.remove_namespace(&longest).unwrap();
    assert_eq!(refusal(fixture.store.remove_namespace(&longest)), MISSING);
    assert_eq!(refusal(fixture.store.namespace(&longest)), MISSING);
    assert_eq!(refusal(fixture.store.initiate_upload(&widest)), MISSING);
    assert_eq!(
        refusal(fixture.store.remove_namespace("")),
        ("InvalidArgument", 400)
    );
    let killed = fixture.open_killed();
    assert_eq!(refusal(killed.namespace(&longest)), MISSING);
    assert!(killed.namespace("bucket").unwrap().created_at.is_some());
    assert_sound(&fixture);
}

pub fn namespaces_are_listed_by_name_in_pages() {
    let fixture = Fixture::new();
    let names = ["a", "a/b", "b", "é", "\u{10ffff}"];
    for name in names.iter().rev() {
        fixture.store.create_namespace(name, Quota::new()).unwrap();
    }
    for limit in [1, 2, 5, 1000] {
        let (mut query, mut listed) = (ListNamespaces::new().limit(limit), Vec::new());
        loop {
            let page = fixture.store.list_namespaces(&query).unwrap();
            listed.extend(page.namespaces.into_iter().map(|namespace| namespace.name));
            match page.next {
                Some(next) => query = query.after(next),
                None => break,
            }
        }
        assert_eq!(listed, names);
    }
    let none = fixture
        .store
        .list_namespaces(&ListNamespaces::new().limit(0));
    assert_eq!(refusal(none), ("InvalidArgument", 400));
}

/// The same key in two namespaces is two keys, and an id of one names nothing in the other.
pub fn namespaces_do_not_see_each_other() {
    let fixture = Fixture::new();
    let store = &fixture.store;
    for name in ["one", "two"] {
        store.create_namespace(name, Quota::new()).unwrap();
    }
    let all = ["", "one", "two"];
    let uploads = all.map(|name| store.initiate_upload((name, "key")).unwrap());
    let objects = all.map(|name| store.put_object((name, "key"), name.to_owned()).unwrap());
    for (at, name) in all.iter().enumerate() {
        assert_eq!(store.object_by_key((*name, "key")).unwrap(), objects[at]);
        let page = store
            .list_uploads(&ListUploads::new().namespace(*name))
            .unwrap();
        let [found] = page.uploads.as_slice() else {
            panic!("{page:?}")
        };
        assert_eq!(found.upload, uploads[at]);
        assert_eq!(store.keys((*name, "")).count(), 1);
        for other in all.iter().filter(|other| *other != name) {
            let mixed = Upload::new((*other, "key"), uploads[at].id());
            assert_eq!(refusal(store.upload(&mixed)), ("NoSuchUpload", 404));
            let mixed = Upload::new((*other, "key"), objects[at].upload.id());
            assert_eq!(refusal(store.object(&mixed)), ("NoSuchKey", 404));
        }
    }
    let nowhere = store.list_uploads(&ListUploads::new().namespace("nowhere"));
    assert_eq!(refusal(nowhere), MISSING);
    assert_sound(&fixture);
}

pub fn what_a_namespace_holds_is_counted_through_every_call_and_a_kill() {
    let fixture = Fixture::new();
    let store = &fixture.store;
    store.create_namespace("n", Quota::new()).unwrap();
    let key = |key: &str| Key::new("n", key);
    let upload = store.initiate_upload(key("a")).unwrap();
    assert_eq!(usage(&fixture, "n"), (0, 0, 0, 1));
    store.put_part(&upload, number(1), vec![1; 100]).unwrap();
    store.put_part(&upload, number(1), vec![2; 30]).unwrap();
    let first = store.put_part(&upload, number(1), vec![2; 40]).unwrap();
    store.put_part(&upload, number(2), vec![2; 40]).unwrap();
    assert_eq!(
        usage(&fixture, "n"),
        (0, 0, 80, 1),
        "equal bytes count twice"
    );
    let options = CompleteOptions::new().make_current(Condition::Always);
    let object = store
        .complete_upload_with(&upload, &lines(&[first]), &options)
        .unwrap();
    assert_eq!(usage(&fixture, "n"), (1, 1, 40, 0));
    let source = store.open_object(&object.upload).unwrap();
    store
        .copy_object(&source, key("b"), &ObjectOptions::new())
        .unwrap();
    store.put_object(key("a"), vec![3; 7]).unwrap();
    assert_eq!(usage(&fixture, "n"), (2, 2, 47, 0));
    let left = store.initiate_upload(key("c")).unwrap();
    store.put_part(&left, number(9), vec![4; 1000]).unwrap();
    store
        .replace_metadata(&store.object_by_key(key("b")).unwrap().upload, "m")
        .unwrap();
    let expected = (2, 2, 1047, 1);
    assert_eq!(usage(&fixture, "n"), expected);
    let killed = fixture.open_killed();
    assert_eq!(counts(killed.namespace("n").unwrap().usage), expected);
    store.abort_upload(&left).unwrap();
    store.remove_key(key("b"), Condition::Always).unwrap();
    store.remove_key(key("a"), Condition::Always).unwrap();
    assert_eq!(usage(&fixture, "n"), (0, 0, 0, 0));
    assert_eq!(usage(&fixture, ""), (0, 0, 0, 0));
    store.remove_namespace("n").unwrap();
    assert_sound(&fixture);
}

pub fn a_quota_is_checked_before_the_body_and_again_at_the_commit() {
    let fixture = Fixture::new();
    let store = &fixture.store;
    store
        .create_namespace("n", Quota::new().bytes(100).keys(2))
        .unwrap();
    let key = |key: &str| Key::new("n", key);
    let upload = store.initiate_upload(key("a")).unwrap();
    let length = |bytes| PartOptions::new().content_length(bytes);
    // Before the body.
    let writer = store.part_writer(&upload, number(1), length(101));
    assert_eq!(refusal(writer), OVER);
    let options = ObjectOptions::new().body(length(101));
    assert_eq!(refusal(store.object_writer(key("b"), options)), OVER);
    // At the commit: others have used it up in the meantime, or no length was declared.
    let mut late = store.part_writer(&upload, number(2), length(60)).unwrap();
    late.append(&[1; 60]).unwrap();
    let first = store.put_part(&upload, number(1), vec![2; 50]).unwrap();
    assert_eq!(refusal(late.finish()), OVER);
    assert_eq!(
        refusal(store.put_part(&upload, number(2), vec![3; 51])),
        OVER
    );
    let mut unknown = store
        .part_writer(&upload, number(2), PartOptions::new())
        .unwrap();
    unknown.append(&[1; 51]).unwrap();
    assert_eq!(refusal(unknown.finish()), OVER);
    // What replaces bytes needs room for the difference only.
    store.put_part(&upload, number(1), vec![4; 100]).unwrap();
    let first_again = store.put_part(&upload, number(1), vec![2; 50]).unwrap();
    assert_eq!(first_again.etag, first.etag);
    let options = CompleteOptions::new().make_current(Condition::Always);
    store
        .complete_upload_with(&upload, &lines(&[first]), &options)
        .unwrap();
    store.put_object(key("b"), vec![5; 50]).unwrap();
    assert_eq!(usage(&fixture, "n"), (2, 2, 100, 0));
    // One key more, without a byte.
    assert_eq!(refusal(store.put_object(key("c"), "")), OVER);
    let source = store.open_key(key("a")).unwrap();
    assert_eq!(
        refusal(store.copy_object(&source, key("c"), &ObjectOptions::new())),
        OVER
    );
    drop(source);
    store.put_object(key("b"), vec![6; 50]).unwrap();
    // A quota below the usage: what adds is refused, what takes away is not.
    store
        .set_quota("n", Quota::new().bytes(10).keys(1))
        .unwrap();
    assert_eq!(refusal(store.put_object(key("b"), vec![7; 51])), OVER);
    store.put_object(key("b"), vec![8; 20]).unwrap();
    let upload = store.initiate_upload(key("a")).unwrap();
    assert_eq!(refusal(store.put_part(&upload, number(1), "x")), OVER);
    store.put_part(&upload, number(1), "").unwrap();
    store.abort_upload(&upload).unwrap();
    store.remove_key(key("a"), Condition::Always).unwrap();
    assert_eq!(usage(&fixture, "n"), (1, 1, 20, 0));
    // It outlives a kill, and the default namespace may have one, too.
    store.set_quota("", Quota::new().bytes(5)).unwrap();
    let killed = fixture.open_killed();
    assert_eq!(refusal(killed.put_object(key("b"), vec![7; 21])), OVER);
    assert_eq!(refusal(killed.put_object("key", vec![7; 6])), OVER);
    killed.put_object("key", vec![7; 5]).unwrap();
    assert_eq!(refusal(killed.set_quota("nowhere", Quota::new())), MISSING);
    store.sweep().unwrap();
    assert_sound(&fixture);
    fixture.assert_tidy();
}

/// However many put at the same time, a quota is never exceeded, and all of it can be used.
pub fn concurrent_calls_do_not_exceed_a_quota() {
    let fixture = Fixture::new();
    let store = &fixture.store;
    store
        .create_namespace("n", Quota::new().bytes(1000).keys(15))
        .unwrap();
    race(4, |thread| {
        for at in 0..30 {
            let key = Key::new("n", format!("{thread}-{at}"));
            let put = store.put_object(key, bytes(thread as u64, 100));
            assert!(put.is_ok() || refusal(put) == OVER);
            let (keys, _, bytes, _) = usage(&fixture, "n");
            assert!(keys <= 15 && bytes <= 1000, "{keys} keys, {bytes} bytes");
        }
    });
    assert_eq!(usage(&fixture, "n"), (10, 10, 1000, 0));
    store.sweep().unwrap();
    assert_sound(&fixture);
    fixture.assert_tidy();
}

/// A namespace is removed, or something begins in it, but not both.
pub fn nothing_begins_in_a_namespace_that_is_removed() {
    let fixture = Fixture::new();
    let store = &fixture.store;
    for round in 0..50 {
        let name = format!("n-{}", round % 3);
        store.create_namespace(&name, Quota::new()).unwrap();
        let done = race(3, |thread| match thread {
            0 => store.remove_namespace(&name).map(|()| None),
            1 => store
                .initiate_upload((name.as_str(), "key"))
                .map(|upload| Some((upload, true))),
            _ => store
                .put_object((name.as_str(), "key"), "bytes")
                .map(|object| Some((object.upload, false))),
        });
        let began: Vec<_> = done.iter().flatten().flatten().collect();
        assert_eq!(done[0].is_ok(), began.is_empty(), "{done:?}");
        for (upload, is_open) in began {
            match is_open {
                true => store.abort_upload(upload).unwrap(),
                false => store.remove_object(upload).unwrap(),
            }
        }
        if done[0].is_err() {
            store.remove_namespace(&name).unwrap();
        }
    }
    store.sweep().unwrap();
    assert_sound(&fixture);
    fixture.assert_tidy();
}
