//! Sweeping: what nothing refers to goes, what anything refers to or uses stays.

use std::fs;
use std::io::Write;
use std::time::Duration;

use partstore::{PartOptions, SweepReport};

use crate::fixture::{Fixture, blob_files, bytes, lines, number, refusal};

/// Blobs, bytes and orphans that a sweep removed, and blobs that it left because of their use.
fn sweep(fixture: &Fixture) -> (u64, u64, u64, u64) {
    numbers(fixture.store.sweep().unwrap())
}

fn numbers(report: SweepReport) -> (u64, u64, u64, u64) {
    (report.blobs, report.bytes, report.orphans, report.in_use)
}

const NOTHING: (u64, u64, u64, u64) = (0, 0, 0, 0);

/// The calls that leave garbage; each gives up one blob of 1,000 bytes.
#[test]
fn whatever_lost_its_last_reference_goes() {
    type Call<'a> = &'a dyn Fn(&Fixture);
    let body = bytes(1, 1000);
    let calls: [(&str, Call); 5] = [
        ("replace", &|fixture| {
            let upload = fixture.initiate("key");
            fixture.put(&upload, 1, &body);
            fixture.put(&upload, 1, b"replaced");
        }),
        ("abort", &|fixture| {
            let upload = fixture.initiate("key");
            fixture.put(&upload, 1, &body);
            fixture.store.abort_upload(&upload).unwrap();
        }),
        ("expire", &|fixture| {
            let upload = fixture.initiate("key");
            fixture.put(&upload, 1, &body);
            while fixture.store.expire_uploads(Duration::ZERO).unwrap() == 0 {}
        }),
        ("leave out", &|fixture| {
            let upload = fixture.initiate("key");
            fixture.put(&upload, 1, &body);
            let list = lines(&[fixture.put(&upload, 2, b"listed")]);
            fixture.store.complete_upload(&upload, &list).unwrap();
        }),
        ("remove", &|fixture| {
            let object = fixture.complete("key", &[&body, &body]);
            fixture.store.remove_object(&object.upload).unwrap();
        }),
    ];
    for (what, call) in calls {
        let mut fixture = Fixture::new();
        call(&fixture);
        let before = fixture.blob_files().len();
        fixture.reopen();
        assert_eq!(
            sweep(&fixture),
            (1, 1000, 0, 0),
            "{what}: known after a reopen"
        );
        assert_eq!(fixture.blob_files().len(), before - 1, "{what}");
        assert_eq!(sweep(&fixture), NOTHING, "{what}: and once only");
        fixture.assert_tidy();
    }
}

/// A blob that found a new reference before the sweep stays.
#[test]
fn garbage_that_is_put_again_stays() {
    let fixture = Fixture::new();
    let [first, second] = ["a", "b"].map(|key| fixture.initiate(key));
    fixture.put(&first, 1, b"bytes");
    fixture.store.abort_upload(&first).unwrap();
    fixture.put(&second, 1, b"bytes");
    assert_eq!(sweep(&fixture), NOTHING);
    fixture.assert_tidy();
    assert_eq!(fixture.blob_files().len(), 1);
}

/// More than one group of blobs at a time.
#[test]
fn a_thousand_blobs_go_in_one_sweep() {
    let fixture = Fixture::new();
    let upload = fixture.initiate("key");
    crate::fixture::race(8, |thread| {
        for at in (thread..1000).step_by(8) {
            let at = u32::try_from(at).unwrap() + 1;
            fixture.put(&upload, at, &at.to_be_bytes());
        }
    });
    fixture.store.abort_upload(&upload).unwrap();
    assert_eq!(sweep(&fixture), (1000, 4000, 0, 0));
    assert_eq!(fixture.blob_files().len(), 0);
    fixture.assert_tidy();
}

/// A body that was refused at its last step has been published by then.
#[test]
fn a_body_refused_at_its_commit_goes() {
    let fixture = Fixture::new();
    // What a sweep looks for after an opening has been looked for.
    sweep(&fixture);
    let upload = fixture.initiate("key");
    let mut writer = fixture
        .store
        .part_writer(&upload, number(1), PartOptions::new())
        .unwrap();
    writer.write_all(b"refused").unwrap();
    fixture.store.abort_upload(&upload).unwrap();
    assert_eq!(refusal(writer.finish()), ("NoSuchUpload", 404));
    assert_eq!(
        fixture.blob_files().len(),
        1,
        "published before it was refused"
    );
    assert_eq!(sweep(&fixture), (0, 0, 1, 0));
    assert_eq!(fixture.blob_files().len(), 0);
}

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

#[test]
fn a_blob_that_is_being_read_waits_for_its_reader() {
    let fixture = Fixture::new();
    let upload = fixture.initiate("key");
    fixture.put(&upload, 1, b"bytes");
    let readers = [1, 2].map(|_| fixture.store.open_part(&upload, number(1)).unwrap());
    assert_eq!(fixture.store.stats().unwrap().pinned_blobs, 1);
    fixture.store.abort_upload(&upload).unwrap();
    for reader in readers {
        assert_eq!(sweep(&fixture), (0, 0, 0, 1));
        drop(reader);
    }
    assert_eq!(fixture.store.stats().unwrap().pinned_blobs, 0);
    assert_eq!(sweep(&fixture), (1, 5, 0, 0));
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
