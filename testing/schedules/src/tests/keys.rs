//! Keys whose current objects change: of those that want none exactly one succeeds, readers get one whole
//! object, a power cut leaves the one before or afterwards, and quotas and removals of namespaces hold.

use std::collections::BTreeSet;
use std::io::Read;

use md5::{Digest, Md5};
use parking_lot::schedule;
use shuttle::thread::JoinHandle;

use super::store::{STEPS, after, assert_whole, open, put};
use super::swept::sweep_task;
use harness::{Acknowledged, check, join, power_cut, task};
use partstore::{
    CompleteOptions, CompletedPart, Condition, ETag, Error, ObjectOptions, PartStore, Quota,
    Result, Upload,
};

const X: &[u8] = b"some bytes";
const Y: &[u8] = b"other bytes";
const NAMESPACE: &str = "bucket";

fn put_object(store: &PartStore, body: &'static [u8], condition: Condition) -> Result<Upload> {
    let options = ObjectOptions::new().only(condition);
    let object = store.put_object_with("key", body, &options)?;
    Ok(object.upload)
}

fn ready(store: &PartStore, body: &'static [u8]) -> (Upload, [CompletedPart; 1]) {
    let upload = store.initiate_upload("key").unwrap();
    let part = put(store, &upload, 1, body).unwrap();
    let list = [CompletedPart::from(&part)];
    (upload, list)
}

/// Puts an object, or says that the condition did not hold.
fn put_task(
    store: &PartStore,
    body: &'static [u8],
    condition: Condition,
    acknowledged: &Acknowledged<Upload>,
) -> JoinHandle<bool> {
    let (store, acknowledged) = (store.clone(), acknowledged.clone());
    task(move || won(put_object(&store, body, condition), &acknowledged))
}

fn won(done: Result<Upload>, acknowledged: &Acknowledged<Upload>) -> bool {
    match done {
        Ok(object) => {
            acknowledged.push(object);
            true
        }
        Err(Error::PreconditionFailed { .. }) => false,
        Err(error) => panic!("{error}"),
    }
}

fn complete_task(
    store: &PartStore,
    (upload, list): &(Upload, [CompletedPart; 1]),
    condition: Condition,
    acknowledged: &Acknowledged<Upload>,
) -> JoinHandle<bool> {
    let (store, upload, list) = (store.clone(), upload.clone(), *list);
    let acknowledged = acknowledged.clone();
    task(move || {
        let options = CompleteOptions::new().make_current(condition);
        let done = store.complete_upload_with(&upload, &list, &options);
        won(done.map(|object| object.upload), &acknowledged)
    })
}

/// What the key finds, whole.
fn find(store: &PartStore) -> Option<Vec<u8>> {
    find_under(store, "key")
}

fn find_under(store: &PartStore, key: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    match store.open_key(key) {
        Ok(mut reader) => reader.read_to_end(&mut bytes).unwrap(),
        Err(Error::NoSuchKey { .. }) => return None,
        Err(error) => panic!("{error}"),
    };
    Some(bytes)
}

/// Everything is whole, and the files are those that some part has.
fn assert_holds_what_is_referenced(store: &PartStore) {
    let held = schedule::pause(|| {
        let mut held = BTreeSet::new();
        for object in store.objects() {
            let reader = store.open_object(&object.unwrap().upload).unwrap();
            held.extend(reader.parts().map(|placed| placed.unwrap().part.etag));
        }
        for upload in store.uploads("") {
            let upload = upload.unwrap().upload;
            held.extend(store.parts(&upload).map(|part| part.unwrap().etag));
        }
        held
    });
    let mut bodies = vec![X, Y];
    bodies.retain(|body| held.contains(&ETag::from_md5(Md5::digest(body).into())));
    assert_whole(store, &bodies);
}

