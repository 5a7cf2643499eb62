//! Aborting: R28, R31.

use crate::support::{Fixture, bytes, lines, number, read_object, read_part, refusal};
use partstore::{
    CompleteOptions, CompletedPart, Condition, Key, ListParts, PartOptions, PartStore, Quota,
    Scope, Upload, Usage,
};
use std::io::Read;
use std::ops::ControlFlow;
use std::time::Duration;

/// R31
pub fn an_aborted_upload_keeps_no_bytes() {
    let mut fixture = Fixture::new();
    let upload = fixture.initiate("key");
    for at in 1..=5 {
        fixture.put(&upload, at, &bytes(u64::from(at), 300_000));
    }
    fixture.store.abort_upload(&upload).unwrap();
    fixture.reopen();
    fixture.assert_tidy();
    assert_eq!(fixture.blob_files().len(), 0);
    assert_eq!(fixture.store.stats().unwrap().index_rows, 0);
}

/// R31
pub fn the_second_abort_finds_no_upload() {
    let mut fixture = Fixture::new();
    let upload = fixture.initiate("key");
    fixture.store.abort_upload(&upload).unwrap();
    for _ in 0..2 {
        let again = fixture.store.abort_upload(&upload);
        assert_eq!(refusal(again), ("NoSuchUpload", 404));
        fixture.reopen();
    }
}

/// R31: not the same key's other upload, nor equal bytes elsewhere.
pub fn an_abort_takes_nothing_from_others() {
    let fixture = Fixture::new();
    let body = bytes(1, 300_000);
    let [aborted, other] = [fixture.initiate("key"), fixture.initiate("key")];
    for upload in [&aborted, &other] {
        fixture.put(upload, 1, &body);
    }
    let object = fixture.complete("object", &[&body]);
    fixture.store.abort_upload(&aborted).unwrap();
    fixture.assert_tidy();
    assert_eq!(read_part(&fixture.store, &other, number(1)), body);
    assert_eq!(read_object(&fixture.store, &object.upload), body);
    fixture.store.abort_upload(&other).unwrap();
    fixture.assert_tidy();
    assert_eq!(read_object(&fixture.store, &object.upload), body);
    fixture.store.remove_object(&object.upload).unwrap();
    fixture.assert_tidy();
    assert_eq!(fixture.blob_files().len(), 0);
}

/// R28: whatever ended an upload, each call on it finds none.
pub fn an_upload_that_ended_answers_alike_however_it_ended() {
    type End = fn(&Fixture, &Upload, &CompletedPart);
    let ends: [(&str, End); 4] = [
        ("aborted", |fixture, upload, _| {
            fixture.store.abort_upload(upload).unwrap();
        }),
        ("completed", |fixture, upload, line| {
            fixture.store.complete_upload(upload, &[*line]).unwrap();
        }),
        ("removed", |fixture, upload, line| {
            fixture.store.complete_upload(upload, &[*line]).unwrap();
            fixture.store.remove_object(upload).unwrap();
        }),
        ("expired", |fixture, upload, _| {
            while fixture.store.upload(upload).is_ok() {
                fixture.store.expire_uploads(Duration::ZERO).unwrap();
            }
        }),
    ];
    for (how, end) in ends {
        let fixture = Fixture::new();
        let upload = fixture.initiate("key");
        let line = CompletedPart::from(&fixture.put(&upload, 1, b"bytes"));
        end(&fixture, &upload, &line);
        let store = &fixture.store;
        let another = CompletedPart::new(number(2), line.etag);
        let answers = [
            refusal(store.upload(&upload)),
            refusal(store.list_parts(&upload, &ListParts::new().limit(1))),
            refusal(store.open_part(&upload, number(1))),
            refusal(store.put_part(&upload, number(1), "bytes")),
            refusal(store.part_writer(&upload, number(1), PartOptions::new())),
            refusal(store.complete_upload(&upload, &[another])),
            refusal(store.abort_upload(&upload)),
        ];
        assert_eq!(answers, [("NoSuchUpload", 404); 7], "{how}");
        fixture.assert_tidy();
    }
}

/// R28: an abort that comes too late leaves the object.
pub fn an_object_can_not_be_aborted() {
    let fixture = Fixture::new();
    let object = fixture.complete("key", &[b"bytes"]);
    assert_eq!(
        refusal(fixture.store.abort_upload(&object.upload)),
        ("NoSuchUpload", 404)
    );
    assert_eq!(read_object(&fixture.store, &object.upload), b"bytes");
}

/// More parts than an engine may want to remove at once.
const MANY: u32 = 70;

/// An open upload of so many parts in a namespace. Every third part has the same bytes.
fn filled(fixture: &Fixture, space: &str) -> Upload {
    let key = Key::new(space, "key");
    let upload = fixture.store.initiate_upload(&key).unwrap();
    for at in 1..=MANY {
        let seed = if at % 3 == 0 { 0 } else { u64::from(at) };
        fixture.put(&upload, at, &bytes(seed, 100));
    }
    upload
}

