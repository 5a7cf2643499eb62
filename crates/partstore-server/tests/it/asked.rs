//! What `partstore --server` asks: what it is refused, what runs only once at a time, and what ends when its client leaves.

use std::net::SocketAddr;
use std::sync::Barrier;
use std::thread;

use partstore::{Backups, Transfer};
use serde_json::Value;

use crate::admin::{ask_as_command, report, watched};
use crate::calls::{MIB, bytes, put};
use crate::client::{Answer, Client, Request};
use crate::fixture::until;

/// Asks, and does not wait for the answer.
fn begin(admin: SocketAddr, method: &str, path: &str) -> Client {
    let mut client = Client::to(admin);
    let request = Request::new(method, path).header("x-partstore", "yes");
    client.send(request.bytes());
    client
}

#[test]
fn a_question_that_is_wrong_is_refused_and_says_why() {
    let (_server, admin) = watched(&[]);
    for (path, status) in [
        ("/ls.json", 400),
        ("/ls.json?of=everything", 400),
        ("/ls.json?of=keys&colour=red", 400),
        ("/ls.json?of=keys&of=uploads", 400),
        ("/ls.json?of=objects&after=x", 400),
        ("/ls.json?of=uploads&after=x", 400),
        ("/ls.json?of=parts&key=k&after=x", 400),
        ("/ls.json?of=parts&key=k&id=x", 404),
        ("/ls.json?of=parts&key=k", 404),
        ("/ls.json?of=keys&namespace=nowhere", 404),
        ("/where.json", 400),
        ("/where.json?hash=x", 400),
        ("/where.json?file=x", 400),
    ] {
        let answer = ask_as_command(admin, "GET", path);
        assert_eq!(answer.status, status, "{path} {}", answer.text());
        assert!(!answer.text().trim().is_empty(), "{path}");
    }
    let missing = ask_as_command(admin, "GET", "/ls.json?of=keys&namespace=nowhere");
    let missing: Value = serde_json::from_str(missing.text()).unwrap();
    assert_eq!(missing["kind"], "missing");
    assert!(missing["error"].as_str().unwrap().contains("nowhere"));
}

#[test]
fn one_verify_or_sweep_runs_at_a_time_until_its_client_leaves() {
    let (server, admin) = watched(&[]);
    put(&server, "one", &bytes(MIB, 1)).ok();
    // It would end in twelve days.
    let slow = begin(admin, "POST", "/verify?rate=1");
    until("it has begun", || server.log().contains("a verify begins"));
    for path in ["/verify", "/verify?scope=metadata", "/sweep"] {
        let answer = ask_as_command(admin, "POST", path);
        assert_eq!(answer.status, 409, "{path}");
        assert_eq!(answer.text(), "a verify or sweep is under way\n");
    }
    // Looking goes on.
    report(admin, "GET", "/ls.json?of=objects");
    report(admin, "GET", "/info.json");
    drop(slow);
    until("the verify has ended", || {
        ask_as_command(admin, "POST", "/verify").status == 200
    });
    report(admin, "POST", "/sweep");
    until("it is in the log", || server.log().contains("status=499"));
}

/// Asks for the same twice.
fn two_at_once(admin: SocketAddr, method: &str, path: &str) -> [Answer; 2] {
    let both = Barrier::new(2);
    let ask = || {
        both.wait();
        ask_as_command(admin, method, path)
    };
    thread::scope(|scope| {
        let asked = [scope.spawn(ask), scope.spawn(ask)];
        asked.map(|asked| asked.join().unwrap())
    })
}

#[test]
fn a_verify_that_waits_for_its_rate_does_not_hold_the_end_up() {
    let (mut server, admin) = watched(&["--grace", "1ms"]);
    put(&server, "one", &bytes(MIB, 1)).ok();
    let _slow = begin(admin, "POST", "/verify?rate=1");
    until("it has begun", || server.log().contains("a verify begins"));
    server.stop();
}

#[test]
fn one_search_for_a_blob_is_made_at_a_time() {
    let (server, admin) = watched(&[]);
    for number in 0..200 {
        put(&server, &format!("key{number}"), b"same").ok();
    }
    let hash = "3".repeat(64);
    let path = format!("/where.json?hash={hash}");
    until("one of two is refused", || {
        let answers = two_at_once(admin, "GET", &path);
        answers.iter().any(|answer| match answer.status {
            200 => false,
            409 => {
                assert_eq!(answer.text(), "a search for a blob is under way\n");
                true
            }
            status => panic!("{status} {}", answer.text()),
        })
    });
    let found = report(admin, "GET", &path);
    assert_eq!(
        (&found["state"], &found["hash"]),
        (&"missing".into(), &hash.into())
    );
}

#[test]
fn one_backup_is_taken_at_a_time() {
    let scratch = tempfile::tempdir().unwrap();
    let (server, admin) = watched(&["--backups", scratch.path().to_str().unwrap()]);
    for seed in 0..8 {
        put(&server, &format!("key{seed}"), &bytes(MIB, seed)).ok();
    }
    let path = format!("/backup?transfer=copy&into={}", scratch.path().display());
    let (mut taken, mut refused) = (0, 0);
    until("one of two is refused", || {
        for answer in two_at_once(admin, "POST", &path) {
            match answer.status {
                200 => taken += 1,
                409 => {
                    assert!(
                        answer.text().contains("is being taken"),
                        "{}",
                        answer.text()
                    );
                    refused += 1;
                }
                status => panic!("{status} {}", answer.text()),
            }
        }
        refused > 0
    });
    let states = Backups::open(scratch.path()).unwrap().states().unwrap();
    assert_eq!(states.len(), taken);
    // Another program works on the directory.
    let open = Backups::open(scratch.path()).unwrap();
    let answer = ask_as_command(admin, "POST", &path);
    assert_eq!(answer.status, 409, "{}", answer.text());
    drop(open);
}

#[test]
fn a_backup_ends_when_its_client_leaves_and_the_next_one_goes_on() {
    let scratch = tempfile::tempdir().unwrap();
    let (server, admin) = watched(&["--backups", scratch.path().to_str().unwrap()]);
    for seed in 0..128 {
        put(&server, &format!("key{seed}"), &bytes(MIB, seed)).ok();
    }
    let into = scratch.path().join("left");
    let left = format!("/backup?transfer=copy&into={}", into.display());
    let client = begin(admin, "POST", &left);
    until("it has begun", || server.log().contains("a backup begins"));
    drop(client);
    let other = format!("/backup?into={}/other", scratch.path().display());
    until("it has ended", || {
        ask_as_command(admin, "POST", &other).status == 200
    });
    let states = Backups::open(&into).and_then(|backups| backups.states());
    assert!(states.is_ok_and(|states| states.is_empty()));

    assert_eq!(report(admin, "POST", &left)["state"], 1);
    let backups = Backups::open(&into).unwrap();
    assert!(backups.verify().unwrap().is_clean());
    let restored = scratch.path().join("restored");
    let report = backups.restore(None, &restored, Transfer::Copy).unwrap();
    assert!(report.blobs >= 128);
}