#[test]
fn of_two_that_want_no_object_one_wins() {
    check(1500, || {
        let store = open();
        let other = ready(&store, Y);
        let acknowledged = Acknowledged::new();
        let cut = power_cut(&acknowledged, STEPS);
        let done = join([
            put_task(&store, X, Condition::IfAbsent, &acknowledged),
            complete_task(&store, &other, Condition::IfAbsent, &acknowledged),
        ]);
        assert_ne!(done[0], done[1], "one of them wins");
        let winner = acknowledged.so_far();
        assert_eq!(store.object_by_key("key").unwrap().upload, winner[0]);
        assert_eq!(store.stats().unwrap().objects, 1);
        assert_holds_what_is_referenced(&store);

        let (remains, before_the_cut) = cut.join().unwrap();
        let again = after(remains);
        if let Some(object) = before_the_cut.first() {
            assert_eq!(&again.object_by_key("key").unwrap().upload, object);
        }
        assert!(again.stats().unwrap().objects <= 1);
        assert_holds_what_is_referenced(&again);
    });
}

/// Of two that want the object that is there, one wins. There is one whole object at every moment.
#[test]
fn a_key_that_is_replaced_finds_an_object_at_every_moment() {
    check(1500, || {
        let store = open();
        let first = put_object(&store, X, Condition::Always).unwrap();
        let condition = Condition::IfCurrent(first.id());
        let other = ready(&store, X);
        let acknowledged = Acknowledged::new();
        let cut = power_cut(&acknowledged, STEPS);
        let reader = {
            let store = store.clone();
            task(move || {
                let found = find(&store).expect("it has one at every moment");
                assert!(found == X || found == Y);
                false
            })
        };
        let done = join([
            put_task(&store, Y, condition, &acknowledged),
            complete_task(&store, &other, condition, &acknowledged),
            reader,
            sweep_task(&store),
        ]);
        assert_ne!(done[0], done[1], "one of them wins");
        assert_eq!(store.stats().unwrap().objects, 1);
        assert_eq!(find(&store).unwrap(), if done[0] { Y } else { X });

        let (remains, before_the_cut) = cut.join().unwrap();
        let again = after(remains);
        let found = again.object_by_key("key").unwrap().upload;
        assert!(before_the_cut.iter().all(|object| *object == found));
        assert!(find(&again).is_some());
        assert_eq!(again.stats().unwrap().objects, 1);
        assert_holds_what_is_referenced(&again);
    });
}

/// A reader meets a removal: it gets the whole object, or hears that there is none.
#[test]
fn a_key_that_is_removed_is_read_whole_or_not_at_all() {
    check(1500, || {
        let store = open();
        put_object(&store, X, Condition::Always).unwrap();
        let remover = {
            let store = store.clone();
            task(move || store.remove_key("key", Condition::Always).unwrap())
        };
        let reader = {
            let store = store.clone();
            task(move || find(&store).is_none_or(|found| found == X || found == Y))
        };
        let acknowledged = Acknowledged::new();
        let done = join([
            remover,
            reader,
            put_task(&store, Y, Condition::Always, &acknowledged),
            sweep_task(&store),
        ]);
        assert!(done[1]);
        assert!(find(&store).is_none_or(|found| found == Y));
        assert_holds_what_is_referenced(&store);
    });
}

fn object_of(store: &PartStore, key: &str, body: &'static [u8]) -> Upload {
    store.put_object(key, body).unwrap().upload
}

fn rename_task(
    store: &PartStore,
    object: &Upload,
    condition: Condition,
    acknowledged: &Acknowledged<Upload>,
) -> JoinHandle<bool> {
    let (store, object) = (store.clone(), object.clone());
    let acknowledged = acknowledged.clone();
    task(move || {
        let options = ObjectOptions::new().only(condition);
        let done = store.rename_object(&object, "key", &options);
        won(done.map(|object| object.upload), &acknowledged)
    })
}

fn found_under(store: &PartStore, key: &str) -> Option<Upload> {
    match store.object_by_key(key) {
        Ok(object) => Some(object.upload),
        Err(Error::NoSuchKey { .. }) => None,
        Err(error) => panic!("{error}"),
    }
}

