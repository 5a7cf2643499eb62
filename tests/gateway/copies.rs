//! Copies: what is copied whole is not read.

use crate::calls::{
    MIB, bytes, completion, etag, gateway, get, initiate, list_of, part_path, path, put_part,
};
use crate::client::Request;
use crate::fixture::Gateway;
use crate::watch::{files, transferred};

const PART_LEN: usize = 16 * MIB;
/// More than heads, answers and the journal take; less than any part has.
const LITTLE: usize = 4 * MIB;

/// An object of four parts.
fn large_object(gateway: &Gateway) -> Vec<u8> {
    let id = initiate(gateway, "source");
    let bodies = [1, 2, 3, 4].map(|seed| bytes(PART_LEN, seed));
    for (number, body) in (1..).zip(&bodies) {
        put_part(gateway, ("source", &id), number, body).ok();
    }
    let etags = bodies.each_ref().map(|body| etag(body));
    let list: Vec<_> = (1..).zip(etags.iter().map(String::as_str)).collect();
    completion(("source", &id), list_of(&list))
        .send(gateway)
        .ok();
    bodies.concat()
}

#[test]
fn a_copy_of_an_object_or_of_a_whole_part_reads_and_writes_no_bytes() {
    let gateway = gateway(&[]);
    let body = large_object(&gateway);
    let source = format!("{}{}", gateway.address, path("source"));
    let copy = |target: String| Request::new("PUT", target).header("x-cos-copy-source", &source);
    let id = initiate(&gateway, "parts");
    let (blobs, before) = (files(&gateway, "blobs"), transferred(&gateway));
    copy(path("copy")).send(&gateway).ok();
    let second = format!("bytes={PART_LEN}-{}", 2 * PART_LEN - 1);
    copy(part_path("parts", &id, 1))
        .header("x-cos-copy-source-range", second)
        .send(&gateway)
        .ok();
    let moved = transferred(&gateway) - before;
    assert!(moved < LITTLE, "{moved} bytes");
    assert_eq!(files(&gateway, "blobs"), blobs);
    // Nor is anything lost when the source goes.
    let gone = Request::new("DELETE", path("source")).send(&gateway);
    assert_eq!(gone.status, 204);
    assert!(get(&gateway, "copy").ok().body == body);
    let list = list_of(&[(1, &etag(&body[PART_LEN..2 * PART_LEN]))]);
    completion(("parts", &id), list).send(&gateway).ok();
    assert!(get(&gateway, "parts").ok().body == body[PART_LEN..2 * PART_LEN]);
}
