//! APPEND Object.

use std::thread;

use crate::calls::{
    BUCKET, MIB, assert_refused, bytes, content_md5, copy, get, initiate, path, put, put_part,
    put_parts, server,
};
use crate::client::{Answer, Client, Request};
use crate::fixture::Server;
use crate::process_stats::{open_uploads, staging_is_empty};

const POSITION: &str = "x-cos-next-append-position";

fn request(key: &str, position: impl std::fmt::Display, body: &[u8]) -> Request {
    Request::new("POST", format!("{}?append&position={position}", path(key))).body(body)
}

fn append(server: &Server, key: &str, position: usize, body: &[u8]) -> Answer {
    request(key, position, body).send(server)
}

fn head(server: &Server, key: &str) -> Answer {
    Request::new("HEAD", path(key)).send(server).ok()
}

fn uploads(server: &Server) -> usize {
    let listed = Request::new("GET", format!("/{BUCKET}?uploads")).send(server);
    listed.ok().elements("UploadId").len()
}

#[test]
fn bytes_are_put_behind_an_object_that_began_so() {
    let server = server(&[]);
    let first = request("log", 0, b"one,")
        .header("x-cos-meta-a", "first")
        .header("Content-Type", "text/plain");
    let first = first.send(&server).ok();
    assert_eq!(first.header(POSITION), Some("4"));
    let second = request("log", 4, b"two").header("x-cos-meta-a", "second");
    let second = second.send(&server).ok();
    assert_eq!(second.header(POSITION), Some("7"));
    // Nothing is appended, and this is no error.
    let third = append(&server, "log", 7, b"").ok();
    assert_eq!(third.header(POSITION), Some("7"));
    assert_eq!(third.header("ETag"), second.header("ETag"));

    let read = get(&server, "log").ok();
    assert_eq!(read.body, b"one,two");
    let plain = put(&server, "plain", b"one,two").ok();
    for answer in [&read, &head(&server, "log")] {
        assert_eq!(answer.header("x-cos-object-type"), Some("appendable"));
        assert_eq!(answer.header(POSITION), Some("7"));
        assert_eq!(answer.header("x-cos-meta-a"), Some("first"));
        assert_eq!(answer.header("Content-Type"), Some("text/plain"));
        assert_eq!(answer.header("ETag"), second.header("ETag"));
        let crc = "x-cos-hash-crc64ecma";
        assert_eq!(answer.header(crc), plain.header(crc));
    }
    assert_eq!(head(&server, "plain").header("x-cos-object-type"), None);
}

#[test]
fn what_can_not_be_appended_is_refused_and_changes_nothing() {
    let server = server(&[]);
    append(&server, "log", 0, b"bytes").ok();
    put(&server, "plain", b"plain").ok();
    for position in [0, 4, 6] {
        let refused = append(&server, "log", position, b"more");
        assert_refused(&refused, (409, "AppendPositionErr"));
        assert_eq!(refused.header(POSITION), Some("5"));
    }
    let absent = append(&server, "absent", 5, b"more");
    assert_refused(&absent, (409, "AppendPositionErr"));
    assert_eq!(absent.header(POSITION), Some("0"));
    let not_appendable = (409, "ObjectNotAppendable");
    assert_refused(&append(&server, "plain", 5, b"more"), not_appendable);
    assert_refused(&append(&server, "plain", 0, b"more"), not_appendable);
    for position in ["", "-1", "+5", "x", "99999999999999999999"] {
        let refused = request("log", position, b"more").send(&server);
        assert_refused(&refused, (400, "InvalidArgument"));
    }
    let too_long = request("log", 5, b"").header("Content-Length", 5_u64 << 30);
    assert_refused(&too_long.send(&server), (400, "EntityTooLarge"));
    let without_length = request("log", 5, b"0\r\n\r\n").header("Transfer-Encoding", "chunked");
    assert_refused(&without_length.send(&server), (411, "MissingContentLength"));
    for (body, code) in [(&b"more"[..], "BadDigest"), (b"", "BadDigest")] {
        let wrong = request("log", 5, body).header("Content-MD5", content_md5("other"));
        assert_refused(&wrong.send(&server), (400, code));
    }
    let none = Request::new("POST", "/none-1250000000/log?append&position=0");
    assert_refused(&none.send(&server), (404, "NoSuchBucket"));
    // It is a POST of an object, and nothing else.
    for (method, target) in [
        ("PUT", path("log")),
        ("DELETE", path("log")),
        ("POST", format!("/{BUCKET}")),
    ] {
        let request = Request::new(method, target + "?append&position=5").body("more");
        assert_refused(&request.send(&server), (400, "OperationNotSupported"));
    }
    assert_eq!(get(&server, "log").ok().body, b"bytes");
    assert_eq!(get(&server, "plain").ok().body, b"plain");
}

