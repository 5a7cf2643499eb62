//! Keys and their current objects: put, completed, copied, replaced, removed, under conditions, one by one
//! and at the same time.

use crate::fixture::Fixture;

/// One batch: after any crash all of it exists, or nothing.
#[test]
fn a_put_of_an_object_is_one_batch() {
    let fixture = Fixture::new();
    fixture.store.put_object("key", vec![1; 1000]).unwrap();
    fixture.store.put_object("key", vec![2; 1000]).unwrap();
    assert_eq!(fixture.open_killed().recovery().journal_batches, 2);
}