/// An object takes the key of another, while somebody opens it. One of both is read, whole.
#[test]
fn a_key_that_an_object_is_renamed_to_finds_one_at_every_moment() {
    check(1500, || {
        let store = open();
        put_object(&store, X, Condition::Always).unwrap();
        let other = object_of(&store, "other", Y);
        let acknowledged = Acknowledged::new();
        let cut = power_cut(&acknowledged, STEPS);
        let reader = {
            let store = store.clone();
            task(move || {
                let found = find(&store).expect("it has one at every moment");
                assert!(found == X || found == Y);
                false
            })
        };
        let reader_of_the_old_key = {
            let store = store.clone();
            task(move || find_under(&store, "other").is_some_and(|found| found != Y))
        };
        let done = join([
            rename_task(&store, &other, Condition::Always, &acknowledged),
            reader,
            reader_of_the_old_key,
            sweep_task(&store),
        ]);
        assert!(done[0] && !done[2]);
        assert_eq!(find(&store).unwrap(), Y);
        assert_eq!(found_under(&store, "other"), None);
        assert_eq!(store.stats().unwrap().objects, 1);
        assert_holds_what_is_referenced(&store);

        let (remains, before_the_cut) = cut.join().unwrap();
        let again = after(remains);
        let renamed = found_under(&again, "other").is_none();
        assert!(renamed || before_the_cut.is_empty());
        assert_eq!(find(&again).unwrap(), if renamed { Y } else { X });
        assert_eq!(again.stats().unwrap().objects, if renamed { 1 } else { 2 });
        assert_holds_what_is_referenced(&again);
    });
}

/// Of two that want the key without an object, one gets it. The other one keeps its own.
#[test]
fn of_two_that_are_renamed_to_one_key_one_gets_it() {
    check(1500, || {
        let store = open();
        let objects = [object_of(&store, "one", X), object_of(&store, "two", Y)];
        let acknowledged = Acknowledged::new();
        let cut = power_cut(&acknowledged, STEPS);
        let done = join([
            rename_task(&store, &objects[0], Condition::IfAbsent, &acknowledged),
            rename_task(&store, &objects[1], Condition::IfAbsent, &acknowledged),
            sweep_task(&store),
        ]);
        assert_ne!(done[0], done[1], "one of them wins");
        assert_eq!(find(&store).unwrap(), if done[0] { X } else { Y });
        assert_eq!(found_under(&store, "one").is_none(), done[0]);
        assert_eq!(found_under(&store, "two").is_none(), done[1]);
        assert_eq!(store.stats().unwrap().objects, 2);
        assert_holds_what_is_referenced(&store);

        let (remains, before_the_cut) = cut.join().unwrap();
        let again = after(remains);
        assert!(find(&again).is_some() || before_the_cut.is_empty());
        assert_eq!(again.keys("").count(), 2);
        assert_eq!(again.stats().unwrap().objects, 2);
        assert_holds_what_is_referenced(&again);
    });
}

/// Two that take the key one after the other: the second one replaces the first.
#[test]
fn of_two_that_are_renamed_to_one_key_anyway_the_last_one_stays() {
    check(1500, || {
        let store = open();
        let objects = [object_of(&store, "one", X), object_of(&store, "two", Y)];
        let acknowledged = Acknowledged::new();
        let done = join([
            rename_task(&store, &objects[0], Condition::Always, &acknowledged),
            rename_task(&store, &objects[1], Condition::Always, &acknowledged),
            sweep_task(&store),
        ]);
        assert!(done[0] && done[1]);
        let found = found_under(&store, "key").unwrap();
        assert!(objects.iter().any(|object| object.id() == found.id()));
        assert_eq!(store.keys("").count(), 1);
        assert_eq!(store.stats().unwrap().objects, 1);
        assert_holds_what_is_referenced(&store);
    });
}

