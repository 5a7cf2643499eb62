//! Many clients at once, and large bodies at once: memory stays small.

use std::thread;
use std::time::Duration;

use rustix::process::{Resource, getrlimit, setrlimit};

use crate::calls::{MIB, bytes, etag, get, initiate, part_path, parts, put_part, server};
use crate::client::{Client, Request};
use crate::fixture::until;
use crate::process_stats::{files, open_files, peak_mib, staging_is_empty, threads};
use crate::skipped::skipped;

/// The test and the server each have a socket for each of them. The server also has a file for each.
const CLIENTS: u32 = 1000;
const FILES: u64 = 2 * CLIENTS as u64 + 500;

fn may_open_enough_files() -> bool {
    let mut limit = getrlimit(Resource::Nofile);
    if limit.maximum.is_some_and(|maximum| maximum < FILES) {
        let most = limit.maximum;
        skipped(format_args!(
            "no more than {most:?} files may be open here, and {FILES} are needed"
        ));
        return false;
    }
    limit.current = limit.maximum;
    setrlimit(Resource::Nofile, limit).unwrap();
    true
}

#[test]
fn a_thousand_parts_come_in_at_once() {
    if !may_open_enough_files() {
        return;
    }
    let server = server(&[]);
    let id = initiate(&server, "key");
    let before = open_files(&server);
    let body = |number: u32| bytes(64 * 1024, number.into());
    let mut clients: Vec<_> = (1..=CLIENTS)
        .map(|number| {
            let mut client = Client::connect(&server);
            let body = body(number);
            client.send(
                Request::new("PUT", part_path("key", &id, number))
                    .body(&*body)
                    .head(),
            );
            client.send(&body[..body.len() / 2]);
            client
        })
        .collect();
    assert_eq!(parts(&server, ("key", &id)), []);
    for (number, client) in (1..).zip(&mut clients) {
        let body = body(number);
        client.send(&body[body.len() / 2..]);
    }
    for (number, client) in (1..).zip(&mut clients) {
        let answer = client.answer().ok();
        assert_eq!(answer.header("ETag"), Some(etag(&body(number)).as_str()));
    }
    assert_eq!(parts(&server, ("key", &id)).len(), 1000);
    let (peak, threads) = (peak_mib(&server), threads(&server));
    println!("{CLIENTS} clients: {peak} MiB, {threads} threads");
    assert!(peak < 400, "{peak} MiB");
    assert!(threads < 100, "{threads} threads");
    drop(clients);
    until("all files are closed", || {
        open_files(&server) <= before + 10
    });
}

#[test]
fn a_client_that_is_faster_than_the_disk_waits() {
    let server = server(&[]);
    let id = initiate(&server, "key");
    let (piece, count) = (bytes(MIB, 1), 512);
    let mut client = Client::connect(&server);
    let request =
        Request::new("PUT", part_path("key", &id, 1)).header("Content-Length", count * MIB);
    client.send(request.head());
    for _ in 0..count {
        client.send(&piece);
    }
    client.answer().ok();
    assert_eq!(parts(&server, ("key", &id))[0].2, count * MIB);
    staging_is_empty(&server);
    assert_eq!(files(&server, "blobs").len(), 2);
    let peak = peak_mib(&server);
    println!("{count} MiB: {peak} MiB");
    assert!(peak < 200, "{peak} MiB");
    assert_eq!(get(&server, "key").status, 404);
}

#[test]
fn connections_beyond_the_most_wait_for_their_turn() {
    let server = server(&["--max-connections", "4"]);
    let id = initiate(&server, "key");
    let body = bytes(MIB, 1);
    thread::scope(|scope| {
        for number in 1..=40 {
            let (server, id, body) = (&server, &id, &body);
            scope.spawn(move || put_part(server, ("key", id), number, body).ok());
        }
    });
    assert_eq!(parts(&server, ("key", &id)).len(), 40);
}

/// A frame of one byte must not hold on to the whole buffer that it was read into.
#[test]
fn bodies_that_come_byte_by_byte_hold_no_whole_buffers() {
    const BODIES: u32 = 50;
    const LEN: usize = 900;
    let server = server(&[]);
    let id = initiate(&server, "key");
    let mut clients: Vec<_> = (1..=BODIES)
        .map(|number| {
            let mut client = Client::connect(&server);
            let request = Request::new("PUT", part_path("key", &id, number));
            client.send(request.header("Content-Length", LEN).head());
            client
        })
        .collect();
    for _ in 0..LEN {
        for client in &mut clients {
            client.send([b'x']);
        }
        // Bytes that have come together are one frame.
        thread::sleep(Duration::from_millis(2));
    }
    for client in &mut clients {
        client.answer().ok();
    }
    let peak = peak_mib(&server);
    println!("{BODIES} bodies byte by byte: {peak} MiB");
    // A page for each byte would be 180 MiB.
    assert!(peak < 80, "{peak} MiB");
}

/// How much memory a server takes while bodies stop in their middle.
fn peak_with_silent_bodies(body_memory: usize) -> usize {
    const BODIES: u32 = 40;
    let server = server(&["--body-memory", &body_memory.to_string()]);
    let id = initiate(&server, "key");
    let sent = bytes(3 * MIB, 1);
    let clients: Vec<_> = (1..=BODIES)
        .map(|number| {
            let mut client = Client::connect(&server);
            let request = Request::new("PUT", part_path("key", &id, number));
            client.send(request.header("Content-Length", 4 * MIB).head());
            client.send(&sent);
            client
        })
        .collect();
    // What is received is gathered, in a buffer or on the disk. The last bytes are about to be.
    thread::sleep(Duration::from_secs(1));
    let peak = peak_mib(&server);
    drop(clients);
    peak
}

#[test]
fn bodies_take_the_memory_that_they_may() {
    let (much, little) = (
        peak_with_silent_bodies(240 * MIB),
        peak_with_silent_bodies(8 * MIB),
    );
    println!("40 silent bodies: {much} and {little} MiB");
    assert!(little + 40 < much, "{little} MiB, and {much} MiB with more");
}
