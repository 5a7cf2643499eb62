//! Equal bytes are stored once, and damaged ones are never given out: R12.

use crate::support::{Fixture, bytes, number, read_part};

/// Two bodies with the same MD5 (Wang, Feng, Lai, Yu: Collisions for hash functions, 2004).
const COLLISION: [&str; 2] = [
    "d131dd02c5e6eec4693d9a0698aff95c2fcab58712467eab4004583eb8fb7f89\
     55ad340609f4b30283e488832571415a085125e8f7cdc99fd91dbdf280373c5b\
     d8823e3156348f5bae6dacd436c919c6dd53e2b487da03fd02396306d248cda0\
     e99f33420f577ee8ce54b67080a80d1ec69821bcb6a8839396f9652b6ff72a70",
    "d131dd02c5e6eec4693d9a0698aff95c2fcab50712467eab4004583eb8fb7f89\
     55ad340609f4b30283e4888325f1415a085125e8f7cdc99fd91dbd7280373c5b\
     d8823e3156348f5bae6dacd436c919c6dd53e23487da03fd02396306d248cda0\
     e99f33420f577ee8ce54b67080280d1ec69821bcb6a8839396f965ab6ff72a70",
];

/// R12: the last reference, and only the last, takes the bytes with it.
pub fn bytes_stay_while_one_part_has_them() {
    let fixture = Fixture::new();
    let body = bytes(1, 300_000);
    let upload = fixture.initiate("key");
    for at in 1..=3 {
        fixture.put(&upload, at, &body);
    }
    for at in 1..=2 {
        fixture.put(&upload, at, &[u8::try_from(at).unwrap()]);
        fixture.assert_tidy();
        assert_eq!(read_part(&fixture.store, &upload, number(3)), body);
    }
    let last = fixture.put(&upload, 3, b"replaced");
    fixture.assert_tidy();
    assert_eq!(fixture.blob_files().len(), 3);
    assert_eq!(fixture.parts(&upload).last(), Some(&last));
}

pub fn bodies_with_the_same_md5_stay_distinct() {
    let mut fixture = Fixture::new();
    let bodies = COLLISION.map(|text| hex::decode(text).unwrap());
    let upload = fixture.initiate("key");
    let parts = [1, 2].map(|at| fixture.put(&upload, at, &bodies[at as usize - 1]));
    assert_eq!(
        parts[0].etag.to_string(),
        "79054025255fb1a26e4bc422aef54eb4"
    );
    assert_eq!(parts[0].etag, parts[1].etag);
    assert_ne!(parts[0].content, parts[1].content);
    fixture.reopen();
    for (at, body) in (1..).zip(&bodies) {
        assert_eq!(&read_part(&fixture.store, &upload, number(at)), body);
    }
    // Nor is replacing one by the other taken for no change.
    fixture.put(&upload, 1, &bodies[1]);
    fixture.assert_tidy();
    assert_eq!(fixture.blob_files().len(), 1);
    assert_eq!(read_part(&fixture.store, &upload, number(1)), bodies[1]);
}
