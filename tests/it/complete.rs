//! Completing: R4, R19 to R27, R29, R30, R34.

use crate::fixture::{Fixture, bytes, lines};
use partstore::Part;
use std::os::unix::fs::MetadataExt;

/// R29: blobs are neither read, moved nor written; the journal grows by a line.
#[test]
fn a_completion_moves_no_bytes() {
    let fixture = Fixture::new();
    let upload = fixture.initiate("key");
    let parts: Vec<Part> = (1..=3)
        .map(|at| fixture.put(&upload, at, &bytes(u64::from(at), 1 << 20)))
        .collect();
    let files = || -> Vec<(u64, i64, i64)> {
        let paths = parts.iter().map(|part| fixture.blob_path(&part.content));
        let facts = paths.map(|path| path.metadata().unwrap());
        facts
            .map(|facts| (facts.ino(), facts.mtime_nsec(), facts.ctime_nsec()))
            .collect()
    };
    // A file that cannot be read is no hindrance.
    std::fs::write(fixture.blob_path(&parts[0].content), b"damaged").unwrap();
    let (before, journal) = (files(), fixture.store.stats().unwrap().journal_bytes);
    fixture
        .store
        .complete_upload(&upload, &lines(&parts))
        .unwrap();
    assert_eq!(files(), before);
    let grown = fixture.store.stats().unwrap().journal_bytes - journal;
    assert!(grown < 1000, "{grown} bytes");
}
