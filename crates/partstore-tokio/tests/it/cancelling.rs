//! Futures that are dropped.

use std::ops::ControlFlow;
use std::sync::mpsc;
use std::time::Duration;

use futures_util::FutureExt;
use partstore::{Error, ObjectOptions, PartNumber, PartOptions, Scope};
use partstore_tokio::AsyncOptions;
use tokio::time::timeout;

use crate::fixture::{Fixture, body, items, silent_after};

/// At each time until it is finished: while it opens, gathers, writes and commits.
#[tokio::test]
async fn a_put_that_is_dropped_at_any_time_leaves_no_staged_body() {
    let fixture = Fixture::new(AsyncOptions::new().batch_len(10_000));
    let store = &fixture.store;
    let upload = store.initiate_upload("key").await.unwrap();
    let mut finished = 0;
    for micros in (0..6000).step_by(100) {
        let number = PartNumber::new(1 + micros / 100).unwrap();
        let put = store.put_part_stream(
            &upload,
            number,
            items(&body(95_000), 5000),
            PartOptions::new(),
        );
        if timeout(Duration::from_micros(micros.into()), put)
            .await
            .is_ok()
        {
            finished += 1;
        }
    }
    let stats = fixture.quiet().await;
    // One that is dropped during its commit may be there. All have the same bytes.
    assert!(stats.parts >= finished && stats.blobs <= 1, "{stats:?}");
    assert_eq!(fixture.staged_files(), 0);
    store.abort_upload(&upload).await.unwrap();
    store.sweep().await.unwrap();
    assert_eq!(fixture.quiet().await.blobs, 0);
}

#[tokio::test]
async fn a_put_that_is_dropped_between_batches_leaves_no_staged_body_and_no_blob() {
    let fixture = Fixture::new(AsyncOptions::new().batch_len(10_000));
    let silent = silent_after(body(25_000));
    let put = fixture
        .store
        .put_object_stream("key", silent, ObjectOptions::new());
    let dropped = timeout(Duration::from_millis(200), put).await;
    dropped.expect_err("a silent body was stored");
    let stats = fixture.quiet().await;
    assert_eq!((stats.blobs, stats.objects, stats.garbage), (0, 0, 0));
    assert_eq!(fixture.staged_files(), 0);
}

#[tokio::test]
async fn a_discarded_writer_has_left_nothing_when_that_returns() {
    let fixture = Fixture::new(AsyncOptions::new().batch_len(1000));
    let writer = fixture
        .store
        .object_writer("key", ObjectOptions::new())
        .await
        .unwrap();
    let writer = writer.write_from(items(&body(5500), 500)).await.unwrap();
    assert_eq!(fixture.store.stats().await.unwrap().staged_bodies, 1);
    writer.discard().await;
    assert_eq!(fixture.store.stats().await.unwrap().staged_bodies, 0);
    assert_eq!(fixture.staged_files(), 0);
}

#[tokio::test]
async fn a_stream_that_is_dropped_gives_up_what_it_reads() {
    let fixture = Fixture::new(AsyncOptions::new());
    fixture
        .store
        .put_object("key", body(1_000_000))
        .await
        .unwrap();
    let bytes = fixture.store.get_key("key", ..).await.unwrap();
    let bytes = bytes.begun().await.unwrap();
    assert_eq!(fixture.store.stats().await.unwrap().pinned_blobs, 1);
    drop(bytes);
    assert_eq!(fixture.quiet().await.pinned_blobs, 0);
}

/// The one thread is held by the first call when the second one is dropped.
#[tokio::test]
async fn a_call_that_no_thread_has_taken_up_is_not_made() {
    let Fixture { store, .. } = &Fixture::new(AsyncOptions::new().threads(1));
    let (release, until) = mpsc::channel::<()>();
    let (taken, taken_up) = mpsc::channel();
    let handle = store.clone();
    let holding = tokio::spawn(async move {
        let hold = move |_: &partstore::PartStore| {
            let _ = (taken.send(()), until.recv());
        };
        handle.run(hold).await;
    });
    tokio::task::yield_now().await;
    taken_up.recv().unwrap();
    let put = store.put_object("key", "never");
    assert!(put.now_or_never().is_none());
    release.send(()).unwrap();
    holding.await.unwrap();
    let found = store.object_by_key("key").await;
    assert!(matches!(found, Err(Error::NoSuchKey { .. })), "{found:?}");
}

#[tokio::test]
async fn a_long_call_that_is_dropped_ends_early() {
    let Fixture { store, .. } = &Fixture::new(AsyncOptions::new().threads(1));
    store.put_object("key", body(3_000_000)).await.unwrap();
    let (told, progress) = mpsc::channel();
    let verify = store.verify_with(Scope::Everything, move |reached| {
        let _ = told.send(reached);
        std::thread::sleep(Duration::from_millis(100));
        ControlFlow::Continue(())
    });
    timeout(Duration::from_millis(50), verify)
        .await
        .expect_err("it was slow");
    // The only thread answers this call when it has left the other one.
    store.stats().await.unwrap();
    let last = progress.try_iter().last().unwrap();
    assert!(last.done < last.total, "{last:?}");
}