/// Metadata of several rows are replaced, and read: the old ones or the new ones.
#[test]
fn metadata_that_are_replaced_are_read_whole() {
    check(1500, || {
        let store = open();
        let (old, new) = (vec![b'o'; 3500], vec![b'n'; 3600]);
        let options = ObjectOptions::new().metadata(old.clone());
        let object = store.put_object_with("key", X, &options).unwrap().upload;
        let replace = {
            let (store, object, new) = (store.clone(), object.clone(), new.clone());
            task(move || drop(store.replace_metadata(&object, new).unwrap()))
        };
        let read = {
            let (store, either) = (store.clone(), [old, new.clone()]);
            task(move || {
                let found = store.object(&object).unwrap().metadata;
                assert!(either.contains(&found), "{} bytes", found.len());
            })
        };
        join([replace, read]);
        assert_eq!(store.object_by_key("key").unwrap().metadata, new);
    });
}

/// Something begins in a namespace, or the namespace is removed.
#[test]
fn a_namespace_that_is_removed_holds_nothing() {
    check(1500, || {
        let store = open();
        store.create_namespace(NAMESPACE, Quota::new()).unwrap();
        let answers = |done: Result<()>| match done {
            Ok(()) => true,
            Err(Error::NoSuchNamespace { .. } | Error::NamespaceNotEmpty { .. }) => false,
            Err(error) => panic!("{error}"),
        };
        let calls: [fn(&PartStore) -> Result<()>; 3] = [
            |store| store.remove_namespace(NAMESPACE),
            |store| store.initiate_upload((NAMESPACE, "key")).map(drop),
            |store| store.put_object((NAMESPACE, "key"), X).map(drop),
        ];
        let done = join(calls.map(|call| {
            let store = store.clone();
            task(move || answers(call(&store)))
        }));
        assert_eq!(done[0], !done[1] && !done[2], "{done:?}");
        assert_eq!(store.namespace(NAMESPACE).is_err(), done[0]);
        let stats = store.stats().unwrap();
        assert_eq!(stats.objects, u64::from(done[2]));
        assert_eq!(stats.open_uploads, u64::from(done[1]));
        assert_holds_what_is_referenced(&store);
    });
}

/// Whoever has found a namespace that is removed puts nothing into the next one that is created.
#[test]
fn a_namespace_is_not_taken_for_one_that_was_removed() {
    check(1500, || {
        let store = open();
        store.create_namespace(NAMESPACE, Quota::new()).unwrap();
        let exchange = {
            let store = store.clone();
            task(move || {
                let removed = store.remove_namespace(NAMESPACE).is_ok();
                store.create_namespace("another", Quota::new()).unwrap();
                removed
            })
        };
        let put = {
            let store = store.clone();
            task(move || store.put_object((NAMESPACE, "key"), X).is_ok())
        };
        let done = join([exchange, put]);
        assert_ne!(done[0], done[1]);
        assert!(store.namespace("another").unwrap().usage.is_empty());
        assert_eq!(store.keys(("another", "")).count(), 0);
        assert_holds_what_is_referenced(&store);
    });
}

/// Two bodies fit into a quota one by one, but not together.
#[test]
fn a_quota_is_not_exceeded_by_two_at_the_same_time() {
    check(1500, || {
        let store = open();
        let quota = Quota::new().bytes(X.len() as u64 + 5).keys(1);
        store.create_namespace(NAMESPACE, quota).unwrap();
        let put = |key: &'static str, body: &'static [u8]| {
            let store = store.clone();
            task(move || match store.put_object((NAMESPACE, key), body) {
                Ok(_) => true,
                Err(Error::QuotaExceeded { .. }) => false,
                Err(error) => panic!("{error}"),
            })
        };
        let done = join([put("one", X), put("other", Y)]);
        assert_ne!(done[0], done[1], "one of them fits");
        let usage = store.namespace(NAMESPACE).unwrap().usage;
        let len = if done[0] { X.len() } else { Y.len() };
        assert_eq!((usage.keys, usage.objects), (1, 1));
        assert_eq!(usage.bytes, len as u64);
        assert_holds_what_is_referenced(&store);
    });
}
