//! `sweep`, `expire`, `quota` and `where`.

use std::fs;

use partstore::{PartNumber, Quota};

use crate::fixture::Fixture;

#[test]
fn what_was_removed_is_swept() {
    let fixture = Fixture::new();
    let hash = fixture.with(|store| {
        store.put_object("k", "some bytes").unwrap();
        let object = store.open_key("k").unwrap();
        let first = object.parts().next().unwrap().unwrap();
        first.part.content.to_string()
    });
    let found = fixture.run(["--json", "where", &hash]).json();
    assert_eq!(
        (&found["state"], &found["parts"][0]["key"]),
        (&"whole".into(), &"k".into())
    );
    let file = found["file"].as_str().unwrap().to_owned();
    assert_eq!(fs::read(&file).unwrap(), b"some bytes");
    fixture.run(["rm", "k"]).ok();
    let swept = fixture.run(["--json", "sweep"]).json();
    assert_eq!(
        (&swept["removed_blobs"], &swept["removed_bytes"]),
        (&1.into(), &10.into())
    );
    assert!(!fs::exists(&file).unwrap());
    fixture.run(["where", &hash]).fails(3);
    fixture.run(["where", "xyz"]).fails(2);
}

#[test]
fn where_names_every_part_of_a_blob() {
    let fixture = Fixture::new();
    let hash = fixture.with(|store| {
        store.create_namespace("ns", Quota::new()).unwrap();
        store.put_object("a", "same").unwrap();
        store.put_object("b", "other").unwrap();
        let upload = store.initiate_upload(("ns", "c")).unwrap();
        store
            .put_part(&upload, PartNumber::new(7).unwrap(), "same")
            .unwrap()
            .content
            .to_string()
    });
    let said = fixture.run(["where", &hash]).ok();
    assert!(said.contains("part 1 of the object \"a\""), "{said}");
    assert!(
        said.contains("part 7 of the upload \"c\" in \"ns\""),
        "{said}"
    );
    assert_eq!(said.lines().count(), 3, "{said}");
}

#[test]
fn uploads_expire_by_age_and_prefix() {
    let fixture = Fixture::new();
    fixture.with(|store| {
        for key in ["a/1", "a/2", "b/1"] {
            store.initiate_upload(key).unwrap();
        }
    });
    let expire = |args: &[&str]| {
        let args = ["--json", "expire"].iter().chain(args);
        fixture.run(args).json()["aborted_uploads"].clone()
    };
    assert_eq!(expire(&["1h"]), 0);
    assert_eq!(expire(&["0s", "--prefix", "a/"]), 2);
    assert_eq!(expire(&["0s"]), 1);
    assert_eq!(fixture.run(["expire", "soon"]).code, Some(2));
}

#[test]
fn a_quota_is_shown_set_and_removed() {
    let fixture = Fixture::new();
    fixture.with(|store| store.create_namespace("ns", Quota::new()).unwrap());
    let quota = |args: &[&str]| {
        let args = ["--json", "quota", "ns"].iter().chain(args);
        let json = fixture.run(args).json();
        (json["quota_bytes"].as_u64(), json["quota_keys"].as_u64())
    };
    assert_eq!(quota(&[]), (None, None));
    assert_eq!(quota(&["--bytes", "2G"]), (Some(2 << 30), None));
    assert_eq!(quota(&["--keys", "5"]), (Some(2 << 30), Some(5)));
    assert_eq!(quota(&[]), (Some(2 << 30), Some(5)));
    assert_eq!(quota(&["--none"]), (None, None));
    assert_eq!(
        fixture.run(["quota", "ns", "--none", "--keys", "1"]).code,
        Some(2)
    );
    assert_eq!(
        fixture.run(["quota", "ns", "--bytes", "many"]).code,
        Some(2)
    );
}
