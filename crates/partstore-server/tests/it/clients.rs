//! Clients that vanish, fall silent, or are slow: none of them leaves anything, or holds up another.

use std::thread;
use std::time::{Duration, Instant};

use crate::calls::{
    BUCKET, MIB, assert_refused, bytes, etag, gateway, get, initiate, part_path, parts, path, put,
    put_part,
};
use crate::client::{Client, Request};
use crate::fixture::{Gateway, until};
use crate::watch::{files, open_files, open_uploads, staging_is_empty, threads};

/// A client that has sent half of a body.
fn half_sent(gateway: &Gateway, target: String, body: &[u8]) -> Client {
    let request = Request::new("PUT", target)
        .header("Expect", "100-continue")
        .body(body);
    let mut client = Client::connect(gateway);
    client.send(request.head());
    client.send(&body[..body.len() / 2]);
    client
}

#[test]
fn clients_that_vanish_leave_nothing() {
    let mut gateway = gateway(&[]);
    let id = initiate(&gateway, "key");
    put_part(&gateway, ("key", &id), 1, b"before").ok();
    put(&gateway, "object", b"before").ok();
    let (files_before, blobs_before) = (open_files(&gateway), files(&gateway, "blobs"));
    let parts_before = parts(&gateway, ("key", &id));
    let body = bytes(3 * MIB, 1);
    for at in 0..40 {
        let target = match at % 4 {
            0 => part_path("key", &id, 1),
            1 => part_path("key", &id, 2),
            2 => path("object"),
            _ => path("other"),
        };
        let client = half_sent(&gateway, target, &body);
        // Both wait until the body was asked for: the request has begun.
        if at % 8 < 4 {
            client.reset();
        } else {
            client.close();
        }
    }
    staging_is_empty(&gateway);
    until("all files are closed", || {
        open_files(&gateway) <= files_before
    });
    assert_eq!(parts(&gateway, ("key", &id)), parts_before);
    assert_eq!(files(&gateway, "blobs"), blobs_before);
    assert_eq!(get(&gateway, "object").ok().body, b"before");
    assert_eq!(get(&gateway, "other").status, 404);
    gateway.stop();
    assert_eq!(open_uploads(&gateway), [format!("{BUCKET}/key")]);
}

#[test]
fn who_does_not_wait_for_the_answer_has_stored_his_part() {
    let gateway = gateway(&[]);
    let id = initiate(&gateway, "key");
    let body = bytes(2 * MIB, 1);
    let mut client = Client::connect(&gateway);
    client.send(
        Request::new("PUT", part_path("key", &id, 1))
            .body(&*body)
            .bytes(),
    );
    drop(client);
    until("the part is listed", || {
        parts(&gateway, ("key", &id)) == [(1, etag(&body), body.len())]
    });
}

#[test]
fn silence_in_the_middle_of_a_body_is_answered_and_ends_the_connection() {
    let gateway = gateway(&["--patience", "1s"]);
    let id = initiate(&gateway, "key");
    let list = Request::new("POST", path("key") + "?uploadId=" + &id);
    let mut clients: Vec<_> = [
        Request::new("PUT", part_path("key", &id, 1)),
        Request::new("PUT", path("object")),
        list,
    ]
    .map(|request| {
        let mut client = Client::connect(&gateway);
        client.send(request.header("Content-Length", 100).head());
        client.send("half of it");
        client
    })
    .into();
    for client in &mut clients {
        assert_refused(&client.answer(), (400, "RequestTimeOut"));
        assert!(client.is_at_end());
    }
    staging_is_empty(&gateway);
    assert_eq!(parts(&gateway, ("key", &id)), []);
    assert_eq!(get(&gateway, "object").status, 404);
}

/// Slow is not silent: each byte is in time.
#[test]
fn a_body_may_come_byte_by_byte_for_longer_than_the_patience() {
    let gateway = gateway(&["--patience", "1s"]);
    let id = initiate(&gateway, "key");
    let mut client = Client::connect(&gateway);
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
    let gateway = gateway(&[]);
    let id = initiate(&gateway, "key");
    let body = bytes(2 * MIB, 1);
    // More than there are threads that may wait for the disk, by far.
    let mut slow: Vec<_> = (1..=200)
        .map(|number| {
            let mut client = Client::connect(&gateway);
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
        put_part(&gateway, ("key", &id), number, &body).ok();
        assert_eq!(parts(&gateway, ("key", &id)).len(), number as usize - 1000);
    }
    put(&gateway, "object", &body).ok();
    assert!(get(&gateway, "object").ok().body == body);
    let (took, threads) = (begun.elapsed(), threads(&gateway));
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
    let gateway = gateway(&[]);
    let body = bytes(16 * MIB, 1);
    put(&gateway, "key", &body).ok();
    let mut slow: Vec<_> = (0..100)
        .map(|_| {
            let mut client = Client::connect(&gateway);
            client.send(Request::new("GET", path("key")).bytes());
            client
        })
        .collect();
    for _ in 0..10 {
        put(&gateway, "other", b"hello").ok();
    }
    assert!(get(&gateway, "key").ok().body == body);
    assert!(threads(&gateway) < 100);
    for client in slow.iter_mut().take(3) {
        assert!(client.answer().ok().body == body);
    }
    drop(slow);
    until("the readers are gone", || open_files(&gateway) < 50);
}

/// What is sent to them is in their sockets and in the gateway's: nobody takes it, and so they are gone.
#[test]
fn readers_that_take_nothing_lose_their_places() {
    const PLACES: usize = 3;
    let gateway = gateway(&["--patience", "1s", "--max-connections", "3"]);
    put(&gateway, "key", &bytes(64 * MIB, 1)).ok();
    let before = open_files(&gateway);
    let stuck: Vec<_> = (0..PLACES)
        .map(|_| {
            let mut client = Client::connect(&gateway);
            client.send(Request::new("GET", path("key")).bytes());
            // So it is connected: the answer begins.
            assert_eq!(client.socket.peek(&mut [0]).unwrap(), 1);
            client
        })
        .collect();
    put(&gateway, "other", b"hello").ok();
    assert_eq!(get(&gateway, "other").ok().body, b"hello");
    until("their files are closed", || open_files(&gateway) <= before);
    drop(stuck);
}
