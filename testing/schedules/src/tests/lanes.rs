//! The lane thread: whatever is submitted is hashed as it should be, nobody waits for ever, and the
//! thread ends with the store.

use std::sync::Arc;

use bytes::Bytes;
use md5::{Digest, Md5};
use md5_lanes::{BodyMd5, Lanes};
use parking_lot::schedule;

use harness::{below, check, join, task};

/// Long enough for the thread, and more than one of its slices.
const CHUNK: usize = 72 * 1024;

fn body(byte: u8) -> Bytes {
    Bytes::from(vec![byte; 2 * CHUNK + 7])
}

fn begin(lanes: &Arc<Lanes>, body: &Bytes) -> BodyMd5 {
    let mut md5 = BodyMd5::new(Arc::clone(lanes));
    md5.begin(body.slice(..CHUNK));
    md5
}

/// Three bodies at once; one of them goes half-way.
fn three_bodies() {
    let lanes = Arc::new(Lanes::new("md5"));
    let bodies = [0, 1, 2].map(|number| {
        let lanes = Arc::clone(&lanes);
        task(move || {
            let body = body(number);
            let mut md5 = begin(&lanes, &body);
            if number == 2 && below(2) == 0 {
                return true;
            }
            md5.begin(body.slice(CHUNK..));
            md5.digest()[..] == Md5::digest(&body)[..]
        })
    });
    assert!(lanes.are_used());
    drop(lanes);
    assert!(
        join(bodies).into_iter().all(|right| right),
        "a wrong digest"
    );
}

#[test]
fn bodies_are_hashed_whoever_runs_when() {
    check(300, three_bodies);
}

#[test]
#[should_panic(expected = "deadlock")]
fn a_lost_wake_up_of_the_lanes_is_found() {
    check(300, || {
        schedule::lose_wake_ups(true);
        three_bodies();
    });
}
