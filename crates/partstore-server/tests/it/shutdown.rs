//! How a gateway ends: told to stop it finishes what is under way, for as long as its grace; killed it has lost nothing.

use std::net::TcpStream;
use std::time::{Duration, Instant};

use rustix::process::Signal;

use crate::calls::{
    MIB, bytes, completion, copy, etag, gateway, get, initiate, list_of, part_path, parts, path,
    put, put_part,
};
use crate::client::{Client, Request};
use crate::fixture::{Gateway, until};
use crate::watch::{files, open_uploads};

fn is_closed_cleanly(gateway: &Gateway) -> bool {
    gateway.data().join("meta/CLEAN").exists()
}

/// Tells it to stop, and waits until it has heard.
fn begin_to_stop(gateway: &Gateway, signal: Signal) {
    gateway.signal(signal);
    until("nobody listens", || {
        TcpStream::connect(gateway.address).is_err()
    });
}

#[track_caller]
fn assert_stops_within(gateway: &mut Gateway, limit: Duration) {
    let begun = Instant::now();
    gateway.stop();
    let took = begun.elapsed();
    assert!(took < limit, "{took:?}");
}

/// Asserts of one that has ended that it closed its store, and that the upload has no part.
#[track_caller]
fn assert_nothing_was_stored(gateway: &mut Gateway, (key, id): (&str, &str)) {
    assert!(is_closed_cleanly(gateway));
    assert_eq!(files(gateway, "staging").len(), 0);
    gateway.restart();
    assert_eq!(parts(gateway, (key, id)), []);
}

/// A client that has sent half of a part.
fn half_a_part(gateway: &Gateway, id: &str, body: &[u8]) -> Client {
    let mut client = Client::connect(gateway);
    client.send(
        Request::new("PUT", part_path("key", id, 1))
            .body(body)
            .head(),
    );
    client.send(&body[..body.len() / 2]);
    until("the part has begun", || {
        !files(gateway, "staging").is_empty()
    });
    client
}

#[test]
fn what_is_under_way_is_finished_before_the_end() {
    for signal in [Signal::TERM, Signal::INT] {
        let mut gateway = gateway(&[]);
        let id = initiate(&gateway, "key");
        let body = bytes(3 * MIB, 1);
        let mut client = half_a_part(&gateway, &id, &body);
        assert!(!is_closed_cleanly(&gateway));
        begin_to_stop(&gateway, signal);
        client.send(&body[body.len() / 2..]);
        let answer = client.answer().ok();
        assert_eq!(answer.header("ETag"), Some(etag(&body).as_str()));
        assert!(client.is_at_end());
        assert!(gateway.wait());
        assert!(is_closed_cleanly(&gateway));
        gateway.restart();
        assert_eq!(
            parts(&gateway, ("key", &id)),
            [(1, etag(&body), body.len())]
        );
    }
}

#[test]
fn what_stalls_is_broken_off_after_the_grace() {
    let mut gateway = gateway(&["--grace", "1s"]);
    let id = initiate(&gateway, "key");
    put_part(&gateway, ("key", &id), 1, b"before").ok();
    let before = parts(&gateway, ("key", &id));
    let mut client = half_a_part(&gateway, &id, &bytes(3 * MIB, 1));
    let mut object = Client::connect(&gateway);
    object.send(
        Request::new("PUT", path("object"))
            .header("Content-Length", 100)
            .head(),
    );
    object.send("half of it");
    until("the object has begun", || {
        files(&gateway, "staging").len() == 2
    });
    assert_stops_within(&mut gateway, Duration::from_secs(10));
    assert!(is_closed_cleanly(&gateway));
    assert!(
        client
            .try_answer("PUT")
            .is_ok_and(|answer| answer.status >= 400)
            || client.is_at_end()
    );
    assert_eq!(files(&gateway, "staging").len(), 0);
    assert_eq!(open_uploads(&gateway).len(), 1);
    gateway.restart();
    assert_eq!(parts(&gateway, ("key", &id)), before);
    assert_eq!(get(&gateway, "object").status, 404);
}

#[test]
fn idle_connections_do_not_hold_the_end_up() {
    let mut gateway = gateway(&[]);
    put(&gateway, "key", b"hello").ok();
    let mut idle: Vec<_> = (0..10).map(|_| Client::connect(&gateway)).collect();
    for client in &mut idle {
        client.send(Request::new("GET", path("key")).bytes());
        client.answer().ok();
    }
    assert_stops_within(&mut gateway, Duration::from_secs(2));
    assert!(is_closed_cleanly(&gateway));
    for client in &mut idle {
        assert!(client.is_at_end());
    }
}

