//! An upload's whole life, and what of it a reopen and a `kill -9` leave.

use crate::fixture::{Fixture, bytes, free_options, lines, number, read_object};
use partstore::{IndexRecovery, ListParts, Options, Part};
pub use partstore_contract::cases::lifecycle::uploads;

/// R14, R24, R25, R30: with the default options, housekeeping thread included.
#[test]
fn an_upload_becomes_an_object_and_goes_without_a_trace() {
    let mut fixture = Fixture::with(Options::cos());
    assert!(fixture.store.recovery().created);
    let upload = fixture
        .store
        .initiate_upload_with("bucket/video.mp4", b"content-type: video/mp4")
        .unwrap();
    let large = bytes(1, 3 << 20);
    let parts = [&large[..], b"hello", &large].map(<[u8]>::to_vec);
    let parts: Vec<Part> = (1..)
        .zip(&parts)
        .map(|(at, body)| fixture.put(&upload, at, body))
        .collect();
    assert_eq!(fixture.parts(&upload), parts);
    assert_eq!(fixture.blob_files().len(), 2, "equal parts share a file");

    fixture.reopen();
    assert!(!fixture.store.recovery().created);
    assert_eq!(fixture.store.recovery().index, IndexRecovery::Trusted);
    assert_eq!(fixture.parts(&upload), parts);

    let object = fixture
        .store
        .complete_upload(&upload, &lines(&parts[..2]))
        .unwrap();
    assert_eq!((object.size, object.parts), (large.len() as u64 + 5, 2));
    assert_eq!(object.metadata, b"content-type: video/mp4");
    assert_eq!(
        read_object(&fixture.store, &object.upload),
        [&large[..], b"hello"].concat()
    );
    assert_eq!(uploads(&fixture.store), []);

    fixture.store.remove_object(&object.upload).unwrap();
    fixture.assert_tidy();
    assert_eq!(fixture.blob_files().len(), 0);
    let stats = fixture.store.stats().unwrap();
    assert_eq!(
        (stats.parts, stats.blobs, stats.index_rows),
        (0, 0, 0),
        "{stats:?}"
    );
}

/// A handle that is dropped without [`PartStore::close`] closes the store as well.
#[test]
fn the_last_handle_to_go_closes_the_store() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().join("data");
    let store = free_options().open(&root).unwrap();
    let upload = store.initiate_upload("key").unwrap();
    let part = store.put_part(&upload, number(1), "bytes").unwrap();
    let clone = store.clone();
    drop(store);
    assert_eq!(
        clone
            .list_parts(&upload, &ListParts::new().limit(1))
            .unwrap()
            .parts,
        std::slice::from_ref(&part)
    );
    drop(clone);
    let store = free_options().open(&root).unwrap();
    assert_eq!(store.recovery().index, IndexRecovery::Trusted);
    assert_eq!(
        store
            .list_parts(&upload, &ListParts::new().limit(1))
            .unwrap()
            .parts,
        [part]
    );
}
