//! How a server ends. Told to stop, it finishes what is under way, within its grace. Killed, it has lost nothing.

use std::net::TcpStream;
use std::time::{Duration, Instant};

use rustix::process::Signal;

use crate::calls::{
    MIB, bytes, completion, copy, etag, get, initiate, list_of, part_path, parts, path, put,
    put_part, server,
};
use crate::client::{Client, Request};
use crate::fixture::{Server, until};
use crate::process_stats::{files, open_uploads};

fn is_closed_cleanly(server: &Server) -> bool {
    server.data().join("meta/CLEAN").exists()
}

/// Tells it to stop, and waits until it has heard.
fn begin_to_stop(server: &Server, signal: Signal) {
    server.signal(signal);
    until("nobody listens", || {
        TcpStream::connect(server.address).is_err()
    });
}

#[track_caller]
fn assert_stops_within(server: &mut Server, limit: Duration) {
    let begun = Instant::now();
    server.stop();
    let took = begun.elapsed();
    assert!(took < limit, "{took:?}");
}

/// Asserts of one that has ended that it closed its store, and that the upload has no part.
#[track_caller]
fn assert_nothing_was_stored(server: &mut Server, (key, id): (&str, &str)) {
    assert!(is_closed_cleanly(server));
    assert_eq!(files(server, "staging").len(), 0);
    server.restart();
    assert_eq!(parts(server, (key, id)), []);
}

/// A client that has sent half of a part.
fn half_a_part(server: &Server, id: &str, body: &[u8]) -> Client {
    let mut client = Client::connect(server);
    client.send(
        Request::new("PUT", part_path("key", id, 1))
            .body(body)
            .head(),
    );
    client.send(&body[..body.len() / 2]);
    until("the part has begun", || {
        !files(server, "staging").is_empty()
    });
    client
}

#[test]
fn what_is_under_way_is_finished_before_the_end() {
    for signal in [Signal::TERM, Signal::INT] {
        let mut server = server(&[]);
        let id = initiate(&server, "key");
        let body = bytes(3 * MIB, 1);
        let mut client = half_a_part(&server, &id, &body);
        assert!(!is_closed_cleanly(&server));
        begin_to_stop(&server, signal);
        client.send(&body[body.len() / 2..]);
        let answer = client.answer().ok();
        assert_eq!(answer.header("ETag"), Some(etag(&body).as_str()));
        assert!(client.is_at_end());
        assert!(server.wait());
        assert!(is_closed_cleanly(&server));
        server.restart();
        assert_eq!(parts(&server, ("key", &id)), [(1, etag(&body), body.len())]);
    }
}

#[test]
fn what_stalls_is_broken_off_after_the_grace() {
    let mut server = server(&["--grace", "1s"]);
    let id = initiate(&server, "key");
    put_part(&server, ("key", &id), 1, b"before").ok();
    let before = parts(&server, ("key", &id));
    let mut client = half_a_part(&server, &id, &bytes(3 * MIB, 1));
    let mut object = Client::connect(&server);
    object.send(
        Request::new("PUT", path("object"))
            .header("Content-Length", 100)
            .head(),
    );
    object.send("half of it");
    until("the object has begun", || {
        files(&server, "staging").len() == 2
    });
    assert_stops_within(&mut server, Duration::from_secs(10));
    assert!(is_closed_cleanly(&server));
    assert!(
        client
            .try_answer("PUT")
            .is_ok_and(|answer| answer.status >= 400)
            || client.is_at_end()
    );
    assert_eq!(files(&server, "staging").len(), 0);
    assert_eq!(open_uploads(&server).len(), 1);
    server.restart();
    assert_eq!(parts(&server, ("key", &id)), before);
    assert_eq!(get(&server, "object").status, 404);
}

#[test]
fn idle_connections_do_not_hold_the_end_up() {
    let mut server = server(&[]);
    put(&server, "key", b"hello").ok();
    let mut idle: Vec<_> = (0..10).map(|_| Client::connect(&server)).collect();
    for client in &mut idle {
        client.send(Request::new("GET", path("key")).bytes());
        client.answer().ok();
    }
    assert_stops_within(&mut server, Duration::from_secs(2));
    assert!(is_closed_cleanly(&server));
    for client in &mut idle {
        assert!(client.is_at_end());
    }
}

