//! Streams that are faster than the disk.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream::{self, Stream};
use partstore::ObjectOptions;
use partstore_tokio::{AsyncOptions, AsyncPartStore};
use tokio::time::sleep;

use crate::fixture::Fixture;

const BATCH: usize = 100_000;
const ITEM: usize = 10_000;

/// A body without an end, which counts what was taken of it.
fn endless(taken: Arc<AtomicUsize>) -> impl Stream<Item = io::Result<Bytes>> {
    stream::repeat_with(move || {
        taken.fetch_add(ITEM, Ordering::SeqCst);
        Ok(Bytes::from(vec![7; ITEM]))
    })
}

/// Holds the only thread, as a write to a slow disk does, until the sender of `until` is dropped.
async fn hold_the_thread(store: AsyncPartStore, until: Receiver<()>) {
    let hold = move |_: &partstore::PartStore| {
        let _ = until.recv();
    };
    store.run(hold).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_disk_holds_a_fast_stream_at_two_batches() {
    let options = AsyncOptions::new().threads(1).batch_len(BATCH);
    let Fixture { store, .. } = &Fixture::new(options);
    let taken = Arc::<AtomicUsize>::default();
    let writer = store
        .object_writer("key", ObjectOptions::new())
        .await
        .unwrap();

    let (release, until) = channel();
    let held = tokio::spawn(hold_the_thread(store.clone(), until));
    sleep(Duration::from_millis(100)).await;
    let put = tokio::spawn(writer.write_from(endless(Arc::clone(&taken))));
    sleep(Duration::from_millis(300)).await;
    assert_eq!(taken.load(Ordering::SeqCst), 2 * BATCH);

    drop(release);
    held.await.unwrap();
    sleep(Duration::from_millis(300)).await;
    assert!(
        taken.load(Ordering::SeqCst) > 2 * BATCH,
        "the stream stands still"
    );
    put.abort();
}

#[tokio::test]
async fn a_reader_reads_nothing_ahead() {
    let fixture = Fixture::new(AsyncOptions::new().read_len(1000));
    let store = &fixture.store;
    store.put_object("key", vec![7; 5000]).await.unwrap();
    let bytes = store
        .get_key("key", ..)
        .await
        .unwrap()
        .begun()
        .await
        .unwrap();
    sleep(Duration::from_millis(50)).await;
    assert_eq!(bytes.remaining(), 5000);
}
