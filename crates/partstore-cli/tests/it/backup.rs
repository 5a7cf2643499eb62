//! `backup`, `restore` and `backups`: what they leave, and what they say.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::thread;

use serde_json::{Value, json};

use crate::fixture::{Fixture, names};

fn with_objects(count: u64) -> Fixture {
    let fixture = Fixture::new();
    fixture.with(|store| {
        for object in 0..count {
            let body = vec![u8::try_from(object).unwrap(); 5000];
            let key = format!("key {object}");
            store.put_object(key, body).unwrap();
        }
    });
    fixture
}

#[test]
fn a_store_is_backed_up_destroyed_and_restored() {
    let fixture = with_objects(3);
    let said = fixture
        .run(["backup", "backups", "--transfer", "copy"])
        .ok();
    assert!(said.contains("state 1: 3 blobs"), "{said}");
    fixture.run_with(["put", "key 3"], b"the fourth").ok();
    let report: Value = serde_json::from_str(
        &fixture
            .run(["--json", "backup", "backups", "--transfer", "copy"])
            .ok(),
    )
    .unwrap();
    assert_eq!(
        (&report["state"], &report["present"]),
        (&json!(2), &json!(3))
    );
    assert_eq!(report["brought"]["copied"], 1);
    let listed = fixture.run(["--json", "backups", "backups"]).ok();
    let states: Vec<Value> = listed
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(states.len(), 2);
    assert_eq!(
        (&states[1]["parts"], &states[1]["batch"]),
        (&json!(4), &report["batch"])
    );

    fs::remove_dir_all(fixture.store()).unwrap();
    let said = fixture.run(["restore", "backups"]).ok();
    assert!(
        said.contains("is state 2: 4 blobs") && said.contains("clean: 4 parts"),
        "{said}"
    );
    assert_eq!(fixture.run(["get", "key 3"]).ok(), "the fourth");

    fs::remove_dir_all(fixture.store()).unwrap();
    fixture
        .run(["restore", "backups", "--state", "1", "--no-verify"])
        .ok();
    fixture.run(["get", "key 3"]).fails(3);

    let said = fixture.run(["backup", "backups", "--keep", "1"]).ok();
    assert!(said.contains("removed 2 states, and 1 blobs"), "{said}");
    assert_eq!(fixture.run(["backups", "backups"]).ok().lines().count(), 1);

    let verify = ["--json", "backups", "backups", "--verify"];
    let json = fixture.run(verify).json();
    assert_eq!(
        (&json["states"], &json["damaged_blobs"]),
        (&1.into(), &serde_json::json!([]))
    );
    let blobs = fixture.dir.path().join("backups/blobs");
    let dir = fs::read_dir(blobs).unwrap().map(|dir| dir.unwrap().path());
    let blob = dir.flat_map(|dir| fs::read_dir(dir).unwrap()).next();
    fs::write(blob.unwrap().unwrap().path(), b"spoilt").unwrap();
    let ran = fixture.run(verify);
    assert_eq!(ran.json()["damaged_blobs"].as_array().unwrap().len(), 1);
    assert!(ran.fails(4).contains("next backup"));
    fixture
        .run(["backup", "backups", "--transfer", "copy"])
        .ok();
    fixture.run(["backups", "backups", "--verify"]).ok();
}

#[test]
fn what_cannot_be_done_is_said_with_a_code_and_leaves_nothing() {
    let fixture = with_objects(1);
    fixture.run(["backups", "backups"]).fails(6);
    fixture.run(["restore", "backups"]).fails(6);
    fixture.run(["backup", "backups"]).ok();
    // It is a store already.
    let said = fixture.run(["restore", "backups"]).fails(6);
    assert!(
        said.contains("a store already; name a new or an empty directory"),
        "{said}"
    );
    let mut elsewhere =
        fixture.command(["--store", "elsewhere", "restore", "backups", "--state", "7"]);
    let output = elsewhere.output().unwrap();
    assert_eq!(output.status.code(), Some(2), "one store at a time");
    let other = Fixture::without_store();
    let backups = fixture.path("backups");
    let from = backups.to_str().unwrap();
    let said = other.run(["restore", from, "--state", "7"]).fails(3);
    assert!(said.contains("state 7"), "{said}");
    assert!(names(other.dir.path()).is_empty());
    let mut none = fixture.command(["backups", "backups", "--keep", "0"]);
    assert_eq!(none.output().unwrap().status.code(), Some(2));
    // The store is open.
    fixture.with(|_| {
        let said = fixture.run(["backup", "backups"]).fails(5);
        assert!(said.contains("--server"), "{said}");
    });
    // Damage is named, and the rest is there.
    let (_, blob) = crate::verify::blob_of(&fixture, "key 0");
    fs::write(&blob, [9; 5000]).unwrap();
    let said = fixture
        .run(["backup", "more", "--transfer", "copy"])
        .fails(4);
    assert!(said.contains("damaged blobs"), "{said}");
    assert_eq!(fixture.run(["backups", "more"]).ok().lines().count(), 1);
}