#[test]
fn connections_on_which_nothing_was_asked_do_not_hold_the_end_up() {
    let mut server = server(&[]);
    let mut silent: Vec<_> = (0..10).map(|_| Client::connect(&server)).collect();
    // So they are accepted.
    put(&server, "key", b"hello").ok();
    assert_stops_within(&mut server, Duration::from_secs(2));
    assert!(silent.iter_mut().all(Client::is_at_end));
}

/// In chunks an object does not say how long it is: that its connection was broken off must not look like its end.
#[test]
fn an_object_in_chunks_that_is_broken_off_does_not_become_a_shorter_one() {
    let mut server = server(&["--grace", "1s"]);
    put(&server, "key", b"before").ok();
    let mut clients: Vec<_> = ["key", "new"]
        .map(|key| {
            let mut client = Client::connect(&server);
            let request = Request::new("PUT", path(key)).header("Transfer-Encoding", "chunked");
            client.send(request.body("5\r\nhello\r\n").bytes());
            client
        })
        .into();
    until("the objects have begun", || {
        files(&server, "staging").len() == 2
    });
    server.stop();
    for client in &mut clients {
        assert!(
            client
                .try_answer("PUT")
                .map_or(true, |answer| answer.status >= 400)
        );
    }
    assert_eq!(open_uploads(&server), [""; 0]);
    server.restart();
    assert_eq!(get(&server, "key").ok().body, b"before");
    assert_eq!(get(&server, "new").status, 404);
}

#[test]
fn a_head_that_is_half_sent_is_waited_for_no_longer_than_the_grace() {
    let mut server = server(&["--grace", "1s"]);
    let mut client = Client::connect(&server);
    client.send("GET / HTTP/1.1\r\nHost: 127.0");
    put(&server, "key", b"hello").ok();
    assert_stops_within(&mut server, Duration::from_secs(5));
    assert!(client.is_at_end());
}

#[test]
fn a_second_signal_waits_for_nothing() {
    let mut server = server(&["--grace", "50s", "--patience", "50s"]);
    let id = initiate(&server, "key");
    let mut client = half_a_part(&server, &id, &bytes(3 * MIB, 1));
    let begun = Instant::now();
    begin_to_stop(&server, Signal::TERM);
    // Its client may still send the rest.
    assert!(!files(&server, "staging").is_empty());
    server.signal(Signal::INT);
    assert!(server.wait());
    let took = begun.elapsed();
    assert!(took < Duration::from_secs(10), "{took:?}");
    let answer = client.try_answer("PUT");
    assert!(answer.is_err() || answer.is_ok_and(|answer| answer.status >= 400));
    assert_nothing_was_stored(&mut server, ("key", &id));
}

/// An object of 1 GiB, whose parts are all the same one of 64 MiB.
fn long_object(server: &Server, key: &str) {
    const PART_LEN: usize = 64 * MIB;
    const PARTS: u32 = 16;
    let body = bytes(PART_LEN, 1);
    let id = initiate(server, key);
    put(server, "part", &body).ok();
    for number in 1..=PARTS {
        copy(server, "part", part_path(key, &id, number))
            .send(server)
            .ok();
    }
    let tag = etag(&body);
    let list: Vec<_> = (1..=PARTS).map(|number| (number, tag.as_str())).collect();
    completion((key, &id), list_of(&list)).send(server).ok();
    let length = Request::new("HEAD", path(key)).send(server).ok();
    let expected = (PART_LEN * PARTS as usize).to_string();
    assert_eq!(length.header("Content-Length"), Some(expected.as_str()));
}

/// While a server copies, nothing comes in or goes out by a socket. So it must look itself whether the grace is over.
#[test]
fn a_long_copy_ends_with_the_grace_and_leaves_no_part() {
    let mut server = server(&["--grace", "200ms"]);
    long_object(&server, "long");
    let id = initiate(&server, "key");
    let mut client = Client::connect(&server);
    // Not from the first byte: what is one of the source's own parts is not read.
    let range = format!("bytes=1-{}", 1024 * MIB - 1);
    let request = copy(&server, "long", part_path("key", &id, 1));
    client.send(request.header("x-cos-copy-source-range", range).bytes());
    until("the copy has begun", || {
        !files(&server, "staging").is_empty()
    });
    assert_stops_within(&mut server, Duration::from_secs(10));
    let answer = client.try_answer("PUT");
    assert!(answer.is_err() || answer.is_ok_and(|answer| answer.status >= 500));
    assert_nothing_was_stored(&mut server, ("key", &id));
}
