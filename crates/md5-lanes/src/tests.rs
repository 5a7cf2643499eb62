use std::io::{self, Write};
use std::sync::{Arc, Barrier};
use std::time::Duration;

use bytes::Bytes;
use md5::{Digest, Md5};
use proptest::prelude::*;

use crate::body::WORTH;
use crate::{BodyMd5, Lanes, kernel};

/// Less under Miri, which is slow.
const MIB: usize = if cfg!(miri) { WORTH } else { 1 << 20 };

fn reference(body: &[u8]) -> [u8; 16] {
    Md5::digest(body).into()
}

/// A body of `len` bytes, different for each seed.
fn body(seed: u64, len: usize) -> Bytes {
    let byte = |at: u64| (at.wrapping_add(seed).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 56) as u8;
    (0..len as u64).map(byte).collect()
}

/// Hashes a body in chunks of `chunk` bytes.
fn hash(lanes: &Arc<Lanes>, body: &Bytes, chunk: usize) -> [u8; 16] {
    let mut md5 = BodyMd5::new(Arc::clone(lanes));
    for from in (0..body.len()).step_by(chunk) {
        md5.begin(body.slice(from..body.len().min(from + chunk)));
    }
    md5.digest()
}

/// So many bodies at once that begin with `chunk`.
fn crowd(lanes: &Arc<Lanes>, count: usize, chunk: &Bytes) -> Vec<BodyMd5> {
    let begun = |_| {
        let mut md5 = BodyMd5::new(Arc::clone(lanes));
        md5.begin(chunk.clone());
        md5
    };
    (0..count).map(begun).collect()
}

#[test]
fn every_length_around_a_block_is_padded_as_it_should_be() {
    let lanes = Arc::new(Lanes::new("md5"));
    for len in (0..200).chain([WORTH - 1, WORTH, WORTH + 1, WORTH + 56, 3 * WORTH + 63]) {
        let body = body(len as u64, len);
        assert_eq!(hash(&lanes, &body, usize::MAX), reference(&body), "{len}");
    }
}

#[test]
fn chunks_of_any_length_make_one_message() {
    let lanes = Arc::new(Lanes::new("md5"));
    let lens = [1, 62, 1, 0, 64, 65, 7, 128, WORTH + 1, 3 * WORTH + 50, 5];
    let whole = body(1, lens.iter().sum());
    let mut md5 = BodyMd5::new(lanes);
    let mut left = whole.clone();
    for len in lens {
        md5.begin(left.split_to(len));
        let so_far = &whole[..whole.len() - left.len()];
        assert_eq!(md5.digest(), reference(so_far), "{}", so_far.len());
    }
}

#[test]
#[cfg(target_arch = "x86_64")]
fn each_number_of_lanes_gives_what_one_gives() {
    if kernel::ways(1).len() < 3 {
        // Past the capture of the test harness: who runs the tests shall see it.
        let why = "this processor has no AVX2, or no AVX-512";
        let _ = writeln!(io::stderr(), "skipped in part: {why}");
    }
    if !kernel::has_lanes() {
        return;
    }
    for count in 1..=LANES_OF_THE_KERNEL {
        let bodies: Vec<_> = (0..count).map(|seed| body(seed as u64, 5 * 64)).collect();
        let each = kernel::ways(count).into_iter().map(Some);
        for way in each.chain([None]) {
            let mut states = vec![kernel::START; count];
            let mut work: Vec<_> = states
                .iter_mut()
                .zip(&bodies)
                .map(|(state, body)| (state, body.as_chunks().0))
                .collect();
            match way {
                Some(way) => way.compress(&mut work),
                None => kernel::compress_many(&mut work),
            }
            for (state, body) in states.iter().zip(&bodies) {
                let (mut alone, mut md5) = (kernel::START, kernel::START);
                kernel::compress_one(&mut alone, body.as_chunks().0);
                md5::block_api::compress(&mut md5, body.as_chunks().0);
                assert_eq!((*state, alone), (md5, md5), "{count} lanes, {way:?}");
            }
        }
    }
}

const LANES_OF_THE_KERNEL: usize = kernel::LANES;

