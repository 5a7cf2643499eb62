//! Closing while calls are under way, and calls that are followed and broken off by their caller.

use std::collections::BTreeSet;
use std::ops::ControlFlow;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use partstore::{
    Error, IndexRecovery, ListParts, ListUploads, PartOptions, PartStore, Progress, Result, Scope,
    Upload,
};

use crate::fixture::{Fixture, bytes, files, free_options, number};

/// Beyond any reason, for what is to come at once or within a second or two.
const LONG: Duration = Duration::from_secs(30);

#[expect(
    clippy::needless_pass_by_value,
    reason = "an answer that is only looked at"
)]
fn is_closed<T>(answer: Result<T>) -> bool {
    matches!(answer, Err(Error::Closed))
}

/// Waits, as a callback of a call that is under way, until closing has begun.
fn until_closing(store: &PartStore) -> ControlFlow<()> {
    let begun = Instant::now();
    while !is_closed(store.stats()) {
        assert!(begun.elapsed() < LONG, "nobody closes the store");
        std::thread::sleep(Duration::from_millis(1));
    }
    ControlFlow::Continue(())
}

/// A store with so many parts, and as many blobs that are garbage, and a journal that wants a snapshot.
fn with_work(parts: u32) -> (Fixture, Upload) {
    let fixture = Fixture::with(free_options().journal_sizes(4096, 0));
    let upload = fixture.initiate("key");
    for at in 1..=parts {
        fixture.put(&upload, at, &bytes(u64::from(at), 50));
        fixture.put(&upload, at, &bytes(u64::from(at) + 100_000, 60));
    }
    (fixture, upload)
}

/// Closes the store while `call` runs, which is stopped in its callback until that has begun.
fn close_during(
    fixture: &Fixture,
    call: impl FnOnce(&mut dyn FnMut(Progress) -> ControlFlow<()>) -> bool + Send,
) {
    let (store, (told, callback)) = (&fixture.store, mpsc::channel());
    std::thread::scope(|scope| {
        let running = scope.spawn(move || {
            call(&mut |_| {
                told.send(()).unwrap();
                until_closing(store)
            })
        });
        callback.recv_timeout(LONG).expect("the callback is called");
        let begun = Instant::now();
        store.close().unwrap();
        assert!(begun.elapsed() < LONG);
        assert!(
            running.join().unwrap(),
            "it answers that the store is closed"
        );
    });
    let store = fixture.options.clone().open(fixture.root()).unwrap();
    assert_eq!(store.recovery().index, IndexRecovery::Trusted);
    store.sweep().unwrap();
    assert!(store.verify(Scope::Everything).unwrap().is_clean());
    assert_eq!(store.stats().unwrap().blobs, store.stats().unwrap().parts);
    store.close().unwrap();
}

#[test]
fn closing_ends_a_verify_that_is_under_way() {
    let (fixture, _) = with_work(300);
    let store = &fixture.store;
    close_during(&fixture, |tell| {
        is_closed(store.verify_with(Scope::Everything, tell))
    });
}

#[test]
fn closing_ends_a_sweep_that_is_under_way() {
    let (fixture, _) = with_work(600);
    let store = &fixture.store;
    close_during(&fixture, |tell| is_closed(store.sweep_with(tell)));
    assert!(fixture.blob_files().len() >= 600);
}

#[test]
fn closing_ends_a_snapshot_that_is_under_way() {
    let (fixture, _) = with_work(300);
    let store = &fixture.store;
    let snapshots = fixture.root().join("meta/snapshot");
    let mut begun = false;
    close_during(&fixture, |tell| {
        let answer = store.maintain_with(|progress| {
            begun = !files(&snapshots).is_empty();
            if begun {
                tell(progress)
            } else {
                ControlFlow::Continue(())
            }
        });
        is_closed(answer)
    });
    assert!(begun, "it was closed while a snapshot was taken");
    assert!(files(&snapshots).iter().all(|name| name.starts_with("000")));
}

