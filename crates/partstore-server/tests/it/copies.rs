//! Copies. A part that is copied whole is not read.

use crate::calls::{
    MIB, bytes, completion, copy, delete, etag, get, initiate, list_of, part_path, path, put_parts,
    server,
};
use crate::process_stats::{files, transferred};

const PART_LEN: usize = 16 * MIB;
/// More than heads, answers and the journal take; less than any part has.
const LITTLE: usize = 4 * MIB;

#[test]
fn a_copy_of_an_object_or_of_a_whole_part_reads_and_writes_no_bytes() {
    let server = server(&[]);
    let bodies = [1, 2, 3, 4].map(|seed| bytes(PART_LEN, seed));
    put_parts(&server, "source", &bodies);
    let copy = |target: String| copy(&server, "source", target);
    let id = initiate(&server, "parts");
    let (blobs, before) = (files(&server, "blobs"), transferred(&server));
    copy(path("copy")).send(&server).ok();
    let second = format!("bytes={PART_LEN}-{}", 2 * PART_LEN - 1);
    copy(part_path("parts", &id, 1))
        .header("x-cos-copy-source-range", second)
        .send(&server)
        .ok();
    let moved = transferred(&server) - before;
    assert!(moved < LITTLE, "{moved} bytes");
    assert_eq!(files(&server, "blobs"), blobs);
    // Nothing is lost when the source is removed.
    delete(&server, "source");
    assert!(get(&server, "copy").ok().body == bodies.concat());
    let list = list_of(&[(1, &etag(&bodies[1]))]);
    completion(("parts", &id), list).send(&server).ok();
    assert!(get(&server, "parts").ok().body == bodies[1]);
}
