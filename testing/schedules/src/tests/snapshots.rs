//! A snapshot while others write: it replaces what it has read, and nothing else, also when the power
//! is cut at any moment.

use super::store::{STEPS, after, assert_whole, number, open, parts, put};
use harness::disk;
use harness::{Acknowledged, below, check, join, power_cut, task};

const BODIES: [&[u8]; 3] = [b"some bytes", b"other bytes", b"more bytes"];

#[test]
fn a_snapshot_leaves_out_nothing_that_is_acknowledged() {
    check(400, || {
        let store = open();
        let upload = store.initiate_upload("key").unwrap();
        // More than one segment, most of it replaced; a next one is soon full, or not.
        for _ in 0..20 + below(12) {
            put(&store, &upload, 1, BODIES[0]).unwrap();
        }
        let acknowledged = Acknowledged::new();
        let cut = power_cut(&acknowledged, STEPS);
        let puts = [(2, BODIES[1]), (3, BODIES[2])].map(|(at, body)| {
            let (store, upload, acknowledged) =
                (store.clone(), upload.clone(), acknowledged.clone());
            task(move || {
                for _ in 0..4 {
                    acknowledged.push(put(&store, &upload, at, body).unwrap());
                }
                true
            })
        });
        let snapshot = {
            let store = store.clone();
            task(move || store.maintain().unwrap().checkpoint)
        };
        let done = join(puts.into_iter().chain([snapshot]));
        assert_eq!(done, [true; 3]);
        assert_whole(&store, &BODIES);
        let at_last = disk::cut_power();

        let (remains, before_the_cut) = cut.join().unwrap();
        let again = after(remains);
        let there = parts(&again, &upload);
        assert!(there.contains_key(&number(1)), "acknowledged, and lost");
        for part in before_the_cut {
            assert_eq!(there.get(&part.number), Some(&part.etag));
        }
        let again = after(at_last);
        assert_eq!(parts(&again, &upload).len(), 3);
        assert_whole(&again, &BODIES);
    });
}