/// What one of the bodies of a store does.
#[derive(Clone, Debug)]
struct Plan {
    len: usize,
    chunk: usize,
    /// It stops for a moment behind this chunk.
    stalls: usize,
    /// It is dropped behind this chunk.
    dropped: Option<usize>,
}

fn plan() -> impl Strategy<Value = Plan> {
    let chunk = (1_usize..40).prop_map(|blocks| blocks * 4096);
    let len = prop_oneof![
        0_usize..300,
        0_usize..2_000_000,
        (1_usize..400).prop_map(|blocks| blocks * 4096)
    ];
    (
        len,
        chunk,
        0_usize..20,
        proptest::option::weighted(0.2, 0_usize..20),
    )
        .prop_map(|(len, chunk, stalls, dropped)| Plan {
            len,
            chunk,
            stalls,
            dropped,
        })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, ..ProptestConfig::default() })]

    /// Up to 64 bodies of one store at once, from as many threads, that begin, stall and go as they like.
    #[cfg_attr(miri, ignore = "it takes hours, and files")]
    #[test]
    fn bodies_side_by_side_are_hashed_as_if_alone(plans in proptest::collection::vec(plan(), 1..=64)) {
        let lanes = Arc::new(Lanes::new("md5"));
        let together = Barrier::new(plans.len());
        let wrong = std::thread::scope(|scope| {
            let bodies: Vec<_> = (0..).zip(&plans).map(|(seed, plan)| {
                let (lanes, together) = (&lanes, &together);
                scope.spawn(move || {
                    let body = body(seed, plan.len);
                    let mut md5 = BodyMd5::new(Arc::clone(lanes));
                    together.wait();
                    for (at, from) in (0..body.len()).step_by(plan.chunk).enumerate() {
                        if plan.dropped == Some(at) {
                            return true;
                        }
                        if plan.stalls == at {
                            std::thread::sleep(Duration::from_millis(2));
                        }
                        md5.begin(body.slice(from..body.len().min(from + plan.chunk)));
                    }
                    md5.digest() == reference(&body)
                })
            }).collect();
            bodies.into_iter().position(|body| !body.join().unwrap())
        });
        prop_assert_eq!(wrong, None);
    }
}

#[test]
fn a_body_hashes_itself_when_the_thread_has_died() {
    let lanes = Arc::new(Lanes::new("md5"));
    let whole = body(1, 3 * MIB);
    let mut bodies = crowd(&lanes, 20, &whole.slice(..MIB));
    lanes.break_down();
    for md5 in &mut bodies {
        md5.begin(whole.slice(MIB..2 * MIB));
        md5.begin(whole.slice(2 * MIB..));
        assert_eq!(md5.digest(), reference(&whole));
    }
    assert!(!lanes.are_used());
}

#[test]
fn long_chunks_take_turns_when_there_are_more_than_lanes() {
    let lanes = Arc::new(Lanes::new("md5"));
    let long: Vec<_> = (0..2 * LANES_OF_THE_KERNEL as u64)
        .map(|seed| body(seed, 3 * MIB))
        .collect();
    let mut hashed: Vec<_> = long
        .iter()
        .map(|_| BodyMd5::new(Arc::clone(&lanes)))
        .collect();
    for (md5, body) in hashed.iter_mut().zip(&long) {
        md5.begin(body.clone());
    }
    for (md5, body) in hashed.iter_mut().zip(&long) {
        assert_eq!(md5.digest(), reference(body));
    }
}

#[test]
fn nothing_of_a_chunk_is_held_once_it_is_hashed() {
    let lanes = Arc::new(Lanes::new("md5"));
    let chunk = body(1, 4 * WORTH);
    let mut md5 = BodyMd5::new(lanes);
    md5.begin(chunk.clone());
    md5.settle();
    assert!(chunk.is_unique());
}

#[test]
fn a_body_that_goes_takes_its_chunk_along() {
    let lanes = Arc::new(Lanes::new("md5"));
    let whole = body(1, 4 * MIB);
    for md5 in &mut crowd(&lanes, 16, &whole) {
        assert_eq!(md5.digest(), reference(&whole));
    }
    // The next would wait for company now.
    let alone = body(2, 4 * MIB);
    drop(crowd(&lanes, 1, &alone));
    for _ in 0..10_000 {
        if alone.is_unique() {
            return;
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    panic!("its bytes are still held");
}
