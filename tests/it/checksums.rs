//! Checksums beside the store's own, wherever they are asked for, declared or combined, and ETags that are
//! not MD5s.

use crate::background::{threads_named, wait_until};
use crate::fixture::{Fixture, bytes, free_options, in_own_process, number, role};
use partstore::{Checksum, ChecksumAlgorithm, ETagKind, Error, PartOptions};
use partstore_contract::cases::checksums::LEN;

/// In a process of its own: the stores of other tests have threads of this name, too.
#[test]
fn with_opaque_etags_no_thread_is_started_for_md5() {
    const NAME: &str = "partstore-md5";
    if role().is_none() {
        let name = "checksums::with_opaque_etags_no_thread_is_started_for_md5";
        in_own_process(name, "alone");
        return;
    }
    let fixture = Fixture::with(free_options().etag(ETagKind::Opaque));
    let upload = fixture.initiate("key");
    let body = bytes(1, LEN);
    fixture.put(&upload, 1, &body);
    fixture.put(&upload, 2, &body);
    fixture
        .store
        .put_part_from(&upload, number(3), &body[1..], PartOptions::new())
        .unwrap();
    assert_eq!(threads_named(NAME), 0);
    let md5 = PartOptions::new().compute(ChecksumAlgorithm::Md5);
    fixture
        .store
        .put_part_with(&upload, number(4), body, md5)
        .unwrap();
    // Without AVX2 no thread does it.
    if fixture.store.stats().unwrap().md5_lanes {
        wait_until("the thread", || threads_named(NAME) == 1);
    }
}

/// With no sweep in between. The body is long enough for its MD5 to be computed on another thread.
#[test]
fn a_body_whose_declared_checksum_is_wrong_never_gets_a_name() {
    for etag in [ETagKind::Md5, ETagKind::Opaque] {
        let fixture = Fixture::with(free_options().etag(etag));
        let upload = fixture.initiate("key");
        let body = bytes(1, 1 << 20);
        for algorithm in ChecksumAlgorithm::ALL {
            let wrong = Checksum::from_bytes(algorithm, &vec![0; algorithm.digest_len()]);
            let options = PartOptions::new().checksum(wrong.expect("so many bytes"));
            let put = |whole: bool| {
                let (store, at) = (&fixture.store, number(1));
                if whole {
                    store.put_part_with(&upload, at, body.clone(), options)
                } else {
                    store.put_part_from(&upload, at, &body[..], options)
                }
            };
            for whole in [true, false] {
                let refused = put(whole);
                assert!(
                    matches!(refused, Err(Error::BadDigest { .. })),
                    "{algorithm}: {refused:?}"
                );
                assert_eq!(fixture.blob_files().len(), 0, "{algorithm}");
            }
        }
    }
}
