//! `--server`: what a running server says is printed as if the store had been opened.

use serde_json::json;

use crate::backup::{answer, answering};
use crate::fixture::{Fixture, noise};
use crate::verify::blob_of;

fn with_objects() -> Fixture {
    let fixture = Fixture::new();
    fixture.with(|store| {
        store.put_object("one", noise(5000, 1)).unwrap();
        store.put_object("two", noise(5000, 1)).unwrap();
        store.initiate_upload("three").unwrap();
    });
    fixture
}

/// What the command prints of a store that it opens, and of a server that gives the same report.
fn both(fixture: &Fixture, command: &str) -> (i32, String, String) {
    let report = fixture.run(["--json", command]);
    let here = fixture.run([command]);
    let (address, server) = answering(answer("200 OK", &report.text()));
    let there = fixture.run([command, "--server", &address]);
    let asked = server.join().unwrap().to_lowercase();
    assert!(asked.contains("x-partstore: "), "{asked}");
    assert!(asked.contains("host: 127.0.0.1"), "{asked}");
    assert_eq!(here.code, there.code, "{there:?}");
    (
        here.code.unwrap(),
        lines(&here.text()),
        lines(&there.text()),
    )
}

/// Without the free space, which others change in the meantime.
fn lines(text: &str) -> String {
    let lines = text.lines().filter(|line| !line.starts_with("disk "));
    lines.collect::<Vec<_>>().join("\n")
}

#[test]
fn what_a_server_says_is_printed_as_if_the_store_had_been_opened() {
    let fixture = with_objects();
    for command in ["info", "verify", "sweep"] {
        let (code, here, there) = both(&fixture, command);
        assert_eq!(code, 0);
        assert!(!here.is_empty());
        assert_eq!(here, there);
    }
}

#[test]
fn damage_that_a_server_finds_has_its_name_and_its_exit_code() {
    let fixture = with_objects();
    let (hash, blob) = blob_of(&fixture, "one");
    std::fs::write(blob, noise(5000, 2)).unwrap();
    let (code, here, there) = both(&fixture, "verify");
    assert_eq!((code, here), (4, there.clone()));
    assert!(there.contains(&hash) && there.contains("two"), "{there}");
}

#[test]
fn a_store_that_is_open_elsewhere_names_the_way_to_its_server() {
    let fixture = with_objects();
    fixture.with(|_| {
        for command in ["info", "verify", "sweep", "ls"] {
            let said = fixture.run([command]).fails(5);
            assert!(said.contains("--server HOST:PORT"), "{said}");
        }
    });
}

#[test]
fn a_server_that_refuses_stops_or_says_something_else_is_no_success() {
    let fixture = Fixture::without_store();
    for command in ["info", "verify", "sweep"] {
        let (address, server) = answering(answer("409 Conflict", "a verify or sweep is under way"));
        let said = fixture.run([command, "--server", &address]).fails(1);
        assert!(said.contains("under way"), "{said}");
        server.join().unwrap();
        let said = fixture.run([command, "--server", &address]).fails(1);
        assert!(said.contains("did not answer"), "{said}");
        let (address, server) = answering(answer("200 OK", "hello"));
        let said = fixture.run([command, "--server", &address]).fails(1);
        assert!(said.contains("gave no report"), "{said}");
        server.join().unwrap();
    }
    let (address, server) = answering(answer("200 OK", "{}"));
    fixture.run(["verify", "--server", &address]).fails(1);
    server.join().unwrap();
    let report = json!({ "parts": 1, "blobs": 1, "bytes": 1, "clean": false, "cut_short": true,
        "damaged_blobs": [], "damaged_files": [], "inconsistent": [] });
    let (address, server) = answering(answer("200 OK", &report.to_string()));
    let said = fixture.run(["verify", "--server", &address]).fails(1);
    assert!(said.contains("stopped before"), "{said}");
    server.join().unwrap();
}
