//! Sweeping: what nothing refers to goes, what anything refers to or uses stays.

use crate::fixture::{Fixture, blob_files, bytes, number, refusal};
use partstore::PartOptions;
pub use partstore_contract::cases::sweep::{NOTHING, numbers, sweep};
use std::fs;
use std::io::Write;

/// The same, when the store was closed before a sweep: the next open knows.
#[test]
fn a_refused_body_goes_after_a_clean_reopen_too() {
    let mut fixture = Fixture::new();
    // What a sweep looks for after an opening has been looked for.
    sweep(&fixture);
    let upload = fixture.initiate("key");
    let writer = fixture
        .store
        .part_writer(&upload, number(1), PartOptions::new())
        .unwrap();
    fixture.store.abort_upload(&upload).unwrap();
    assert_eq!(refusal(writer.finish()), ("NoSuchUpload", 404));
    fixture.reopen();
    assert!(fixture.store.recovery().orphans_possible);
    assert_eq!(sweep(&fixture), (0, 0, 1, 0));
    assert_eq!(fixture.blob_files().len(), 0);
    fixture.reopen();
    assert!(!fixture.store.recovery().orphans_possible);
}

/// A file without a row can only be left by a crash: it is looked for after an unclean open.
#[test]
fn a_file_that_a_crash_left_goes_and_foreign_files_stay() {
    let fixture = Fixture::new();
    let upload = fixture.initiate("key");
    let kept = fixture.put(&upload, 1, b"kept").content.to_string();
    let killed = fixture.killed();
    let orphan = blake3::hash(b"orphan").to_hex().to_string();
    let blobs = killed.join("blobs");
    let plant = |dir: &str, name: &str| {
        fs::create_dir_all(blobs.join(dir)).unwrap();
        fs::write(blobs.join(dir).join(name), b"orphan").unwrap();
    };
    let foreign = [
        "README".to_owned(),
        format!("{orphan}.bak"),
        orphan.to_uppercase(),
        orphan[..63].to_owned(),
        format!("{:064}", 0),
    ];
    plant(&orphan[..2], &orphan);
    for name in &foreign {
        plant(&orphan[..2], name);
    }
    let store = fixture.options.clone().open(&killed).unwrap();
    assert!(store.recovery().orphans_possible);
    assert_eq!(numbers(store.sweep().unwrap()), (0, 0, 1, 0));
    let mut expected: std::collections::BTreeSet<String> = foreign.into();
    expected.insert(kept);
    assert_eq!(blob_files(&killed), expected);
    assert_eq!(numbers(store.sweep().unwrap()), NOTHING);
    store.close().unwrap();
    let store = fixture.options.clone().open(&killed).unwrap();
    assert!(!store.recovery().orphans_possible, "looked for once");
}

/// Bodies that were being received at a crash.
#[test]
fn whatever_a_crash_left_in_staging_is_gone_when_the_store_is_open() {
    let fixture = Fixture::new();
    let upload = fixture.initiate("key");
    let mut writer = fixture
        .store
        .part_writer(&upload, number(1), PartOptions::new())
        .unwrap();
    writer.write_all(&bytes(1, 600_000)).unwrap();
    let killed = fixture.killed();
    assert_eq!(crate::fixture::files(&killed.join("staging")).len(), 1);
    let store = fixture.options.clone().open(&killed).unwrap();
    assert_eq!(crate::fixture::files(&killed.join("staging")).len(), 0);
    drop(store);
    writer.finish().unwrap();
    fixture.assert_tidy();
}
