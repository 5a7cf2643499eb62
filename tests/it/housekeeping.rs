//! What the store does by itself, and what it tells of that.

use std::time::{Duration, Instant};

use partstore::Background;

use crate::fixture::{Fixture, bytes, free_options};

/// Longer than anything here may take.
const SOON: Duration = Duration::from_secs(20);

#[test]
fn stats_tell_of_the_last_sweep_and_of_what_has_stopped_the_store() {
    let fixture = Fixture::new();
    let upload = fixture.initiate("key");
    for id in 0..6 {
        fixture.put(&upload, 1, &bytes(id, 100));
    }
    let stats = fixture.store.stats().unwrap();
    assert_eq!((stats.last_sweep, stats.stopped), (None, None));
    let swept = fixture.store.sweep().unwrap();
    let last = fixture.store.stats().unwrap().last_sweep.unwrap();
    assert_eq!((last.report, swept.blobs), (swept, 5));
    std::fs::remove_file(fixture.root().join("LOCK")).unwrap();
    fixture.store.sweep().unwrap_err();
    let stats = fixture.store.stats().unwrap();
    assert!(stats.stopped.unwrap().contains("in the place of LOCK"));
    assert_eq!(stats.last_sweep, Some(last));
}

/// A step that fails is tried again later, not each time that somebody puts a part.
#[test]
fn a_failing_step_of_the_housekeeping_is_not_tried_at_every_put() {
    let options = free_options().journal_sizes(4096, 8192);
    let fixture = Fixture::with(options.background(Background::Thread));
    let upload = fixture.initiate("key");
    // In place of the work of a snapshot, a directory that is not empty.
    let obstacle = fixture.root().join("meta/snapshot/layer.tmp");
    std::fs::create_dir_all(obstacle.join("inside")).unwrap();
    let begun = Instant::now();
    let mut failed = false;
    while !failed {
        fixture.put(&upload, 1, &bytes(1, 100));
        failed = fixture.store.stats().unwrap().background_failure.is_some();
        assert!(begun.elapsed() < SOON, "no snapshot was tried");
    }
    std::fs::remove_dir_all(&obstacle).unwrap();
    let mended = Instant::now();
    while fixture.store.stats().unwrap().last_checkpoint.is_none() {
        fixture.put(&upload, 1, &bytes(1, 100));
        assert!(
            mended.elapsed() < Duration::from_secs(70),
            "never tried again"
        );
    }
    assert!(fixture.store.stats().unwrap().background_failure.is_none());
}
