//! Clients that vanish, fall silent, or are slow. None of them leaves anything behind or delays another one.

use std::thread;
use std::time::{Duration, Instant};

use crate::calls::{
    MIB, assert_refused, bytes, etag, get, initiate, part_path, parts, path, put, put_part, server,
};
use crate::client::{Client, Request};
use crate::fixture::{Server, until};
use crate::process_stats::{files, open_files, open_uploads, staging_is_empty, threads};

/// A client that has sent half of a body.
fn half_sent(server: &Server, target: String, body: &[u8]) -> Client {
    let request = Request::new("PUT", target)
        .header("Expect", "100-continue")
        .body(body);
    let mut client = Client::connect(server);
    client.send(request.head());
    client.send(&body[..body.len() / 2]);
    client
}

#[test]
fn clients_that_vanish_leave_nothing() {
    let mut server = server(&[]);
    let id = initiate(&server, "key");
    put_part(&server, ("key", &id), 1, b"before").ok();
    put(&server, "object", b"before").ok();
    let (files_before, blobs_before) = (open_files(&server), files(&server, "blobs"));
    let parts_before = parts(&server, ("key", &id));
    let body = bytes(3 * MIB, 1);
    for at in 0..40 {
        let target = match at % 4 {
            0 => part_path("key", &id, 1),
            1 => part_path("key", &id, 2),
            2 => path("object"),
            _ => path("other"),
        };
        let client = half_sent(&server, target, &body);
        // Both wait until the body was asked for: the request has begun.
        if at % 8 < 4 {
            client.reset();
        } else {
            client.close();
        }
    }
    staging_is_empty(&server);
    until("all files are closed", || {
        open_files(&server) <= files_before
    });
    assert_eq!(parts(&server, ("key", &id)), parts_before);
    assert_eq!(files(&server, "blobs"), blobs_before);
    assert_eq!(get(&server, "object").ok().body, b"before");
    assert_eq!(get(&server, "other").status, 404);
    server.stop();
    assert_eq!(open_uploads(&server), ["key"]);
}

#[test]
fn who_does_not_wait_for_the_answer_has_stored_his_part() {
    let server = server(&[]);
    let id = initiate(&server, "key");
    let body = bytes(2 * MIB, 1);
    let mut client = Client::connect(&server);
    client.send(
        Request::new("PUT", part_path("key", &id, 1))
            .body(&*body)
            .bytes(),
    );
    drop(client);
    until("the part is listed", || {
        parts(&server, ("key", &id)) == [(1, etag(&body), body.len())]
    });
}

#[test]
fn silence_in_the_middle_of_a_body_is_answered_and_ends_the_connection() {
    let server = server(&["--patience", "1s"]);
    let id = initiate(&server, "key");
    let list = Request::new("POST", path("key") + "?uploadId=" + &id);
    let mut clients: Vec<_> = [
        Request::new("PUT", part_path("key", &id, 1)),
        Request::new("PUT", path("object")),
        list,
    ]
    .map(|request| {
        let mut client = Client::connect(&server);
        client.send(request.header("Content-Length", 100).head());
        client.send("half of it");
        client
    })
    .into();
    for client in &mut clients {
        assert_refused(&client.answer(), (400, "RequestTimeOut"));
        assert!(client.is_at_end());
    }
    staging_is_empty(&server);
    assert_eq!(parts(&server, ("key", &id)), []);
    assert_eq!(get(&server, "object").status, 404);
}

/// Slow is not silent: each byte is in time.
#[test]
fn a_body_may_come_byte_by_byte_for_longer_than_the_patience() {
    let server = server(&["--patience", "1s"]);
    let id = initiate(&server, "key");
    let mut client = Client::connect(&server);
    client.send(
        Request::new("PUT", part_path("key", &id, 1))
            .header("Content-Length", 15)
            .head(),
    );
    for byte in b"fifteen letters" {
        thread::sleep(Duration::from_millis(150));
        client.send([*byte]);
    }
    let answer = client.answer().ok();
    assert_eq!(
        answer.header("ETag"),
        Some(etag(b"fifteen letters").as_str())
    );
}

#[test]
fn slow_clients_hold_up_no_other() {
    let server = server(&[]);
    let id = initiate(&server, "key");
    let body = bytes(2 * MIB, 1);
    // Far more than the server has threads that may wait for the disk.
    let mut slow: Vec<_> = (1..=200)
        .map(|number| {
            let mut client = Client::connect(&server);
            client.send(
                Request::new("PUT", part_path("key", &id, number))
                    .body(&*body)
                    .head(),
            );
            client.send(&body[..if number % 2 == 0 { MIB } else { 10 }]);
            (number, client)
        })
        .collect();
    for (at, (_, client)) in slow.iter_mut().enumerate() {
        let from = if at % 2 == 1 { MIB } else { 10 };
        for byte in &body[from..from + 10] {
            client.send([*byte]);
        }
    }
    let begun = Instant::now();
    for number in 1001..=1020 {
        put_part(&server, ("key", &id), number, &body).ok();
        assert_eq!(parts(&server, ("key", &id)).len(), number as usize - 1000);
    }
    put(&server, "object", &body).ok();
    assert!(get(&server, "object").ok().body == body);
    let (took, threads) = (begun.elapsed(), threads(&server));
    assert!(took < Duration::from_secs(20), "{took:?}");
    assert!(threads < 100, "{threads} threads");
    for (number, client) in &mut slow {
        let from = if *number % 2 == 0 { MIB } else { 10 };
        client.send(&body[from + 10..]);
        assert_eq!(
            client.answer().ok().header("ETag"),
            Some(etag(&body).as_str())
        );
    }
}

/// A reader holds no thread either, and gets all bytes in the end.
#[test]
fn slow_readers_hold_up_no_other() {
    let server = server(&[]);
    let body = bytes(16 * MIB, 1);
    put(&server, "key", &body).ok();
    let mut slow: Vec<_> = (0..100)
        .map(|_| {
            let mut client = Client::connect(&server);
            client.send(Request::new("GET", path("key")).bytes());
            client
        })
        .collect();
    for _ in 0..10 {
        put(&server, "other", b"hello").ok();
    }
    assert!(get(&server, "key").ok().body == body);
    assert!(threads(&server) < 100);
    for client in slow.iter_mut().take(3) {
        assert!(client.answer().ok().body == body);
    }
    drop(slow);
    until("the readers are gone", || open_files(&server) < 50);
}

/// What is sent to them stays in their sockets and in the server's. They take nothing, so the server drops them.
#[test]
fn readers_that_take_nothing_lose_their_places() {
    const PLACES: usize = 3;
    let server = server(&["--patience", "1s", "--max-connections", "3"]);
    put(&server, "key", &bytes(64 * MIB, 1)).ok();
    let before = open_files(&server);
    let stuck: Vec<_> = (0..PLACES)
        .map(|_| {
            let mut client = Client::connect(&server);
            client.send(Request::new("GET", path("key")).bytes());
            // The answer begins, so the client is connected.
            assert_eq!(client.socket.peek(&mut [0]).unwrap(), 1);
            client
        })
        .collect();
    put(&server, "other", b"hello").ok();
    assert_eq!(get(&server, "other").ok().body, b"hello");
    until("their files are closed", || open_files(&server) <= before);
    drop(stuck);
}
