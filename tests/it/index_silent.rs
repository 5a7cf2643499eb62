//! An index that does not answer any more: the store stops, and nobody waits for ever.
//!
//! The hang is a real one. sled does its work on threads that all its databases in a process share, and one
//! that panics is gone. So a process of its own opens a store, and beside it another sled, whose futures
//! wake a waker that panics, until no thread is left. What waits for sled's disk then waits for ever.

use std::future::Future;
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::time::{Duration, Instant};

use partstore::{Error, IndexRecovery, ListParts, ListUploads, PartStore, Scope, Upload};

use crate::fixture::{bytes, free_options, number, own_process, read_part, role};

struct Panics;

impl Wake for Panics {
    fn wake(self: Arc<Self>) {
        panic!("a thread of sled's panics, as the test wants it to");
    }
}

fn sled_threads() -> usize {
    let tasks = std::fs::read_dir("/proc/self/task").unwrap();
    let names =
        tasks.filter_map(|task| std::fs::read_to_string(task.unwrap().path().join("comm")).ok());
    names.filter(|name| name.starts_with("sled-io")).count()
}

/// Ends all threads of sled's in this process.
fn end_sled_threads() {
    let dir = tempfile::tempdir().unwrap();
    let other = sled::open(dir.path()).unwrap();
    let waker = Waker::from(Arc::new(Panics));
    let begun = Instant::now();
    // They are started when there is something to do.
    let _ = pin!(other.flush_async()).poll(&mut Context::from_waker(Waker::noop()));
    while sled_threads() == 0 {
        std::thread::sleep(Duration::from_millis(5));
    }
    while sled_threads() > 0 {
        let mut flushed = pin!(other.flush_async());
        // Ready at once when the thread was faster than this one: then nobody is woken.
        if flushed.as_mut().poll(&mut Context::from_waker(&waker)) == Poll::Pending {
            std::thread::sleep(Duration::from_millis(5));
        }
        assert!(
            begun.elapsed() < Duration::from_secs(60),
            "{}",
            sled_threads()
        );
    }
    // Its drop would wait for them.
    std::mem::forget(other);
}

/// Runs the test below in a process of its own, with the directory of a store; ends it if it hangs.
fn in_a_doomed_process(root: &Path) {
    let output = own_process(TEST, &root.to_string_lossy()).output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success() && said.contains(DONE),
        "{said}{}",
        String::from_utf8_lossy(&output.stderr)
    );
}

const TEST: &str = "index_silent::an_index_that_hangs_stops_the_store_and_nobody_waits_for_ever";
/// What hangs is the name of the store's directory.
const PUTS: &str = "puts";
const CLOSE: &str = "close";
const DONE: &str = "done with the index";

/// Opens the store in the doomed process. It is left without any clean-up: what hangs cannot be joined.
fn doomed(root: &Path, run: impl FnOnce(PartStore)) {
    std::thread::spawn(|| {
        std::thread::sleep(Duration::from_secs(150));
        eprintln!("something hangs");
        std::process::exit(3);
    });
    // One page of the index is more than the cache likes to have.
    run(free_options().index_cache(1).open(root).unwrap());
    println!("{DONE}");
    std::process::exit(0);
}

fn assert_silent<T: std::fmt::Debug>(answer: Result<T, Error>) {
    let said = answer.unwrap_err().to_string();
    assert!(said.contains("does not answer"), "{said}");
}

/// What a call answers, and that it does so soon.
fn within<T>(seconds: u64, call: impl FnOnce() -> T) -> T {
    let begun = Instant::now();
    let answer = call();
    let took = begun.elapsed();
    assert!(took < Duration::from_secs(seconds), "it took {took:?}");
    answer
}

/// Parts that each thread puts, at most: far more than it takes to find the index silent.
const MOST: u32 = 2500;