#[test]
fn connections_on_which_nothing_was_asked_do_not_hold_the_end_up() {
    let mut gateway = gateway(&[]);
    let mut silent: Vec<_> = (0..10).map(|_| Client::connect(&gateway)).collect();
    // So they are accepted.
    put(&gateway, "key", b"hello").ok();
    assert_stops_within(&mut gateway, Duration::from_secs(2));
    assert!(silent.iter_mut().all(Client::is_at_end));
}

/// In chunks an object does not say how long it is: that its connection was broken off must not look like its end.
#[test]
fn an_object_in_chunks_that_is_broken_off_does_not_become_a_shorter_one() {
    let mut gateway = gateway(&["--grace", "1s"]);
    put(&gateway, "key", b"before").ok();
    let mut clients: Vec<_> = ["key", "new"]
        .map(|key| {
            let mut client = Client::connect(&gateway);
            let request = Request::new("PUT", path(key)).header("Transfer-Encoding", "chunked");
            client.send(request.body("5\r\nhello\r\n").bytes());
            client
        })
        .into();
    until("the objects have begun", || {
        files(&gateway, "staging").len() == 2
    });
    gateway.stop();
    for client in &mut clients {
        assert!(
            client
                .try_answer("PUT")
                .map_or(true, |answer| answer.status >= 400)
        );
    }
    assert_eq!(open_uploads(&gateway), [""; 0]);
    gateway.restart();
    assert_eq!(get(&gateway, "key").ok().body, b"before");
    assert_eq!(get(&gateway, "new").status, 404);
}

#[test]
fn a_head_that_is_half_sent_is_waited_for_no_longer_than_the_grace() {
    let mut gateway = gateway(&["--grace", "1s"]);
    let mut client = Client::connect(&gateway);
    client.send("GET / HTTP/1.1\r\nHost: 127.0");
    put(&gateway, "key", b"hello").ok();
    assert_stops_within(&mut gateway, Duration::from_secs(5));
    assert!(client.is_at_end());
}

#[test]
fn a_second_signal_waits_for_nothing() {
    let mut gateway = gateway(&["--grace", "50s", "--patience", "50s"]);
    let id = initiate(&gateway, "key");
    let mut client = half_a_part(&gateway, &id, &bytes(3 * MIB, 1));
    let begun = Instant::now();
    begin_to_stop(&gateway, Signal::TERM);
    // Its client may still send the rest.
    assert!(!files(&gateway, "staging").is_empty());
    gateway.signal(Signal::INT);
    assert!(gateway.wait());
    let took = begun.elapsed();
    assert!(took < Duration::from_secs(10), "{took:?}");
    let answer = client.try_answer("PUT");
    assert!(answer.is_err() || answer.is_ok_and(|answer| answer.status >= 400));
    assert_nothing_was_stored(&mut gateway, ("key", &id));
}

/// An object of 1 GiB, whose parts are all the same one of 64 MiB.
fn long_object(gateway: &Gateway, key: &str) {
    const PART_LEN: usize = 64 * MIB;
    const PARTS: u32 = 16;
    let body = bytes(PART_LEN, 1);
    let id = initiate(gateway, key);
    put(gateway, "part", &body).ok();
    for number in 1..=PARTS {
        copy(gateway, "part", part_path(key, &id, number))
            .send(gateway)
            .ok();
    }
    let tag = etag(&body);
    let list: Vec<_> = (1..=PARTS).map(|number| (number, tag.as_str())).collect();
    completion((key, &id), list_of(&list)).send(gateway).ok();
    let length = Request::new("HEAD", path(key)).send(gateway).ok();
    let expected = (PART_LEN * PARTS as usize).to_string();
    assert_eq!(length.header("Content-Length"), Some(expected.as_str()));
}

/// Nothing comes in or goes out by a socket while it copies: so it must look itself whether it may go on.
#[test]
fn a_long_copy_ends_with_the_grace_and_leaves_no_part() {
    let mut gateway = gateway(&["--grace", "200ms"]);
    long_object(&gateway, "long");
    let id = initiate(&gateway, "key");
    let mut client = Client::connect(&gateway);
    // Not from the first byte: what is one of the source's own parts is not read.
    let range = format!("bytes=1-{}", 1024 * MIB - 1);
    let request = copy(&gateway, "long", part_path("key", &id, 1));
    client.send(request.header("x-cos-copy-source-range", range).bytes());
    until("the copy has begun", || {
        !files(&gateway, "staging").is_empty()
    });
    assert_stops_within(&mut gateway, Duration::from_secs(10));
    let answer = client.try_answer("PUT");
    assert!(answer.is_err() || answer.is_ok_and(|answer| answer.status >= 500));
    assert_nothing_was_stored(&mut gateway, ("key", &id));
}
