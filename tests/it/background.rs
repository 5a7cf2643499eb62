//! The housekeeping thread.

use std::fs;
use std::io::Read;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use partstore::{Background, Event, Options};

use crate::fixture::{Fixture, bytes, free_options, in_own_process, number, refusal, role};

fn with_thread() -> Options {
    free_options().background(Background::Thread)
}

/// Waits until it is so; panics when it takes beyond any reason.
pub fn wait_until(what: &str, mut so: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !so() {
        assert!(begun.elapsed() < Duration::from_secs(60), "{what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// How many threads of this process have the name.
pub fn threads_named(wanted: &str) -> usize {
    let tasks = fs::read_dir("/proc/self/task").unwrap();
    let names = tasks.filter_map(|task| fs::read_to_string(task.unwrap().path().join("comm")).ok());
    names.filter(|name| name.trim_end() == wanted).count()
}

/// In a process of its own: the other tests have threads of this name, too.
#[test]
fn there_is_one_thread_from_open_to_close() {
    if role().is_none() {
        let name = "background::there_is_one_thread_from_open_to_close";
        in_own_process(name, "alone");
        return;
    }
    assert_eq!(threads_named("partstore"), 0);
    let mut fixture = Fixture::with(with_thread());
    // A thread gives itself its name once it runs.
    wait_until("the thread", || threads_named("partstore") == 1);
    let upload = fixture.initiate("key");
    fixture.put(&upload, 1, b"bytes");
    assert_eq!(threads_named("partstore"), 1, "and no other");
    fixture.reopen();
    wait_until("the thread", || threads_named("partstore") == 1);
    fixture.store.close().unwrap();
    assert_eq!(threads_named("partstore"), 0, "gone when close returns");
    drop(fixture);
    let fixture = Fixture::new();
    fixture.put(&fixture.initiate("key"), 1, b"bytes");
    assert_eq!(threads_named("partstore"), 0, "none when the host does it");
}

#[test]
fn garbage_goes_by_itself() {
    let fixture = Fixture::with(with_thread());
    let upload = fixture.initiate("key");
    for at in 0..10 {
        fixture.put(&upload, 1, &bytes(at, 5000));
    }
    wait_until("one blob left", || fixture.blob_files().len() == 1);
    let object = fixture.complete("object", &[b"bytes"]);
    fixture.store.abort_upload(&upload).unwrap();
    wait_until("the object's left", || {
        fixture.blob_files().len() == 1 && fixture.store.stats().unwrap().garbage == 0
    });
    fixture.store.remove_object(&object.upload).unwrap();
    wait_until("none left", || fixture.blob_files().is_empty());
    assert_eq!(fixture.store.stats().unwrap().background_failure, None);
    fixture.assert_tidy();
}

/// Nobody wakes the thread when a reader goes, and it works by itself only once a minute.
#[test]
fn what_was_read_while_it_was_removed_goes_soon_after_its_reader() {
    let in_use = Arc::new(AtomicU64::new(0));
    let told = Arc::clone(&in_use);
    let fixture = Fixture::with(with_thread().observer(move |event: &Event| {
        if let Event::Sweep { report, .. } = event {
            told.store(report.in_use, Ordering::Relaxed);
        }
    }));
    let bodies: Vec<_> = (0..40).map(|at| bytes(at, 2000)).collect();
    for parts in [1, 40] {
        let bodies: Vec<_> = bodies[..parts].iter().map(Vec::as_slice).collect();
        let object = fixture.complete("object", &bodies).upload;
        let mut reader = fixture.store.open_object(&object).unwrap();
        fixture.store.remove_object(&object).unwrap();
        wait_until("a sweep that meets it", || {
            in_use.load(Ordering::Relaxed) > 0
        });
        let mut read = Vec::new();
        reader.read_to_end(&mut read).unwrap();
        assert_eq!(read, bodies.concat());
        drop(reader);
        let dropped = Instant::now();
        wait_until("none left", || fixture.blob_files().is_empty());
        let took = dropped.elapsed();
        assert!(took < Duration::from_secs(30), "{parts} parts: {took:?}");
        // Or the next round would take an old report for its own.
        wait_until("the sweep's report", || in_use.load(Ordering::Relaxed) == 0);
    }
    fixture.assert_tidy();
}

/// What is garbage at a close, or was left by a crash, goes after the next open.
#[test]
fn garbage_from_before_the_open_goes_by_itself() {
    let fixture = Fixture::new();
    let upload = fixture.initiate("key");
    fixture.put(&upload, 1, b"bytes");
    fixture.store.abort_upload(&upload).unwrap();
    let killed = fixture.killed();
    let orphan = blake3::hash(b"orphan").to_hex().to_string();
    let dir = killed.join("blobs").join(&orphan[..2]);
    fs::create_dir_all(&dir).unwrap();
    fs::write(dir.join(&orphan), b"orphan").unwrap();
    assert_eq!(crate::fixture::blob_files(&killed).len(), 2);
    let store = with_thread().open(&killed).unwrap();
    wait_until("none left", || {
        crate::fixture::blob_files(&killed).is_empty()
    });
    drop(store);
}

/// Without a thread nothing goes before the host asks.
#[test]
fn the_host_may_do_it_instead() {
    let fixture = Fixture::new();
    let upload = fixture.initiate("key");
    fixture.put(&upload, 1, b"bytes");
    fixture.store.abort_upload(&upload).unwrap();
    assert_eq!(fixture.blob_files().len(), 1);
    assert_eq!(fixture.store.maintain().unwrap().sweep.blobs, 1);
    assert_eq!(fixture.blob_files().len(), 0);
}

/// R33
#[test]
fn uploads_expire_by_themselves() {
    let mut fixture = Fixture::new();
    let upload = fixture.initiate("key");
    fixture.put(&upload, 1, b"bytes");
    let object = fixture.complete("object", &[b"object"]);
    fixture.options = with_thread().expire_uploads_after(Duration::from_secs(3600));
    fixture.reopen();
    fixture.options = with_thread().expire_uploads_after(Duration::from_millis(1));
    assert!(fixture.store.upload(&upload).is_ok());
    fixture.reopen();
    wait_until("expired", || fixture.store.upload(&upload).is_err());
    let answer = fixture.store.open_part(&upload, number(1));
    assert_eq!(refusal(answer), ("NoSuchUpload", 404));
    wait_until("its bytes", || fixture.blob_files().len() == 1);
    assert_eq!(fixture.store.object(&object.upload).unwrap(), object);
}
