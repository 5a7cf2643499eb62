//! `put`, `get`, `rm`, `abort`.

use std::fs;

use partstore::Quota;

use crate::fixture::{Fixture, names, noise};

#[test]
fn what_was_put_is_got_back_byte_for_byte() {
    let fixture = Fixture::new();
    let bytes = noise(3_000_000, 1);
    fs::write(fixture.path("in"), &bytes).unwrap();
    let said = fixture.run(["put", "a/b", "in"]).ok();
    assert!(said.contains("\"a/b\""), "{said}");
    assert!(fixture.run(["get", "a/b"]).stdout == bytes);
    assert_eq!(fixture.run(["get", "a/b", "out"]).ok(), "");
    assert!(fs::read(fixture.path("out")).unwrap() == bytes);
    assert_eq!(names(fixture.dir.path()), ["in", "out", "store"]);
}

#[test]
fn stdin_of_any_length_is_put() {
    let fixture = Fixture::new();
    for len in [0, 1, 4 << 20, (4 << 20) + 1, 9_000_000] {
        let bytes = noise(len, 2);
        let put = fixture.run_with(["--json", "put", "piped"], &bytes);
        assert_eq!(put.json()["size"], len);
        let got = fixture.run(["get", "piped"]);
        assert!(got.stdout == bytes, "{len}");
        assert_eq!(got.code, Some(0));
    }
    assert_eq!(fixture.run(["ls", "uploads"]).ok(), "");
}

#[test]
fn odd_keys_are_put_listed_got_and_removed() {
    let fixture = Fixture::new();
    for key in [
        "with space",
        "new\nline",
        "ünï⟂cödé",
        "-dash",
        "--json",
        "a\\b",
        "..",
        "/",
        "'\"$(rm)",
    ] {
        fixture.run_with(["put", "--", key], key.as_bytes()).ok();
        assert_eq!(fixture.run(["get", "--", key]).ok(), key);
        let listed = fixture.run(["--json", "ls", "keys"]);
        assert_eq!(listed.json()["key"], key);
        assert_eq!(
            fixture.run(["ls", "keys"]).ok().lines().count(),
            1,
            "{key:?}"
        );
        fixture.run(["rm", "--", key]).ok();
        assert_eq!(fixture.run(["ls", "keys"]).ok(), "");
    }
    fixture.run_with(["put", ""], b"").fails(2);
    fixture.run_with(["put", &"k".repeat(1025)], b"").fails(2);
}

#[test]
fn a_range_has_both_of_its_ends() {
    let fixture = Fixture::new();
    fixture.run_with(["put", "k"], b"0123456789").ok();
    let get = |range| fixture.run(["get", "k", "--range", range]);
    assert_eq!(get("0-0").ok(), "0");
    assert_eq!(get("2-4").ok(), "234");
    assert_eq!(get("7-").ok(), "789");
    assert_eq!(get("8-100").ok(), "89");
    get("10-").fails(2);
    for wrong in ["4-2", "x-1", "1", "-5"] {
        assert_eq!(get(wrong).code, Some(2), "{wrong}");
    }
}

#[test]
fn what_does_not_exist_is_exit_code_3() {
    let fixture = Fixture::new();
    let id = "1700000000".to_owned() + &"0".repeat(64);
    let hash = "0".repeat(64);
    for args in [
        &["get", "nothing"][..],
        &["rm", "nothing"],
        &["export", "nothing", "out"],
        &["get", "k", "-n", "nowhere"],
        &["rm", "k", "-n", "nowhere"],
        &["put", "k", "-n", "nowhere", "/dev/null"],
        &["ls", "keys", "-n", "nowhere"],
        &["ls", "uploads", "-n", "nowhere"],
        &["ls", "parts", "nothing"],
        &["ls", "parts", "nothing", "--id", &id],
        &["quota", "nowhere"],
        &["expire", "1d", "-n", "nowhere"],
        &["abort", "k", &id],
        &["abort", "k", "no id"],
        &["where", &hash],
    ] {
        let said = fixture.run(args).fails(3);
        assert!(said.starts_with("partstore: "), "{args:?}: {said}");
    }
    assert_eq!(names(fixture.dir.path()), ["store"]);
}

#[test]
fn a_file_that_exists_is_replaced_by_force_only() {
    let fixture = Fixture::new();
    fixture.run_with(["put", "k"], b"new").ok();
    fs::write(fixture.path("out"), "old").unwrap();
    for command in ["get", "export"] {
        let said = fixture.run([command, "k", "out"]).fails(2);
        assert!(said.contains("--force"), "{said}");
        assert_eq!(fs::read(fixture.path("out")).unwrap(), b"old");
    }
    fixture.run(["get", "k", "out", "--force"]).ok();
    assert_eq!(fs::read(fixture.path("out")).unwrap(), b"new");
}

/// A rename to `/dev/null` as root would take it from everybody.
#[test]
fn what_is_no_regular_file_is_never_replaced() {
    let fixture = Fixture::new();
    fixture.run_with(["put", "k"], b"new").ok();
    fs::write(fixture.path("file"), "old").unwrap();
    std::os::unix::fs::symlink("file", fixture.path("link")).unwrap();
    fs::create_dir(fixture.path("directory")).unwrap();
    for command in ["get", "export"] {
        for name in ["link", "directory"] {
            let said = fixture.run([command, "k", name, "--force"]).fails(2);
            assert!(said.contains("is not a regular file"), "{said}");
        }
    }
    assert!(fs::read_link(fixture.path("link")).is_ok());
    assert_eq!(fs::read(fixture.path("file")).unwrap(), b"old");
}

#[test]
fn an_upload_is_aborted_by_key_and_id() {
    let fixture = Fixture::new();
    let id = fixture.with(|store| {
        let upload = store.initiate_upload("k").unwrap();
        store
            .put_part(&upload, partstore::PartNumber::new(1).unwrap(), "part")
            .unwrap();
        upload.id().to_string()
    });
    let listed = fixture.run(["--json", "ls", "uploads"]).json();
    assert_eq!(listed["id"], id);
    let part = fixture
        .run(["--json", "ls", "parts", "k", "--id", &id])
        .json();
    assert_eq!((&part["part"], &part["size"]), (&1.into(), &4.into()));
    fixture.run(["abort", "other", &id]).fails(3);
    fixture.run(["abort", "k", &id]).ok();
    assert_eq!(fixture.run(["ls", "uploads"]).ok(), "");
}

#[test]
fn a_full_quota_is_exit_code_9() {
    let fixture = Fixture::new();
    fixture.with(|store| {
        store
            .create_namespace("ns", Quota::new().bytes(10))
            .unwrap();
    });
    let said = fixture
        .run_with(["put", "k", "-n", "ns"], b"eleven bytes")
        .fails(9);
    assert!(said.contains("quota"), "{said}");
    fixture
        .run_with(["put", "k", "-n", "ns"], b"ten bytes")
        .ok();
}

#[test]
fn put_makes_a_store_only_if_it_is_told_to() {
    let fixture = Fixture::without_store();
    fixture.run_with(["put", "k"], b"bytes").fails(6);
    assert!(names(fixture.dir.path()).is_empty());
    fixture
        .run_with(["put", "k", "-n", "ns", "--create"], b"bytes")
        .ok();
    assert_eq!(fixture.run(["get", "k", "-n", "ns"]).ok(), "bytes");
}
