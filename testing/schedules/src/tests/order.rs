//! Changes to one upload have one order (R28), and it is the journal's: what is opened after a power
//! cut is what was seen before.

use super::store::{after, assert_whole, number, open, parts, put, read};
use harness::disk;
use harness::{below, check, join, task};
use partstore::{CompletedPart, Error, PartStore, Result, Upload};

const X: &[u8] = b"some bytes";
const Y: &[u8] = b"other bytes";
const Z: &[u8] = b"more bytes";

fn doing<T: Send + 'static>(
    (store, upload): (&PartStore, &Upload),
    call: impl FnOnce(&PartStore, &Upload) -> T + Send + 'static,
) -> shuttle::thread::JoinHandle<T> {
    let (store, upload) = (store.clone(), upload.clone());
    task(move || call(&store, &upload))
}

fn refused<T>(done: Result<T>) -> bool {
    match done {
        Ok(_) => false,
        Err(Error::NoSuchUpload { .. } | Error::InvalidPart { .. }) => true,
        Err(error) => panic!("{error}"),
    }
}

/// Whoever wins in the index wins in the journal.
#[test]
fn puts_to_one_number_have_the_order_of_the_journal() {
    check(1500, || {
        let store = open();
        let upload = store.initiate_upload("key").unwrap();
        let at = (&store, &upload);
        let puts =
            [X, Y, Z].map(|body| doing(at, move |store, upload| put(store, upload, 1, body)));
        for done in join(puts) {
            done.unwrap();
        }
        let seen = read(store.open_part(&upload, number(1)).unwrap());
        assert_whole(&store, &[&seen]);
        let again = after(disk::cut_power());
        assert_eq!(read(again.open_part(&upload, number(1)).unwrap()), seen);
        assert_whole(&again, &[&seen]);
    });
}

/// An upload of a part is completed, aborted and put to at once: the object has what was listed, or
/// there is none.
#[test]
fn an_upload_ends_once_and_what_comes_after_is_refused() {
    check(1500, || {
        let store = open();
        let upload = store.initiate_upload("key").unwrap();
        let listed = CompletedPart::from(&put(&store, &upload, 1, X).unwrap());
        let at = (&store, &upload);
        let tasks = [
            doing(at, |store, upload| refused(put(store, upload, 1, Y))),
            doing(at, |store, upload| refused(put(store, upload, 2, Z))),
            doing(at, move |store, upload| {
                refused(store.complete_upload(upload, &[listed]))
            }),
            doing(at, |store, upload| refused(store.abort_upload(upload))),
            doing(at, |store, _| store.sweep().is_err()),
        ];
        let [replace_refused, _, complete_refused, abort_refused, _] = join(tasks)[..] else {
            panic!("five tasks");
        };
        let completed = !complete_refused;
        assert_ne!(completed, !abort_refused, "it ends once");
        assert!(replace_refused || !completed, "the listed part is the one");
        let bodies: &[&[u8]] = if completed { &[X] } else { &[] };
        let look = |store: &PartStore| {
            assert!(parts(store, &upload).is_empty());
            match store.open_object(&upload) {
                Ok(object) => assert_eq!(read(object), X),
                Err(error) => assert!(!completed, "{error}"),
            }
            assert_whole(store, bodies);
        };
        look(&store);
        look(&after(disk::cut_power()));
    });
}

/// The same completion twice at once, and sometimes the object is removed: both get the same object,
/// or find none (R26). Who is answered is answered for good.
#[test]
fn the_same_completion_at_once_answers_the_same() {
    check(1000, || {
        let store = open();
        let upload = store.initiate_upload("key").unwrap();
        let list = [(1, X), (2, Y)]
            .map(|(at, body)| CompletedPart::from(&put(&store, &upload, at, body).unwrap()));
        let at = (&store, &upload);
        let completing = [(), ()].map(|()| {
            doing(at, move |store, upload| {
                let object = store.complete_upload(upload, &list).ok()?;
                // The power goes the moment that this is answered.
                Some((object.etag, object.completed_at, disk::cut_power()))
            })
        });
        let remove = below(2) == 0;
        let removed = doing(at, move |store, upload| {
            remove && store.remove_object(upload).is_ok()
        });
        let answers: Vec<_> = join(completing).into_iter().flatten().collect();
        let removed = removed.join().unwrap();
        assert!(answers.len() == 2 || removed && answers.len() == 1);
        let bodies: &[&[u8]] = if removed { &[] } else { &[X, Y] };
        assert_whole(&store, bodies);

        let first = answers.first().map(|(etag, at, _)| (*etag, *at));
        for (etag, at, remains) in answers {
            assert_eq!(Some((etag, at)), first, "both get the same");
            let there = after(remains).object(&upload).is_ok();
            assert!(there || removed, "acknowledged, and lost");
        }
    });
}

/// A close waits for the calls that are under way; later ones are refused, and what was acknowledged
/// is there.
#[test]
fn a_close_loses_nothing() {
    check(1000, || {
        let store = open();
        let upload = store.initiate_upload("key").unwrap();
        let at = (&store, &upload);
        let tasks = [
            doing(at, |store, upload| put(store, upload, 1, X).is_ok()),
            doing(at, |store, upload| put(store, upload, 2, Y).is_ok()),
            doing(at, |store, _| store.close().is_ok()),
        ];
        let done = join(tasks);
        assert!(done[2], "closed");
        let again = after(disk::cut_power());
        let parts = parts(&again, &upload);
        for (number, done) in [(number(1), done[0]), (number(2), done[1])] {
            assert_eq!(parts.contains_key(&number), done);
        }
        let bodies = [(X, done[0]), (Y, done[1])];
        let bodies = bodies.into_iter().filter(|(_, done)| *done);
        let bodies: Vec<&[u8]> = bodies.map(|(body, _)| body).collect();
        assert_whole(&again, &bodies);
    });
}