/// Puts parts to one upload on four threads until the store has stopped. Some hang in the index, others wait
/// for those. Gives how many were acknowledged to each thread, and how many threads were answered.
fn put_until_silent(store: &PartStore, upload: &Upload) -> (Vec<u32>, usize) {
    let acknowledged: [Arc<AtomicU32>; 4] = Default::default();
    let threads: [_; 4] = std::array::from_fn(|thread| {
        let (store, upload, count) = (
            store.clone(),
            upload.clone(),
            Arc::clone(&acknowledged[thread]),
        );
        let first = MOST * u32::try_from(thread).unwrap();
        std::thread::spawn(move || {
            for at in 1..=MOST {
                let body = bytes(u64::from(first + at), 100);
                let put = store.put_part(&upload, number(first + at), body);
                if put.is_err() {
                    return assert_silent(put);
                }
                count.store(at, Ordering::SeqCst);
            }
        })
    });
    // As a server does that asks for its store's health.
    let begun = Instant::now();
    while within(5, || store.stats()).unwrap().stopped.is_none() {
        assert!(begun.elapsed() < Duration::from_secs(100), "nobody noticed");
        std::thread::sleep(Duration::from_millis(500));
    }
    // Who waits for another call notices within a second.
    std::thread::sleep(Duration::from_secs(3));
    let answered = threads.iter().filter(|thread| thread.is_finished());
    let answered = answered.count();
    let counts = acknowledged
        .iter()
        .map(|count| count.load(Ordering::SeqCst));
    (counts.collect(), answered)
}

/// It takes half a minute until an index counts as silent, so both wait for that together.
#[test]
fn an_index_that_hangs_stops_the_store_and_nobody_waits_for_ever() {
    if let Some(root) = role().map(PathBuf::from) {
        return if root.ends_with(PUTS) {
            puts_hang(&root);
        } else {
            a_close_hangs(&root);
        };
    }
    std::thread::scope(|scope| {
        scope.spawn(everybody_else_is_answered_when_puts_hang);
        scope.spawn(a_close_that_hangs_says_so);
    });
}

fn puts_hang(root: &Path) {
    doomed(root, |store| {
        let upload = store.initiate_upload("key").unwrap();
        end_sled_threads();
        let (acknowledged, answered) = put_until_silent(&store, &upload);
        assert!(answered < 4, "nothing hung: {acknowledged:?}");
        assert_silent(within(5, || store.put_part(&upload, number(1), "more")));
        assert_silent(within(5, || {
            store.list_parts(&upload, &ListParts::new().limit(10))
        }));
        assert_silent(within(5, || store.abort_upload(&upload)));
        assert_silent(within(5, || store.sweep()));
        assert_silent(within(5, || store.close()));
        let beside = root.with_file_name("acknowledged");
        std::fs::write(beside, format!("{acknowledged:?}")).unwrap();
    });
}

/// I8, I2
fn everybody_else_is_answered_when_puts_hang() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().join(PUTS);
    in_a_doomed_process(&root);

    let store = rebuilt(&root);
    let [open] = &store.list_uploads(&ListUploads::new()).unwrap().uploads[..] else {
        panic!("one upload")
    };
    let acknowledged = std::fs::read_to_string(dir.path().join("acknowledged")).unwrap();
    let acknowledged = acknowledged.trim_matches(['[', ']']).split(", ");
    for (thread, count) in (0..).zip(acknowledged) {
        for at in 1..=count.parse().unwrap() {
            let at: u32 = thread * MOST + at;
            let expected = bytes(at.into(), 100);
            assert_eq!(read_part(&store, &open.upload, number(at)), expected);
        }
    }
    assert!(store.verify(Scope::Everything).unwrap().is_clean());
}

fn a_close_hangs(root: &Path) {
    doomed(root, |store| {
        let upload = store.initiate_upload("key").unwrap();
        store.put_part(&upload, number(1), "bytes").unwrap();
        end_sled_threads();
        assert_silent(within(60, || store.close()));
        assert_silent(within(5, || store.close()));
    });
}

/// I9: without a word from the index there is no clean close.
fn a_close_that_hangs_says_so() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().join(CLOSE);
    in_a_doomed_process(&root);

    let store = rebuilt(&root);
    let page = store.list_uploads(&ListUploads::new()).unwrap();
    let upload = &page.uploads[0].upload;
    assert_eq!(read_part(&store, upload, number(1)), b"bytes");
}

fn rebuilt(root: &Path) -> PartStore {
    let store = free_options().open(root).unwrap();
    let index = &store.recovery().index;
    assert!(matches!(index, IndexRecovery::Rebuilt { .. }), "{index:?}");
    store
}
