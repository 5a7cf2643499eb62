//! Puts, releases and readers against the sweep: what is acknowledged or being read stays (I4), what
//! nothing refers to goes (I7), also after a power cut at any moment.

use parking_lot::schedule;

use super::store::{STEPS, after, assert_whole, number, open, parts, put, read};
use harness::disk::{self, Faults};
use harness::{Acknowledged, below, check, join, power_cut, task};
use partstore::{CompletedPart, Error, ListParts, ObjectOptions, Part, PartStore, Scope, Upload};

const X: &[u8] = b"some bytes";
const Y: &[u8] = b"other bytes";

fn put_task(
    store: &PartStore,
    upload: &Upload,
    (at, body): (u32, &'static [u8]),
    acknowledged: &Acknowledged<(Upload, Part)>,
) -> shuttle::thread::JoinHandle<bool> {
    let (store, upload, acknowledged) = (store.clone(), upload.clone(), acknowledged.clone());
    task(move || match put(&store, &upload, at, body) {
        Ok(part) => {
            acknowledged.push((upload, part));
            true
        }
        Err(Error::NoSuchUpload { .. }) => false,
        Err(error) => panic!("{error}"),
    })
}

pub fn sweep_task(store: &PartStore) -> shuttle::thread::JoinHandle<bool> {
    let store = store.clone();
    task(move || store.sweep().map(|_| true).unwrap())
}

fn verify_task(store: &PartStore) -> shuttle::thread::JoinHandle<bool> {
    let store = store.clone();
    task(move || {
        let found = store.verify(Scope::Metadata).unwrap();
        assert!(found.is_clean(), "not whole: {found:?}");
        true
    })
}

pub fn abort_task(store: &PartStore, upload: &Upload) -> shuttle::thread::JoinHandle<bool> {
    let (store, upload) = (store.clone(), upload.clone());
    task(move || {
        store.abort_upload(&upload).unwrap();
        store.sweep().unwrap();
        true
    })
}

pub fn assert_there(store: &PartStore, acknowledged: &[(Upload, Part)]) {
    for (upload, part) in acknowledged {
        let now = parts(store, upload).get(&part.number).copied();
        assert_eq!(now, Some(part.etag), "acknowledged, and lost");
        read(store.open_part(upload, part.number).unwrap());
    }
}

/// The put finds the blob of another upload's part, which goes in the meantime.
#[test]
fn a_blob_that_a_put_builds_on_is_not_swept() {
    check(1500, || {
        let store = open();
        let upload = store.initiate_upload("kept").unwrap();
        let gone = store.initiate_upload("gone").unwrap();
        put(&store, &gone, 1, X).unwrap();
        let acknowledged = Acknowledged::new();
        let cut = power_cut(&acknowledged, STEPS);
        let done = join([
            put_task(&store, &upload, (1, X), &acknowledged),
            abort_task(&store, &gone),
            sweep_task(&store),
        ]);
        assert_eq!(done, [true; 3]);
        assert_there(&store, &acknowledged.so_far());
        assert_whole(&store, &[X]);

        let (remains, before_the_cut) = cut.join().unwrap();
        let again = after(remains);
        assert_there(&again, &before_the_cut);
        let kept = !parts(&again, &upload).is_empty() || !parts(&again, &gone).is_empty();
        assert_whole(&again, if kept { &[X] } else { &[] });
    });
}

/// Three puts of the same new bytes; one or two of their uploads are aborted in the meantime, so that a
/// put may be refused when its file has its name already.
#[test]
fn a_refused_put_leaves_nothing_and_takes_nothing_from_others() {
    check(1500, || {
        let store = open();
        let uploads = ["a", "b", "c"].map(|key| store.initiate_upload(key).unwrap());
        let acknowledged = Acknowledged::new();
        let aborted = 1 + below(3);
        let cut = power_cut(&acknowledged, STEPS);
        let puts = uploads
            .each_ref()
            .map(|upload| put_task(&store, upload, (1, X), &acknowledged));
        let aborts: Vec<_> = uploads[..aborted]
            .iter()
            .map(|upload| abort_task(&store, upload))
            .collect();
        let sweep = sweep_task(&store);
        let done = join(puts);
        join(aborts.into_iter().chain([sweep]));
        assert!(
            done[aborted..].iter().all(|done| *done),
            "nobody aborted it"
        );
        let mut kept = acknowledged.so_far();
        kept.retain(|(upload, _)| uploads[aborted..].contains(upload));
        let bodies: &[&[u8]] = if aborted < 3 { &[X] } else { &[] };
        assert_there(&store, &kept);
        assert_whole(&store, bodies);

        let (remains, mut before_the_cut) = cut.join().unwrap();
        let at_last = disk::cut_power();
        let again = after(remains);
        before_the_cut.retain(|(upload, _)| uploads[aborted..].contains(upload));
        assert_there(&again, &before_the_cut);
        let there = uploads
            .iter()
            .any(|upload| !parts(&again, upload).is_empty());
        assert_whole(&again, if there { &[X] } else { &[] });
        let again = after(at_last);
        assert_there(&again, &kept);
        assert_whole(&again, bodies);
    });
}

/// A garbage blob finds a reference and loses it again while the sweep asks the truth about it. The
/// truth may then know a reference that the index denies, and yet the index is right.
#[test]
fn a_reference_that_comes_and_goes_while_the_truth_is_read_stops_nothing() {
    check(6000, || {
        let store = open();
        let [before, during] = ["before", "during"].map(|key| store.initiate_upload(key).unwrap());
        put(&store, &before, 1, X).unwrap();
        store.abort_upload(&before).unwrap();
        let comes_and_goes = {
            let (store, during) = (store.clone(), during.clone());
            task(move || {
                put(&store, &during, 1, X).unwrap();
                store.abort_upload(&during).unwrap();
                true
            })
        };
        let done = join([comes_and_goes, sweep_task(&store)]);
        assert_eq!(done, [true; 2]);
        assert_whole(&store, &[]);
    });
}

/// Bytes are replaced by others and back, while the sweep looks at both.
#[test]
fn replaced_parts_are_swept_and_those_in_their_place_are_not() {
    check(1500, || {
        let store = open();
        let upload = store.initiate_upload("key").unwrap();
        put(&store, &upload, 1, X).unwrap();
        let acknowledged = Acknowledged::new();
        join([
            put_task(&store, &upload, (1, Y), &acknowledged),
            put_task(&store, &upload, (1, X), &acknowledged),
            sweep_task(&store),
            sweep_task(&store),
        ]);
        let last = store
            .list_parts(&upload, &ListParts::new().limit(10))
            .unwrap()
            .parts[0]
            .clone();
        let body = read(store.open_part(&upload, number(1)).unwrap());
        assert!(body == X || body == Y);
        assert_there(&store, &[(upload.clone(), last)]);
        assert_whole(&store, &[&body]);
        // What is in the index is in the journal, in this order.
        let again = after(disk::cut_power());
        assert_eq!(read(again.open_part(&upload, number(1)).unwrap()), body);
        assert_whole(&again, &[&body]);
    });
}

/// A blob that has lost one reference loses the other one while the sweep looks at it: by a replacing
/// put, an abort, or a completion without the part. The sweep may miss it, but not for good.
#[test]
fn a_reference_that_is_lost_while_the_sweep_looks_is_not_forgotten() {
    check(2000, || {
        let store = open();
        let [upload, gone] = ["key", "gone"].map(|key| store.initiate_upload(key).unwrap());
        let listed = CompletedPart::from(&put(&store, &upload, 1, Y).unwrap());
        put(&store, &upload, 2, X).unwrap();
        put(&store, &gone, 1, X).unwrap();
        store.abort_upload(&gone).unwrap();
        let by = below(3);
        let losing = {
            let (store, upload) = (store.clone(), upload.clone());
            task(move || match by {
                0 => put(&store, &upload, 2, Y).is_ok(),
                1 => store.abort_upload(&upload).is_ok(),
                _ => store.complete_upload(&upload, &[listed]).is_ok(),
            })
        };
        let done = join([losing, sweep_task(&store)]);
        assert_eq!(done, [true; 2]);
        assert_whole(&store, if by == 1 { &[] } else { &[Y] });
    });
}

/// A reader gives the bytes of the part as it was when opened, whatever becomes of it.
#[test]
fn a_part_that_is_being_read_is_not_swept() {
    check(2500, || {
        let store = open();
        let upload = store.initiate_upload("key").unwrap();
        schedule::pause(|| put(&store, &upload, 1, X)).unwrap();
        let replacing = {
            let (store, upload) = (store.clone(), upload.clone());
            task(move || {
                for body in [Y, X, Y] {
                    put(&store, &upload, 1, body).unwrap();
                    store.sweep().unwrap();
                }
            })
        };
        for _ in 0..4 {
            let body = read(store.open_part(&upload, number(1)).unwrap());
            assert!(body == X || body == Y);
        }
        join([replacing]);
        assert_whole(&store, &[Y]);
    });
}

/// The same for an object, whose files are opened one by one as they are read. One part is pinned. Of several,
/// the object is held as a whole, and their rows are read one by one, too.
#[test]
fn an_object_that_is_being_read_is_not_swept() {
    check(1500, || {
        let store = open();
        let upload = store.initiate_upload("key").unwrap();
        let parts = [(1, X), (2, Y)];
        let parts = &parts[..=below(2)];
        let list: Vec<_> = schedule::pause(|| {
            let put = |(at, body): &(u32, &'static [u8])| put(&store, &upload, *at, body).unwrap();
            parts
                .iter()
                .map(|part| CompletedPart::from(&put(part)))
                .collect()
        });
        store.complete_upload(&upload, &list).unwrap();
        let removing = {
            let (store, upload) = (store.clone(), upload.clone());
            task(move || {
                store.remove_object(&upload).unwrap();
                store.sweep().unwrap();
            })
        };
        match store.open_object(&upload) {
            Ok(reader) => {
                let bodies: Vec<_> = parts.iter().map(|(_, body)| *body).collect();
                assert_eq!(read(reader), bodies.concat());
            }
            Err(error) => assert!(matches!(error, Error::NoSuchObject { .. }), "{error}"),
        }
        join([removing]);
        assert_whole(&store, &[]);
    });
}

/// Whoever copies an object from a reader has its bytes, also if the object is removed meanwhile.
#[test]
fn an_object_that_is_being_copied_is_not_swept() {
    check(1500, || {
        let store = open();
        let source = schedule::pause(|| {
            let upload = store.initiate_upload("key").unwrap();
            let list = [(1, X), (2, Y)]
                .map(|(at, body)| CompletedPart::from(&put(&store, &upload, at, body).unwrap()));
            store.complete_upload(&upload, &list).unwrap();
            store.open_object(&upload).unwrap()
        });
        let removing = {
            let (store, upload) = (store.clone(), source.object().upload.clone());
            task(move || {
                store.remove_object(&upload).unwrap();
                store.sweep().unwrap();
            })
        };
        let copied = store.copy_object(&source, "copy", &ObjectOptions::new());
        drop(source);
        let sweep = sweep_task(&store);
        join([removing]);
        join([sweep]);
        let reader = store.open_object(&copied.unwrap().upload).unwrap();
        assert_eq!(read(reader), [X, Y].concat());
        assert_whole(&store, &[X, Y]);
    });
}

/// The sweep's own steps: when its power is cut, no row is left without its file.
#[test]
fn a_power_cut_in_a_sweep_leaves_no_record_without_its_blob() {
    check(1500, || {
        let store = open();
        let gone = store.initiate_upload("gone").unwrap();
        put(&store, &gone, 1, X).unwrap();
        put(&store, &gone, 2, Y).unwrap();
        let acknowledged = Acknowledged::<()>::new();
        store.abort_upload(&gone).unwrap();
        let cut = power_cut(&acknowledged, STEPS);
        let sweep = sweep_task(&store);
        join([sweep]);
        assert_whole(&store, &[]);
        let (remains, _) = cut.join().unwrap();
        assert_whole(&after(remains), &[]);
    });
}

/// What is left of an upload is released part by part, while one of its parts is copied, its bytes are put
/// again, and all rows are compared with each other.
#[test]
fn what_is_released_part_by_part_takes_nothing_from_others() {
    check(1500, || {
        let store = open();
        let [gone, kept] = ["gone", "kept"].map(|key| store.initiate_upload(key).unwrap());
        let copied = schedule::pause(|| {
            for (at, body) in [(1, X), (2, Y), (3, X)] {
                put(&store, &gone, at, body).unwrap();
            }
            store.open_part(&gone, number(2)).unwrap()
        });
        let acknowledged = Acknowledged::new();
        let cut = power_cut(&acknowledged, STEPS);
        let copy = {
            let (store, kept, acknowledged) = (store.clone(), kept.clone(), acknowledged.clone());
            task(move || {
                let part = store.copy_part(&copied, &kept, number(2)).unwrap();
                acknowledged.push((kept, part));
                true
            })
        };
        let done = join([
            abort_task(&store, &gone),
            put_task(&store, &kept, (1, X), &acknowledged),
            copy,
            verify_task(&store),
        ]);
        assert_eq!(done, [true; 4]);
        assert_there(&store, &acknowledged.so_far());
        assert_whole(&store, &[X, Y]);

        let (remains, before_the_cut) = cut.join().unwrap();
        let again = after(remains);
        assert_there(&again, &before_the_cut);
        let (still, left) = (parts(&again, &gone), parts(&again, &kept));
        let has = |at| still.contains_key(&number(at)) || left.contains_key(&number(at));
        let bodies: Vec<&[u8]> = [(1, X), (2, Y)]
            .into_iter()
            .filter(|(at, _)| has(*at))
            .map(|(_, body)| body)
            .collect();
        assert_whole(&again, &bodies);
    });
}

/// Whichever sync fails, of a body, a directory or the journal: what was acknowledged is there when
/// the store is opened again, and until then nothing more is acknowledged.
#[test]
fn after_a_failed_sync_of_a_store_nothing_is_lost() {
    check(1000, || {
        let store = open();
        let uploads = ["a", "b"].map(|key| store.initiate_upload(key).unwrap());
        disk::break_down(Faults {
            failing_sync: Some(below(14)),
            ..Faults::default()
        });
        let acknowledged = Acknowledged::new();
        let puts = [(0, 1, X), (1, 1, X), (0, 2, Y)].map(|(upload, at, body)| {
            let (store, upload) = (store.clone(), uploads[upload].clone());
            let acknowledged = acknowledged.clone();
            task(move || {
                let done = put(&store, &upload, at, body);
                done.map(|part| acknowledged.push((upload, part))).is_ok()
            })
        });
        let sweep = {
            let store = store.clone();
            task(move || store.sweep().is_ok())
        };
        let done = join(puts.into_iter().chain([sweep]));
        if disk::has_failed() {
            assert!(done.contains(&false), "somebody was told");
            assert!(put(&store, &uploads[0], 3, X).is_err());
        }
        let again = after(disk::cut_power());
        assert_there(&again, &acknowledged.so_far());
        let bodies = [X, Y].into_iter().filter(|body| {
            let [a, b] = uploads.each_ref().map(|upload| parts(&again, upload));
            match *body {
                X => a.contains_key(&number(1)) || b.contains_key(&number(1)),
                _ => a.contains_key(&number(2)),
            }
        });
        assert_whole(&again, &bodies.collect::<Vec<_>>());
    });
}
