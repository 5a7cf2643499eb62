//! Bodies that say nothing.

use std::time::{Duration, Instant};

use partstore::ObjectOptions;
use partstore_tokio::AsyncOptions;
use tokio::task::JoinSet;

use crate::fixture::{Fixture, LONG, body, silent_after};

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
