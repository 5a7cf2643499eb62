//! Bodies that say nothing.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use futures_util::{StreamExt, stream};
use partstore::ObjectOptions;
use partstore_tokio::AsyncOptions;
use tokio::task::JoinSet;

use crate::fixture::{Fixture, LONG, body, items, silent_after};

fn threads() -> usize {
    std::fs::read_dir("/proc/self/task").unwrap().count()
}

/// Each has sent a batch, which is written, and a byte, which waits for more.
#[tokio::test]
async fn a_thousand_silent_bodies_delay_no_call() {
    let fixture = Fixture::new(AsyncOptions::new().threads(4).batch_len(1000));
    let before = threads();
    let mut silent = JoinSet::new();
    for number in 0..1000 {
        let store = fixture.store.clone();
        silent.spawn(async move {
            let body = silent_after(body(1000 + number % 2));
            let key = format!("silent/{number}");
            store
                .put_object_stream(key, body, ObjectOptions::new())
                .await
        });
    }
    let began = Instant::now();
    while fixture.store.stats().await.unwrap().staged_bodies < 1000 {
        assert!(began.elapsed() < LONG, "the bodies do not begin");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    for number in 0..20 {
        let call = fixture.store.put_object(format!("quick/{number}"), "quick");
        let answered = tokio::time::timeout(Duration::from_secs(10), call).await;
        answered.expect("a quick call waits").unwrap();
    }
    assert!(threads() <= before + 4 + 1, "{} threads", threads());
    assert!(silent.try_join_next().is_none(), "a silent body has ended");

    silent.shutdown().await;
    let stats = fixture.quiet().await;
    assert_eq!((stats.objects, stats.blobs), (20, 1));
    assert_eq!(fixture.staged_files(), 0);
}

/// A body of a batch or less would otherwise be kept until its client goes on: 500 KiB for each.
#[tokio::test(flavor = "multi_thread")]
async fn silent_bodies_together_gather_no_more_than_they_may() {
    const BODIES: usize = 50;
    const SENT: usize = 400_000;
    let taken = Arc::<AtomicUsize>::default();
    let options = AsyncOptions::new().gather_len(1_000_000);
    let fixture = Fixture::new(options);
    let mut silent = JoinSet::new();
    for number in 0..BODIES {
        let (store, taken) = (fixture.store.clone(), taken.clone());
        silent.spawn(async move {
            let counted = items(&body(SENT), 20_000).inspect(move |item| {
                taken.fetch_add(item.as_ref().unwrap().len(), Ordering::SeqCst);
            });
            let put = store.put_object_stream(
                format!("silent/{number}"),
                counted.chain(stream::pending()),
                ObjectOptions::new(),
            );
            put.await
        });
    }
    let began = Instant::now();
    let staged = || -> u64 {
        let files = std::fs::read_dir(fixture.dir.path().join("staging")).unwrap();
        files
            .map(|file| file.unwrap().metadata().unwrap().len())
            .sum()
    };
    // What the store has buffers for is not on the disk yet: 3 MiB, and 8 KiB for each body. An item may wait.
    let kept = 1_000_000 + 3 * 1_048_576 + BODIES * (20_000 + 8192);
    while taken.load(Ordering::SeqCst) < BODIES * SENT || staged() < (BODIES * SENT - kept) as u64 {
        assert!(began.elapsed() < LONG, "{} bytes are staged", staged());
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    silent.shutdown().await;
    assert_eq!(fixture.quiet().await.objects, 0);
}