/// Also while a call that is under way takes its time.
#[test]
fn calls_during_a_close_are_told_so_at_once() {
    let (fixture, upload) = with_work(10);
    let (store, at) = (&fixture.store, number(1));
    let mut writer = store.part_writer(&upload, at, PartOptions::new()).unwrap();
    let reader = store.open_part(&upload, at).unwrap();
    let mut stopped = false;
    close_during(&fixture, |tell| {
        let answer = store.verify_with(Scope::Metadata, |progress| {
            let goes_on = tell(progress);
            // The close waits for this callback.
            let begun = Instant::now();
            let answers = [
                is_closed(store.initiate_upload("new")),
                is_closed(store.put_part(&upload, at, "new")),
                is_closed(store.part_writer(&upload, at, PartOptions::new())),
                is_closed(writer.append(b"more")),
                is_closed(store.copy_part(&reader, &upload, at)),
                is_closed(store.list_parts(&upload, &ListParts::new().limit(10))),
                is_closed(store.list_uploads(&ListUploads::new())),
                is_closed(store.open_part(&upload, at)),
                is_closed(store.abort_upload(&upload)),
                is_closed(store.expire_uploads(Duration::ZERO)),
                is_closed(store.verify(Scope::Metadata)),
                is_closed(store.sweep()),
                is_closed(store.maintain()),
                is_closed(store.stats()),
            ];
            assert_eq!(answers, [true; 14]);
            assert!(begun.elapsed() < LONG);
            stopped = true;
            goes_on
        });
        is_closed(answer)
    });
    assert!(stopped);
    assert!(is_closed(writer.finish()));
}

#[test]
fn the_second_of_two_closes_answers_when_the_store_is_closed() {
    let (fixture, _) = with_work(10);
    let (store, held) = (&fixture.store, AtomicBool::new(true));
    let (told, callback) = mpsc::channel();
    std::thread::scope(|scope| {
        let (held, told) = (&held, told);
        let verify = scope.spawn(move || {
            store.verify_with(Scope::Metadata, |_| {
                told.send(()).unwrap();
                while held.load(Ordering::SeqCst) {
                    std::thread::sleep(Duration::from_millis(1));
                }
                ControlFlow::Continue(())
            })
        });
        callback.recv_timeout(LONG).unwrap();
        let close = || {
            let closed = store.close();
            assert!(!held.load(Ordering::SeqCst), "it is not closed yet");
            // Nobody has the directory any more.
            let again = fixture.options.clone().open(fixture.root());
            assert!(matches!(again, Ok(_) | Err(Error::StoreLocked { .. })));
            closed
        };
        let closes = [scope.spawn(close), scope.spawn(close)];
        std::thread::sleep(Duration::from_millis(300));
        held.store(false, Ordering::SeqCst);
        for close in closes {
            close.join().unwrap().unwrap();
        }
        assert!(is_closed(verify.join().unwrap()));
    });
    let store = fixture.options.clone().open(fixture.root()).unwrap();
    assert_eq!(store.recovery().index, IndexRecovery::Trusted);
}

#[test]
fn every_close_is_told_how_the_first_one_ended() {
    let (fixture, _) = with_work(50);
    let sealed = crate::seen::segments(&fixture.root()).remove(1);
    let mut damaged = std::fs::read(&sealed).unwrap();
    damaged[100] ^= 4;
    std::fs::write(&sealed, damaged).unwrap();
    assert!(!fixture.store.verify(Scope::Metadata).unwrap().is_clean());
    for store in [&fixture.store, &fixture.store.clone()] {
        match store.close() {
            Err(Error::Damaged { path, .. }) => assert_eq!(path, sealed),
            other => panic!("{other:?}"),
        }
    }
}

