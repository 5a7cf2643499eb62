//! A journal that is much longer than what memory holds of it: snapshots and rebuilds fold it in pieces.

use partstore::{Options, PartStore, Scope, Upload};

use crate::fixture::{
    Fixture, bytes, fast_dir, files, free_options, in_own_process_with_files, lines, number, role,
};
use crate::seen::Seen;

/// Some hundred pieces of a few rows each.
fn options() -> Options {
    free_options()
        .journal_sizes(64 * 1024, 0)
        .fold_in_memory(2048)
}

/// Parts that are put, replaced and aborted, so that rows of old pieces are replaced and removed by new
/// ones.
fn with_a_past(fixture: &Fixture) -> Vec<Upload> {
    let names: Vec<Upload> = (0..40)
        .map(|at| fixture.initiate(&format!("key {at}")))
        .collect();
    for round in 0..3 {
        for (at, upload) in (0..).zip(&names) {
            for part in 1..=4 {
                fixture.put(upload, part, &bytes((at + round) % 50, 100));
            }
        }
    }
    for upload in names.iter().step_by(3) {
        fixture.store.abort_upload(upload).unwrap();
    }
    for upload in names.iter().skip(1).step_by(3) {
        let list = lines(&fixture.parts(upload));
        fixture.store.complete_upload(upload, &list).unwrap();
    }
    for upload in names.iter().skip(1).step_by(6) {
        fixture.store.remove_object(upload).unwrap();
    }
    names
}

fn assert_same(store: &PartStore, names: &[Upload], seen: &Seen) {
    assert!(store.verify(Scope::Everything).unwrap().is_clean());
    assert_eq!(Seen::of(store, names), *seen);
}

#[test]
fn a_long_journal_is_folded_with_few_files_open() {
    const NAME: &str = "long_journal::a_long_journal_is_folded_with_few_files_open";
    if role().is_none() {
        in_own_process_with_files(NAME, "few files", 64);
        return;
    }
    let fixture = Fixture::within(fast_dir(), options());
    let names = with_a_past(&fixture);
    let seen = Seen::of(&fixture.store, &names);
    let rebuilt = fixture.open_killed();
    assert_same(&rebuilt, &names, &seen);
    drop(rebuilt);

    // Over layers, and from them alone.
    for layers in 1..3 {
        assert!(fixture.store.maintain().unwrap().checkpoint);
        let left = files(&fixture.root().join("meta/snapshot"));
        assert_eq!(left.len(), layers, "{left:?}");
        let rebuilt = fixture.open_killed();
        assert_same(&rebuilt, &names, &seen);
        let more = fixture.initiate("more");
        for part in 1..200 {
            fixture.put(&more, part, b"more");
        }
        fixture.store.abort_upload(&more).unwrap();
    }
    assert!(fixture.store.open_part(&names[2], number(4)).is_ok());
}
