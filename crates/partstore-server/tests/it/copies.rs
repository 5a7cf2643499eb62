//! Copies: what is copied whole is not read.

use crate::calls::{
    MIB, bytes, completion, copy, delete, etag, gateway, get, initiate, list_of, part_path, path,
    put_parts,
};
use crate::watch::{files, transferred};

const PART_LEN: usize = 16 * MIB;
/// More than heads, answers and the journal take; less than any part has.
const LITTLE: usize = 4 * MIB;

#[test]
fn a_copy_of_an_object_or_of_a_whole_part_reads_and_writes_no_bytes() {
    let gateway = gateway(&[]);
    let bodies = [1, 2, 3, 4].map(|seed| bytes(PART_LEN, seed));
    put_parts(&gateway, "source", &bodies);
    let copy = |target: String| copy(&gateway, "source", target);
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
    delete(&gateway, "source");
    assert!(get(&gateway, "copy").ok().body == bodies.concat());
    let list = list_of(&[(1, &etag(&bodies[1]))]);
    completion(("parts", &id), list).send(&gateway).ok();
    assert!(get(&gateway, "parts").ok().body == bodies[1]);
}