#[test]
fn what_is_no_directory_of_backups_is_said_of_backups() {
    let fixture = with_objects(1);
    fs::write(fixture.path("file"), "").unwrap();
    fs::create_dir(fixture.path("other")).unwrap();
    fs::write(fixture.path("other/file"), "").unwrap();
    let said = |args: &[&str], code, wanted: &str| {
        let said = fixture.run(args).fails(code);
        assert!(said.contains(wanted), "{args:?}: {said}");
        assert!(
            !said.contains("part store") && !said.contains("--data"),
            "{args:?}: {said}"
        );
    };
    said(&["backups", "missing"], 6, "no backups exist at");
    said(&["restore", "missing"], 6, "no backups exist at");
    said(&["backups", "file"], 6, "is not a directory");
    said(
        &["backups", "other", "--verify"],
        6,
        "no directory of backups",
    );
    said(&["backup", "other"], 6, "no directory of backups");
    fixture.run(["backup", "backups"]).ok();
    let in_use = partstore::Backups::open(fixture.path("backups")).unwrap();
    said(
        &["backups", "backups", "--keep", "1"],
        5,
        "in use by another process",
    );
    said(&["backup", "backups"], 5, "in use by another process");
    drop(in_use);
    fs::write(fixture.path("backups/BACKUPS"), "partstore backups\n99\n").unwrap();
    said(&["backups", "backups"], 7, "have format 99");
}

/// A server as far as this program can see.
pub fn answering(answer: String) -> (String, thread::JoinHandle<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let server = thread::spawn(move || {
        let (mut socket, _) = listener.accept().unwrap();
        let mut asked = Vec::new();
        while !asked.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            socket.read_exact(&mut byte).unwrap();
            asked.extend(byte);
        }
        socket.write_all(answer.as_bytes()).unwrap();
        String::from_utf8(asked).unwrap()
    });
    (address, server)
}

pub fn answer(status: &str, body: &str) -> String {
    let len = body.len();
    format!(
        "HTTP/1.1 {status}\r\nContent-Type: text/plain\r\nContent-Length: {len}\r\nConnection: close\r\n\r\n{body}"
    )
}

#[test]
fn a_running_server_is_asked_for_a_backup() {
    let fixture = Fixture::without_store();
    let report = json!({ "state": 3, "batch": 9, "blobs": 2, "bytes": 10, "present": 1,
        "brought": { "shared": 0, "linked": 1, "copied": 0 }, "damaged_blobs": [], "cut_short": false });
    let (address, server) = answering(answer("200 OK", &report.to_string()));
    let said = fixture
        .run(["backup", "my backups", "--server", &address])
        .ok();
    assert!(said.contains("state 3: 2 blobs"), "{said}");
    let asked = server.join().unwrap();
    let into = fixture
        .path("my backups")
        .display()
        .to_string()
        .replace('/', "%2F")
        .replace(' ', "%20");
    let first = asked.lines().next().unwrap().replace('/', "%2F");
    assert!(
        first.contains(&format!("into={into}")) && first.starts_with("POST %2Fbackup?"),
        "{asked}"
    );
    assert!(asked.to_lowercase().contains("x-partstore: "), "{asked}");

    let (address, server) = answering(answer("404 Not Found", "this server takes no backups"));
    let said = fixture.run(["backup", "b", "--server", &address]).fails(1);
    assert!(
        said.contains("404") && said.contains("takes no backups"),
        "{said}"
    );
    server.join().unwrap();
    let said = fixture.run(["backup", "b", "--server", &address]).fails(1);
    assert!(said.contains("did not answer"), "{said}");
}