/// Puts a large part and closes the store in the meantime; whether the put was broken off.
fn breaks_off_a_put(attempt: u8) -> bool {
    let fixture = Fixture::new();
    let (store, upload) = (&fixture.store, fixture.initiate("key"));
    let body = Bytes::from(vec![attempt; 256 << 20]);
    let put = std::thread::scope(|scope| {
        let put = scope.spawn(|| store.put_part(&upload, number(1), body));
        while store.stats().unwrap().staged_bodies == 0 && !put.is_finished() {
            std::thread::sleep(Duration::from_millis(1));
        }
        let begun = Instant::now();
        store.close().unwrap();
        assert!(begun.elapsed() < LONG);
        put.join().unwrap()
    });
    assert_eq!(files(&fixture.root().join("staging")), BTreeSet::new());
    let store = fixture.options.clone().open(fixture.root()).unwrap();
    let parts = store
        .list_parts(&upload, &ListParts::new().limit(10))
        .unwrap()
        .parts;
    match put {
        Ok(part) => assert_eq!(parts, [part]),
        Err(Error::Closed) => {
            assert_eq!(parts, []);
            assert_eq!(fixture.blob_files(), BTreeSet::new());
            return true;
        }
        Err(error) => panic!("{error}"),
    }
    false
}

#[test]
fn closing_breaks_off_a_put_of_a_large_part_which_leaves_nothing() {
    assert!((0..20).any(breaks_off_a_put));
}

/// Before a part relies on bytes that are stored, this process reads them. Whether closing broke that off.
fn breaks_off_a_reading(attempt: u8) -> bool {
    let mut fixture = Fixture::new();
    let body = Bytes::from(vec![attempt; 64 << 20]);
    let upload = fixture.initiate("key");
    let stored = fixture.store.put_part(&upload, number(1), body.clone());
    stored.unwrap();
    // What a process has written it need not read.
    fixture.reopen();
    let store = &fixture.store;
    let put = std::thread::scope(|scope| {
        let put = scope.spawn(|| store.put_part(&upload, number(2), body));
        while store.stats().unwrap().pinned_blobs == 0 && !put.is_finished() {
            std::thread::sleep(Duration::from_millis(1));
        }
        store.close().unwrap();
        put.join().unwrap()
    });
    fixture.store = fixture.options.clone().open(fixture.root()).unwrap();
    fixture.assert_tidy();
    match put {
        Ok(_) => assert_eq!(fixture.parts(&upload).len(), 2),
        Err(Error::Closed) => {
            assert_eq!(fixture.parts(&upload).len(), 1);
            return true;
        }
        Err(error) => panic!("{error}"),
    }
    false
}

#[test]
fn closing_breaks_off_the_reading_of_a_stored_body() {
    assert!((0..20).any(breaks_off_a_reading));
}

#[test]
fn verify_tells_how_far_it_has_come() {
    let (fixture, upload) = with_work(300);
    fixture.put(&upload, 400, &bytes(1, 3_000_000));
    for scope in [Scope::Metadata, Scope::Everything] {
        let mut told = Vec::new();
        let report = fixture.store.verify_with(scope, |progress| {
            told.push((progress.done, progress.total));
            ControlFlow::Continue(())
        });
        let report = report.unwrap();
        assert!(report.is_clean() && !report.cut_short);
        assert_eq!(report, fixture.store.verify(scope).unwrap());
        let (first, last) = (told[0], *told.last().unwrap());
        assert_eq!((first.0, last.0), (0, last.1), "{told:?}");
        assert!(told.is_sorted() && told.iter().all(|(_, total)| *total == last.1));
        assert!(told.len() > 10);
        assert_eq!(last.1 > 3_000_000, scope == Scope::Everything);
    }
}