/// What the store and a namespace say of parts: those of the store, their bytes, and the namespace's usage.
fn counted(store: &PartStore, space: &str) -> (u64, u64, Usage) {
    let stats = store.stats().unwrap();
    let usage = store.namespace(space).unwrap().usage;
    (stats.parts, stats.part_bytes, usage)
}

/// R31: whether its parts are removed at once or later, nobody sees them.
pub fn many_parts_are_gone_with_their_upload() {
    let mut fixture = Fixture::new();
    let quota = Quota::new().bytes(u64::from(MANY) * 100);
    fixture.store.create_namespace("bucket", quota).unwrap();
    for _ in 0..2 {
        // The quota has room for one.
        let upload = filled(&fixture, "bucket");
        assert_eq!(counted(&fixture.store, "bucket").0, u64::from(MANY));
        fixture.store.abort_upload(&upload).unwrap();
        assert_eq!(counted(&fixture.store, "bucket"), (0, 0, Usage::default()));
        assert_eq!(
            refusal(fixture.store.list_parts(&upload, &ListParts::new())),
            ("NoSuchUpload", 404)
        );
        assert_eq!(
            refusal(fixture.store.open_part(&upload, number(1))),
            ("NoSuchUpload", 404)
        );
        assert_eq!(
            refusal(fixture.store.abort_upload(&upload)),
            ("NoSuchUpload", 404)
        );
        let report = fixture.store.verify(Scope::Everything).unwrap();
        assert!(report.is_clean() && report.parts == 0, "{report:?}");
    }
    fixture.reopen();
    assert_eq!(counted(&fixture.store, "bucket"), (0, 0, Usage::default()));
    fixture.store.remove_namespace("bucket").unwrap();
    fixture.assert_tidy();
    assert_eq!(fixture.blob_files().len(), 0);
    assert_eq!(fixture.store.stats().unwrap().index_rows, 0);
}

/// R31: a crash right after the call, or within the sweep that follows, brings nothing back.
pub fn many_parts_stay_gone_after_a_crash() {
    let fixture = Fixture::new();
    fixture
        .store
        .create_namespace("bucket", Quota::new())
        .unwrap();
    let upload = filled(&fixture, "bucket");
    let kept = fixture.complete("kept", &[&bytes(0, 100)]);
    fixture.store.abort_upload(&upload).unwrap();
    for swept in 0..3 {
        let again = fixture.open_killed();
        let report = again.verify(Scope::Everything).unwrap();
        assert!(report.is_clean(), "{report:?}");
        assert_eq!(counted(&again, "bucket"), (1, 100, Usage::default()));
        assert_eq!(refusal(again.abort_upload(&upload)), ("NoSuchUpload", 404));
        again.sweep().unwrap();
        assert_eq!(again.stats().unwrap().blobs, 1);
        assert_eq!(read_object(&again, &kept.upload), bytes(0, 100));
        // What is stopped early has done some of it.
        let mut asked = 0;
        let stop = |_| {
            asked += 1;
            if asked > swept + 1 {
                ControlFlow::Break(())
            } else {
                ControlFlow::Continue(())
            }
        };
        fixture.store.sweep_with(stop).unwrap();
    }
    fixture.assert_tidy();
    assert_eq!(fixture.blob_files().len(), 1);
}

/// R31, R33
pub fn many_uploads_of_many_parts_expire() {
    let fixture = Fixture::new();
    fixture
        .store
        .create_namespace("bucket", Quota::new())
        .unwrap();
    let uploads = [0, 1, 2].map(|_| filled(&fixture, "bucket"));
    let mut expired = 0;
    while expired < uploads.len() as u64 {
        expired += fixture.store.expire_uploads(Duration::ZERO).unwrap();
    }
    assert_eq!(counted(&fixture.store, "bucket"), (0, 0, Usage::default()));
    fixture.assert_tidy();
    assert_eq!(fixture.blob_files().len(), 0);
}

/// An object of many parts is replaced again and again. A reader of the first one reads on.
pub fn many_parts_that_are_replaced_stay_for_their_readers() {
    let fixture = Fixture::new();
    fixture
        .store
        .create_namespace("bucket", Quota::new())
        .unwrap();
    let options = CompleteOptions::new().make_current(Condition::Always);
    let mut reader = None;
    for _ in 0..3 {
        let upload = filled(&fixture, "bucket");
        let list = lines(&fixture.parts(&upload));
        fixture
            .store
            .complete_upload_with(&upload, &list, &options)
            .unwrap();
        let opened = || fixture.store.open_object(&upload).unwrap();
        reader.get_or_insert_with(opened);
        let (parts, _, usage) = counted(&fixture.store, "bucket");
        assert_eq!((parts, usage.objects, usage.keys), (u64::from(MANY), 1, 1));
        fixture.store.sweep().unwrap();
    }
    let key = Key::new("bucket", "key");
    fixture.store.remove_key(&key, Condition::Always).unwrap();
    fixture.store.sweep().unwrap();
    let mut read = Vec::new();
    let mut reader = reader.unwrap();
    reader.read_to_end(&mut read).unwrap();
    assert_eq!(read.len(), MANY as usize * 100);
    drop(reader);
    fixture.assert_tidy();
    assert_eq!(fixture.blob_files().len(), 0);
}