#[test]
fn other_requests_make_an_object_that_can_not_be_appended_to() {
    let server = server(&[]);
    append(&server, "log", 0, b"bytes").ok();
    copy(&server, "log", path("copy")).send(&server).ok();
    assert_eq!(get(&server, "copy").ok().body, b"bytes");
    put(&server, "log", b"other").ok();
    for key in ["log", "copy"] {
        let answer = append(&server, key, 5, b"more");
        assert_refused(&answer, (409, "ObjectNotAppendable"));
        assert_eq!(head(&server, key).header("x-cos-object-type"), None);
    }
    put_parts(&server, "parts", &[b"bytes".to_vec()]);
    let answer = append(&server, "parts", 5, b"more");
    assert_refused(&answer, (409, "ObjectNotAppendable"));
}

/// An object of this length is not written again when some bytes are appended.
const LONG: usize = 9 * MIB;

#[test]
fn a_long_object_is_appended_to_without_a_trace_of_an_upload() {
    let mut server = server(&[]);
    let mut expected = bytes(LONG, 1);
    append(&server, "log", 0, &expected).ok();
    // Each of these has parts that stay, and the last ones also parts that are joined.
    for (seed, len) in (2..).zip([1000, MIB, 7 * MIB, 30, 9 * MIB, 40]) {
        let more = bytes(len, seed);
        let request = request("log", expected.len(), &more);
        let digest = request.header("Content-MD5", content_md5(&more));
        expected.extend_from_slice(&more);
        let answer = digest.send(&server).ok();
        assert_eq!(answer.header(POSITION), Some(&*expected.len().to_string()));
        assert!(get(&server, "log").ok().body == expected, "{seed}");
    }
    let wrong = request("log", expected.len(), b"more");
    let wrong = wrong.header("Content-MD5", content_md5("other"));
    assert_refused(&wrong.send(&server), (400, "BadDigest"));
    let mut client = Client::connect(&server);
    let broken = request("log", expected.len(), b"").header("Content-Length", 100);
    client.send(broken.head());
    client.send("half of it");
    client.half_close();
    assert_refused(&client.answer(), (400, "IncompleteBody"));
    staging_is_empty(&server);
    assert_eq!(uploads(&server), 0);
    assert!(get(&server, "log").ok().body == expected);
    server.stop();
    assert_eq!(open_uploads(&server), [""; 0]);
}

#[test]
fn an_append_that_kill_9_interrupts_leaves_the_object_and_no_upload() {
    let mut server = server(&[]);
    let before = bytes(LONG, 1);
    append(&server, "log", 0, &before).ok();
    let id = initiate(&server, "log");
    let mut client = Client::connect(&server);
    let request = request("log", LONG, b"").header("Content-Length", 100);
    client.send(request.header("Expect", "100-continue").head());
    client.continued();
    assert_eq!(uploads(&server), 2);
    server.kill();
    server.restart();
    assert!(get(&server, "log").ok().body == before);
    // That of a client stays.
    assert_eq!(uploads(&server), 1);
    put_part(&server, ("log", &id), 1, b"part").ok();
    append(&server, "log", LONG, b"more").ok();
}

#[test]
fn an_object_of_many_appends_has_few_parts() {
    let server = server(&[]);
    let line = [b'x'; 100];
    for at in 0..200 {
        append(&server, "log", at * line.len(), &line).ok();
    }
    let part = get(&server, "log?partNumber=1");
    assert_eq!(part.header("x-cos-mp-parts-count"), Some("1"));
    assert!(part.body == vec![b'x'; 200 * 100]);
}

#[test]
fn of_appends_at_one_place_one_succeeds() {
    for first in [1, LONG] {
        let server = server(&[]);
        append(&server, "log", 0, &vec![b'-'; first]).ok();
        thread::scope(|scope| {
            for writer in 0..4_u8 {
                let server = &server;
                scope.spawn(move || {
                    let mut position = first;
                    for _ in 0..5 {
                        loop {
                            let answer = append(server, "log", position, &[writer]);
                            position = answer.header(POSITION).unwrap().parse().unwrap();
                            if answer.status == 200 {
                                break;
                            }
                            assert_refused(&answer, (409, "AppendPositionErr"));
                        }
                    }
                });
            }
        });
        let mut written = get(&server, "log").ok().body.split_off(first);
        written.sort_unstable();
        let expected: Vec<_> = (0..4).flat_map(|writer| [writer; 5]).collect();
        assert_eq!(written, expected);
        assert_eq!(uploads(&server), 0);
    }
}

#[test]
fn an_acknowledged_append_survives_kill_9() {
    let mut server = server(&[]);
    let mut acknowledged = String::new();
    for round in 1..=5 {
        for line in 0..round {
            let line = format!("{round}, {line};");
            append(&server, "log", acknowledged.len(), line.as_bytes()).ok();
            acknowledged += &line;
        }
        server.kill();
        server.restart();
        assert_eq!(get(&server, "log").ok().text(), acknowledged);
    }
}
