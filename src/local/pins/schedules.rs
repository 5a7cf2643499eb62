//! Pins and claims under chosen schedules: whoever has a claim is alone, and nobody waits for ever.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use parking_lot::schedule;

use crate::ContentHash;
use crate::local::pins::Pins;
use harness::{check, check_all, join, task};

fn hash(byte: u8) -> ContentHash {
    ContentHash::from_bytes([byte; 32])
}

/// Who uses a hash, by what they were told: positive for pins, -1 for a claim.
#[derive(Clone, Default)]
struct Uses(Arc<Mutex<HashMap<ContentHash, i32>>>);

impl Uses {
    fn pinned(&self, contents: &[ContentHash]) {
        for content in contents {
            let mut uses = self.0.lock().unwrap();
            let count = uses.entry(*content).or_default();
            assert!(*count >= 0, "pinned while somebody has a claim");
            *count += 1;
        }
    }

    fn unpinned(&self, contents: &[ContentHash]) {
        for content in contents {
            *self.0.lock().unwrap().entry(*content).or_default() -= 1;
        }
    }

    fn claimed(&self, contents: &[ContentHash]) {
        for content in contents {
            let before = self.0.lock().unwrap().insert(*content, -1);
            assert_eq!(before.unwrap_or(0), 0, "claimed while somebody uses it");
        }
    }

    fn given_up(&self, contents: &[ContentHash]) {
        for content in contents {
            self.0.lock().unwrap().insert(*content, 0);
        }
    }
}

fn pin(pins: &Arc<Pins>, uses: &Uses, contents: &[ContentHash]) {
    let pinned = pins.pin(contents.to_vec()).unwrap();
    uses.pinned(contents);
    schedule::point();
    uses.unpinned(contents);
    drop(pinned);
}

fn claim(pins: &Arc<Pins>, uses: &Uses, contents: &[ContentHash]) {
    let mut claimed = pins.claim(contents.to_vec());
    uses.claimed(claimed.contents());
    schedule::point();
    let (kept, given_up): (Vec<_>, Vec<_>) = claimed
        .contents()
        .iter()
        .partition(|content| **content == hash(1));
    uses.given_up(&given_up);
    claimed.keep_only(&kept);
    schedule::point();
    uses.given_up(claimed.contents());
}

/// Every schedule of one who pins two hashes and one who claims them.
#[test]
fn a_claim_excludes_pins() {
    check_all(|| {
        let (pins, uses) = (Pins::new(&Arc::default()), Uses::default());
        let both = [hash(1), hash(2)];
        let own = (Arc::clone(&pins), uses.clone());
        let claimer = task(move || claim(&own.0, &own.1, &both));
        pin(&pins, &uses, &both);
        join([claimer]);
        assert_eq!(pins.count(), 0, "nothing is left behind");
    });
}

/// Overlapping sets of hashes, in other orders, each named twice by somebody: who waits for one of
/// his hashes holds none of the others.
#[test]
fn pins_of_several_hashes_and_claims_do_not_wait_for_each_other_in_a_circle() {
    check(2000, || contend(false));
}

/// The claimer's wake-up is what the one who waits lives on.
#[test]
#[should_panic(expected = "deadlock")]
fn a_lost_wake_up_of_pins_is_found() {
    check(2000, || contend(true));
}

fn contend(wake_ups_lost: bool) {
    schedule::lose_wake_ups(wake_ups_lost);
    let (pins, uses) = (Pins::new(&Arc::default()), Uses::default());
    let sets = [
        [hash(1), hash(2), hash(1)],
        [hash(3), hash(2), hash(2)],
        [hash(2), hash(1), hash(3)],
    ];
    let pinning = sets.map(|set| {
        let (pins, uses) = (Arc::clone(&pins), uses.clone());
        task(move || pin(&pins, &uses, &set))
    });
    let claiming = [[hash(1), hash(2)], [hash(2), hash(3)]].map(|set| {
        let (pins, uses) = (Arc::clone(&pins), uses.clone());
        task(move || claim(&pins, &uses, &set))
    });
    join(pinning.into_iter().chain(claiming));
    assert_eq!(pins.count(), 0, "nothing is left behind");
    let all = pins.claim(vec![hash(1), hash(2), hash(3)]);
    assert_eq!(all.contents().len(), 3, "nothing is left behind");
}