#[test]
fn a_verify_that_is_broken_off_gives_what_it_has() {
    let (fixture, _) = with_work(600);
    let verify = |calls: usize| {
        let mut left = calls;
        let report = fixture.store.verify_with(Scope::Everything, |_| {
            assert_ne!(left, 0, "asked again");
            left -= 1;
            if left == 0 {
                ControlFlow::Break(())
            } else {
                ControlFlow::Continue(())
            }
        });
        (report.unwrap(), left)
    };
    let whole = fixture.store.verify(Scope::Everything).unwrap();
    let (report, _) = verify(1);
    assert_eq!((report.cut_short, report.parts, report.blobs), (true, 0, 0));
    let mut most = 0;
    for calls in (2..).step_by(97) {
        let (report, left) = verify(calls);
        if left != 0 {
            break;
        }
        assert!(report.is_clean() && report.bytes >= most);
        most = report.bytes;
    }
    assert!(most > 0 && most < whole.bytes);
    fixture.assert_tidy();
}

#[test]
fn a_sweep_that_is_broken_off_removes_some_and_the_next_the_rest() {
    let (fixture, _) = with_work(1000);
    let report = fixture.store.sweep_with(|progress| {
        assert_eq!(progress.total, 1000);
        if progress.done > 0 {
            ControlFlow::Break(())
        } else {
            ControlFlow::Continue(())
        }
    });
    let first = report.unwrap();
    assert!(first.cut_short && first.blobs > 0 && first.blobs < 1000);
    assert_eq!(fixture.blob_files().len() as u64, 2000 - first.blobs);
    let mut last = None;
    let rest = fixture.store.sweep_with(|progress| {
        last = Some((progress.done, progress.total));
        ControlFlow::Continue(())
    });
    let rest = rest.unwrap();
    assert_eq!((rest.cut_short, rest.blobs), (false, 1000 - first.blobs));
    assert_eq!(last, Some((rest.blobs, rest.blobs)));
    fixture.assert_tidy();
}

#[test]
fn a_maintenance_that_is_broken_off_says_so() {
    let (fixture, _) = with_work(300);
    let report = fixture.store.maintain_with(|_| ControlFlow::Break(()));
    let report = report.unwrap();
    assert!(report.cut_short && !report.checkpoint);
    assert_eq!((report.sweep.blobs, report.expired), (0, 0));
    let report = fixture.store.maintain().unwrap();
    assert!(!report.cut_short && report.checkpoint);
    assert_eq!(report.sweep.blobs, 300);
    fixture.assert_tidy();
}

/// It is not taken for a panic of the index.
#[test]
fn a_panic_of_the_callback_is_the_callers_and_the_store_goes_on() {
    let (fixture, upload) = with_work(300);
    for panicking in 1..12 {
        let mut calls = 0;
        let verify = || {
            fixture.store.verify_with(Scope::Everything, |_| {
                calls += 1;
                assert_ne!(calls, panicking, "of the callback");
                ControlFlow::Continue(())
            })
        };
        assert!(catch_unwind(AssertUnwindSafe(verify)).is_err());
    }
    fixture.put(&upload, 1, b"more");
    fixture.assert_tidy();
}

#[test]
fn stats_and_other_calls_do_not_wait_for_a_snapshot() {
    let (fixture, upload) = with_work(600);
    let snapshots = fixture.root().join("meta/snapshot");
    let (mut during, store) = (0, fixture.store.clone());
    let report = fixture.store.maintain_with(|_| {
        if files(&snapshots).contains("layer.tmp") {
            during += 1;
            let (answer, answered) = mpsc::channel();
            let (store, upload) = (store.clone(), upload.clone());
            std::thread::spawn(move || {
                let stats = store.stats().unwrap();
                store.put_part(&upload, number(1000), "more").unwrap();
                answer.send(stats.checkpoint_seq).unwrap();
            });
            let seq = answered.recv_timeout(LONG);
            assert_eq!(seq, Ok(0), "it waits for the snapshot");
        }
        ControlFlow::Continue(())
    });
    assert!(report.unwrap().checkpoint);
    assert!(during > 0);
    assert_ne!(store.stats().unwrap().checkpoint_seq, 0);
}
