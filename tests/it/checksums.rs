//! Checksums beside the store's own, wherever they are asked for, declared or combined, and ETags that are
//! not MD5s.

use crate::background::{threads_named, wait_until};
use crate::fixture::{Fixture, bytes, free_options, in_own_process, number, role};
use partstore::{ChecksumAlgorithm, ETagKind, PartOptions};
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
