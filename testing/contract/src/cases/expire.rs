//! Expiring: R33.

use crate::support::{Fixture, free_options, number, read_object, refusal};
use partstore::{Key, ListParts, PartOptions, Quota, Upload};
use std::time::{Duration, SystemTime};

/// Waits until the clock, which counts milliseconds, has passed the upload's initiation.
fn let_age(fixture: &Fixture, upload: &Upload) {
    let initiated = fixture.store.upload(upload).unwrap().initiated_at;
    while SystemTime::now() < initiated + Duration::from_millis(5) {
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// R33: by its age at initiation, whatever was put since; objects do not expire.
pub fn an_upload_that_nobody_completed_expires() {
    let mut fixture = Fixture::new();
    let uploads = ["a", "b", "c"].map(|key| fixture.initiate(key));
    for (at, upload) in (1..).zip(&uploads) {
        fixture.put(upload, at, b"bytes");
    }
    let object = fixture.complete("object", &[b"object"]);
    let_age(&fixture, &uploads[2]);
    let hour = Duration::from_secs(3600);
    for age in [hour, Duration::MAX] {
        assert_eq!(fixture.store.expire_uploads(age).unwrap(), 0);
    }
    fixture.reopen();
    assert_eq!(fixture.store.stats().unwrap().open_uploads, 3);
    assert_eq!(fixture.store.expire_uploads(Duration::ZERO).unwrap(), 3);
    assert_eq!(fixture.store.expire_uploads(Duration::ZERO).unwrap(), 0);
    for upload in &uploads {
        assert_eq!(
            refusal(fixture.store.list_parts(upload, &ListParts::new().limit(1))),
            ("NoSuchUpload", 404)
        );
    }
    fixture.assert_tidy();
    assert_eq!(fixture.blob_files().len(), 1);
    assert_eq!(read_object(&fixture.store, &object.upload), b"object");
}

/// R33: however long a body takes, its upload is still there at its end.
pub fn an_upload_does_not_expire_under_a_body() {
    let fixture = Fixture::new();
    let upload = fixture.initiate("key");
    let_age(&fixture, &upload);
    let open = || {
        let options = PartOptions::new();
        fixture.store.part_writer(&upload, number(1), options)
    };
    let (mut kept, dropped) = (open().unwrap(), open().unwrap());
    drop(dropped);
    kept.append(b"bytes").unwrap();
    assert_eq!(fixture.store.expire_uploads(Duration::ZERO).unwrap(), 0);
    kept.finish().unwrap();
    assert_eq!(fixture.store.expire_uploads(Duration::ZERO).unwrap(), 1);
    fixture.assert_tidy();
}

/// R33: only what a prefix names, in its namespace, and by the same rules.
pub fn uploads_under_a_prefix_expire_alone() {
    let fixture = Fixture::new();
    fixture
        .store
        .create_namespace("other", Quota::new())
        .unwrap();
    let other = fixture.store.initiate_upload(Key::new("other", "a/1"));
    let kept = [fixture.initiate("a"), fixture.initiate("b"), other.unwrap()];
    let meant = [fixture.initiate("a/1"), fixture.initiate("a/2")];
    for upload in kept.iter().chain(&meant) {
        let_age(&fixture, upload);
    }
    let expire = |prefix: Key, age| fixture.store.expire_uploads_under(prefix, age).unwrap();
    assert_eq!(expire("a/".into(), Duration::from_secs(3600)), 0);
    assert_eq!(expire("c".into(), Duration::ZERO), 0);
    let options = PartOptions::new();
    let body = fixture.store.part_writer(&meant[1], number(1), options);
    assert_eq!(expire("a/".into(), Duration::ZERO), 1);
    drop(body);
    assert_eq!(expire("a/".into(), Duration::ZERO), 1);
    for upload in &meant {
        assert!(fixture.store.upload(upload).is_err());
    }
    for upload in &kept {
        fixture.store.upload(upload).unwrap();
    }
    assert_eq!(expire(Key::new("other", ""), Duration::ZERO), 1);
    assert_eq!(fixture.store.stats().unwrap().open_uploads, 2);
}

/// R33: the host's round of housekeeping does it when the options say so, and only then.
pub fn housekeeping_expires_what_the_options_say() {
    let options = free_options();
    let cases = [
        (options.clone(), 0),
        (
            options
                .clone()
                .expire_uploads_after(Duration::from_secs(3600)),
            0,
        ),
        (options.expire_uploads_after(Duration::ZERO), 1),
    ];
    for (options, expired) in cases {
        let fixture = Fixture::with(options);
        let upload = fixture.initiate("key");
        fixture.put(&upload, 1, b"bytes");
        let_age(&fixture, &upload);
        let report = fixture.store.maintain().unwrap();
        assert_eq!((report.expired, report.sweep.blobs), (expired, expired));
        assert_eq!(fixture.store.stats().unwrap().open_uploads, 1 - expired);
    }
}
