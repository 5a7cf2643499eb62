//! Verifying: how far it has come, and going on from there.

use std::ops::ControlFlow;

use partstore::{Compared, Scope};

use crate::support::{Fixture, bytes};

/// Each blob is compared once, in the order of the hashes, however often the verify is broken off.
pub fn a_verify_that_was_broken_off_goes_on_behind_any_blob() {
    const BLOBS: u64 = 7;
    let fixture = Fixture::new();
    let mut all = Vec::new();
    for seed in 0..BLOBS {
        let key = format!("key {seed}");
        let body = bytes(seed, 3000);
        let object = fixture.store.put_object(key.as_str(), body).unwrap();
        let reader = fixture.store.open_object(&object.upload).unwrap();
        all.push(reader.part_at(0).unwrap().unwrap().part.content);
    }
    all.sort_unstable();
    for scope in [Scope::Everything, Scope::Metadata] {
        let (mut behind, mut blobs, mut bytes, mut seen) = (None, 0, 0, Vec::new());
        loop {
            let mut last: Option<Compared> = None;
            let mut told = 0;
            let report = fixture
                .store
                .verify_behind(scope, behind.as_ref(), |progress| {
                    last = progress.compared;
                    told += 1;
                    assert!(progress.done <= progress.total);
                    // Nothing that was compared is forgotten, if it is broken off where it likes.
                    if last.is_some_and(|last| last.blobs > 1) && told % 2 == 0 {
                        ControlFlow::Break(())
                    } else {
                        ControlFlow::Continue(())
                    }
                });
            let report = report.unwrap();
            let compared = last.expect("a blob was left to be compared");
            assert_eq!(
                (report.blobs, report.bytes),
                (compared.blobs, compared.bytes)
            );
            assert!(report.is_clean() && compared.found == 0, "{report:?}");
            assert!(behind < Some(compared.through));
            // Rows are counted by the first one.
            assert_eq!(report.parts, if behind.is_none() { BLOBS } else { 0 });
            blobs += report.blobs;
            bytes += report.bytes;
            seen.push(compared.through);
            behind = Some(compared.through);
            if !report.cut_short {
                break;
            }
        }
        let read = if scope == Scope::Everything { 3000 } else { 0 };
        assert_eq!((blobs, bytes), (BLOBS, BLOBS * read), "{seen:?}");
        assert!(seen.iter().all(|through| all.contains(through)));
        assert_eq!(seen.last(), all.last());
    }
    for (at, behind) in all.iter().enumerate() {
        let report = fixture
            .store
            .verify_behind(Scope::Everything, Some(behind), |_| {
                ControlFlow::Continue(())
            });
        assert_eq!(report.unwrap().blobs, BLOBS - 1 - at as u64);
    }
}
