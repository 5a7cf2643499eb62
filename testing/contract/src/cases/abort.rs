//! Aborting: R28, R31.

use crate::support::{Fixture, bytes, number, read_object, read_part, refusal};
use partstore::{CompletedPart, ListParts, PartOptions, Upload};

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
                fixture
                    .store
                    .expire_uploads(std::time::Duration::ZERO)
                    .unwrap();
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
