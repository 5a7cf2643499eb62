//! Calls at the same time: whatever their order, one of its outcomes, and nothing left behind.

use crate::fixture::{Fixture, files, race};
use partstore::Error;
pub use partstore_contract::cases::concurrency::{THREADS, assert_sound, use_all_calls};

/// A close waits for what is under way; whatever comes later is told.
#[test]
fn a_close_among_everything_loses_nothing() {
    for round in 1..=5 {
        let mut fixture = Fixture::new();
        let kept = fixture.initiate("kept");
        let part = fixture.put(&kept, 1, b"kept");
        race(THREADS, |thread| {
            if thread == 0 {
                for _ in 0..round {
                    use_all_calls(&fixture.store, thread).unwrap();
                }
                fixture.store.close().unwrap();
            } else {
                let error = (0..).find_map(|_| use_all_calls(&fixture.store, thread).err());
                assert!(matches!(error, Some(Error::Closed)), "{error:?}");
            }
        });
        assert_eq!(files(&fixture.root().join("staging")).len(), 0);
        fixture.reopen();
        assert_eq!(fixture.parts(&kept), [part]);
        assert_sound(&fixture);
    }
}
