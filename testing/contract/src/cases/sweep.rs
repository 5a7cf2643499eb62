//! Sweeping: what nothing refers to goes, what anything refers to or uses stays.

use crate::support::{Fixture, bytes, lines, number, refusal};
use partstore::{PartOptions, SweepReport};
use std::io::Write;
use std::time::Duration;

/// Blobs, bytes and orphans that a sweep removed, and blobs that it left because of their use.
pub fn sweep(fixture: &Fixture) -> (u64, u64, u64, u64) {
    numbers(fixture.store.sweep().unwrap())
}

pub fn numbers(report: SweepReport) -> (u64, u64, u64, u64) {
    (report.blobs, report.bytes, report.orphans, report.in_use)
}

pub const NOTHING: (u64, u64, u64, u64) = (0, 0, 0, 0);

/// The calls that leave garbage; each gives up one blob of 1,000 bytes.
pub fn whatever_lost_its_last_reference_goes() {
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
pub fn garbage_that_is_put_again_stays() {
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
pub fn a_thousand_blobs_go_in_one_sweep() {
    let fixture = Fixture::new();
    let upload = fixture.initiate("key");
    crate::support::race(8, |thread| {
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
pub fn a_body_refused_at_its_commit_goes() {
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

pub fn a_blob_that_is_being_read_waits_for_its_reader() {
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
