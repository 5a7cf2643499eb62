//! Completions that replace an object: it goes when the new one comes, and two of them neither both win
//! nor wait for each other.

use shuttle::thread::JoinHandle;

use super::store::{STEPS, after, assert_whole, open, put, read};
use super::swept::sweep_task;
use harness::{Acknowledged, check, join, power_cut, task};
use partstore::{CompletedPart, Error, PartStore, Scope, Upload};

const X: &[u8] = b"some bytes";
const Y: &[u8] = b"other bytes";

/// An upload that is about to be completed.
#[derive(Clone)]
struct Ready {
    upload: Upload,
    list: [CompletedPart; 1],
}

fn ready(store: &PartStore, key: &str, body: &'static [u8]) -> Ready {
    let upload = store.initiate_upload(key).unwrap();
    let part = put(store, &upload, 1, body).unwrap();
    let list = [CompletedPart::from(&part)];
    Ready { upload, list }
}

fn object(store: &PartStore, body: &'static [u8]) -> Ready {
    let ready = ready(store, "key", body);
    store.complete_upload(&ready.upload, &ready.list).unwrap();
    ready
}

fn replace_task(
    store: &PartStore,
    new: &Ready,
    old: &Ready,
    acknowledged: &Acknowledged<Upload>,
) -> JoinHandle<bool> {
    let (store, new, old) = (store.clone(), new.clone(), old.upload.clone());
    let acknowledged = acknowledged.clone();
    task(
        move || match store.complete_upload_replacing(&new.upload, &new.list, &old) {
            Ok(object) => {
                acknowledged.push(object.upload);
                true
            }
            Err(Error::NoSuchObject { .. } | Error::NoSuchUpload { .. }) => false,
            Err(error) => panic!("{error}"),
        },
    )
}

/// Those of them that are objects now.
fn objects<'a>(store: &PartStore, of: &[&'a Ready]) -> Vec<&'a Upload> {
    let uploads = of.iter().map(|one| &one.upload);
    let mut objects: Vec<_> = uploads.collect();
    objects.retain(|upload| store.object(upload).is_ok());
    objects
}

/// Two replace one object that has the bytes of both. After a power cut at any moment there is one object:
/// the old one until the first is acknowledged.
#[test]
fn of_two_replacements_of_one_object_one_wins() {
    check(1500, || {
        let store = open();
        let old = object(&store, X);
        let [one, other] = [X, Y].map(|body| ready(&store, "key", body));
        let acknowledged = Acknowledged::new();
        let cut = power_cut(&acknowledged, STEPS);
        let done = join([
            replace_task(&store, &one, &old, &acknowledged),
            replace_task(&store, &other, &old, &acknowledged),
            sweep_task(&store),
        ]);
        assert_ne!(done[0], done[1], "one of them wins");
        let winner = acknowledged.so_far();
        assert_eq!(objects(&store, &[&old, &one, &other]), [&winner[0]]);
        assert_whole(&store, &[X, Y]);

        let (remains, before_the_cut) = cut.join().unwrap();
        let again = after(remains);
        let there = objects(&again, &[&old, &one, &other]);
        assert_eq!(there.len(), 1, "exactly one");
        assert!(before_the_cut.iter().all(|object| object == there[0]));
        let body = read(again.open_object(there[0]).unwrap());
        assert_eq!(body, if *there[0] == other.upload { Y } else { X });
        assert_whole(&again, &[X, Y]);
    });
}

/// One replaces the object of the other, which is being completed again in place of the first. Each has a
/// key of its own, and wants the locks of both keys.
#[test]
fn replacements_that_name_each_other_do_not_wait_in_a_circle() {
    check(1000, || {
        let store = open();
        let old = object(&store, X);
        let new = ready(&store, "other", Y);
        let acknowledged = Acknowledged::new();
        let done = join([
            replace_task(&store, &new, &old, &acknowledged),
            replace_task(&store, &old, &new, &acknowledged),
            replace_task(&store, &new, &new, &acknowledged),
        ]);
        assert!(done[0], "nobody else ends the old one");
        assert_eq!(objects(&store, &[&old, &new]), [&new.upload]);
        assert_whole(&store, &[Y]);
    });
}

/// A blob that has lost one reference loses the other one with the object that is replaced, while the sweep
/// looks at it: the sweep may miss it, but not for good.
#[test]
fn what_a_replaced_object_held_is_not_forgotten() {
    check(6000, || {
        let store = open();
        let old = object(&store, X);
        let gone = ready(&store, "key", X);
        store.abort_upload(&gone.upload).unwrap();
        let new = ready(&store, "key", Y);
        let acknowledged = Acknowledged::new();
        let done = join([
            replace_task(&store, &new, &old, &acknowledged),
            sweep_task(&store),
        ]);
        assert_eq!(done, [true; 2]);
        assert_whole(&store, &[Y]);
    });
}

/// Whoever verifies meanwhile sees the old object whole, or gone whole.
#[test]
fn verifying_among_replacements_finds_nothing() {
    check(1500, || {
        let store = open();
        let old = object(&store, X);
        let new = ready(&store, "key", Y);
        let acknowledged = Acknowledged::new();
        let verifying = store.clone();
        let done = join([
            replace_task(&store, &new, &old, &acknowledged),
            task(move || verifying.verify(Scope::Metadata).unwrap().is_clean()),
        ]);
        assert_eq!(done, [true; 2]);
    });
}
