//! GET and HEAD: parts of objects, conditions, and headers that the request chooses.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use crate::calls::{MIB, assert_refused, bytes, delete, etag, get, path, put, put_parts, server};
use crate::client::{Answer, Client, Request};
use crate::fixture::Server;

fn with(server: &Server, headers: &[(&str, &str)]) -> Answer {
    let get = Request::new("GET", path("key"));
    let get = headers
        .iter()
        .fold(get, |get, (name, value)| get.header(name, value));
    get.send(server)
}

#[test]
fn ranges_are_heeded_refused_or_passed_over() {
    let server = server(&[]);
    let body = bytes(MIB + 5, 1);
    put(&server, "key", &body).ok();
    let size = body.len();
    for (range, first, len) in [
        ("bytes=0-0".to_owned(), 0, 1),
        ("bytes=10-".into(), 10, size - 10),
        ("bytes=-7".into(), size - 7, 7),
        (format!("bytes={}-{}", MIB - 1, MIB + 1), MIB - 1, 3),
        (
            format!("bytes={}-99999999999999999999999", size - 1),
            size - 1,
            1,
        ),
    ] {
        let answer = with(&server, &[("Range", &range)]);
        assert_eq!(answer.status, 206, "{range}");
        assert!(answer.body == body[first..first + len], "{range}");
        let expected = format!("bytes {first}-{}/{size}", first + len - 1);
        assert_eq!(answer.header("Content-Range"), Some(expected.as_str()));
    }
    for range in [format!("bytes={size}-"), "bytes=-0".into()] {
        assert_refused(&with(&server, &[("Range", &range)]), (416, "InvalidRange"));
    }
    for range in ["bytes=5-3", "bytes=0-1,3-4", "lines=0-1", "x", ""] {
        assert!(
            with(&server, &[("Range", range)]).ok().body == body,
            "{range}"
        );
    }
    let stale = [("Range", "bytes=0-0"), ("If-Range", "\"other\"")];
    assert!(with(&server, &stale).ok().body == body);
    let tag = etag(&body);
    let fresh = [("Range", "bytes=0-0"), ("If-Range", tag.as_str())];
    assert_eq!(with(&server, &fresh).status, 206);
}

#[test]
fn a_part_of_an_object_is_read_by_its_number() {
    let server = server(&[]);
    let bodies = [bytes(MIB, 1), bytes(MIB + 1, 2), bytes(3, 3)];
    put_parts(&server, "key", &bodies);
    for (number, body) in (1..).zip(&bodies) {
        let answer = get(&server, &format!("key?partNumber={number}"));
        assert_eq!(answer.status, 206);
        assert!(answer.body == *body);
        assert_eq!(answer.header("x-cos-mp-parts-count"), Some("3"));
    }
    for number in ["0", "4", "x", "10001"] {
        let answer = get(&server, &format!("key?partNumber={number}"));
        assert!(
            [400, 416].contains(&answer.status),
            "{number}: {}",
            answer.status
        );
    }
    let across = with(
        &server,
        &[("Range", &format!("bytes={}-{}", MIB - 1, 2 * MIB + 1))],
    );
    assert!(across.body == bodies.concat()[MIB - 1..2 * MIB + 2]);
}

/// A range of no bytes cannot be written, so the answer has none.
#[test]
fn a_part_without_bytes_is_read_by_its_number() {
    let server = server(&[]);
    let bodies = [bytes(MIB, 1), vec![]];
    put_parts(&server, "key", &bodies);
    for method in ["GET", "HEAD"] {
        // On one connection: a byte too many would be taken for the next answer.
        let mut client = Client::connect(&server);
        for _ in 0..2 {
            client.send(Request::new(method, path("key?partNumber=2")).bytes());
            let answer = client.answer_to(method).ok();
            assert_eq!(answer.header("Content-Length"), Some("0"));
            assert_eq!(answer.header("Content-Range"), None);
            assert_eq!(answer.header("x-cos-mp-parts-count"), Some("2"));
            assert_eq!(answer.body, b"");
        }
    }
    assert!(get(&server, "key?partNumber=1").body == bodies[0]);
    assert!(get(&server, "key").ok().body == bodies[0]);
}

#[test]
fn conditions_of_readers_are_met_or_not() {
    let server = server(&[]);
    put(&server, "key", b"hello").ok();
    let tag = etag(b"hello");
    let bare = tag.trim_matches('"');
    let modified = get(&server, "key")
        .header("Last-Modified")
        .unwrap()
        .to_owned();
    let (past, future) = (
        "Mon, 01 Jan 2001 00:00:00 GMT",
        "Fri, 01 Jan 2100 00:00:00 GMT",
    );
    for (headers, status) in [
        (vec![("If-Match", tag.as_str())], 200),
        (vec![("If-Match", bare)], 200),
        (vec![("If-Match", "*")], 200),
        (vec![("If-Match", "\"x\"")], 412),
        (vec![("If-None-Match", tag.as_str())], 304),
        (vec![("If-None-Match", "\"x\", W/\"y\"")], 200),
        (vec![("If-None-Match", "*")], 304),
        (vec![("If-Modified-Since", modified.as_str())], 304),
        (vec![("If-Modified-Since", past)], 200),
        (vec![("If-Unmodified-Since", modified.as_str())], 200),
        (vec![("If-Unmodified-Since", past)], 412),
        (vec![("If-Unmodified-Since", "nonsense")], 200),
        (vec![("If-Match", ""), ("If-None-Match", "")], 200),
        // The tag decides.
        (
            vec![("If-None-Match", "\"x\""), ("If-Modified-Since", future)],
            200,
        ),
        (
            vec![("If-Match", tag.as_str()), ("If-Unmodified-Since", past)],
            200,
        ),
    ] {
        let answer = with(&server, &headers);
        assert_eq!(answer.status, status, "{headers:?}");
        match status {
            200 => assert_eq!(answer.body, b"hello"),
            304 => assert_eq!(answer.header("ETag"), Some(tag.as_str())),
            _ => assert_refused(&answer, (412, "PreconditionFailed")),
        }
    }
}

#[test]
fn head_says_what_get_says_without_the_bytes() {
    let server = server(&[]);
    let request = Request::new("PUT", path("key"))
        .header("Content-Type", "text/plain")
        .header("x-cos-meta-a", "b");
    request.body("hello").send(&server).ok();
    put(&server, "empty", b"").ok();
    for (target, header) in [
        ("key", ("x", "x")),
        ("key", ("Range", "bytes=1-2")),
        ("key", ("Range", "bytes=9-")),
        ("key", ("If-None-Match", "*")),
        ("key", ("If-Match", "x")),
        ("key?partNumber=1", ("x", "x")),
        ("key?partNumber=2", ("x", "x")),
        ("key?response-content-type=image/png", ("x", "x")),
        ("empty", ("x", "x")),
        ("absent", ("x", "x")),
    ] {
        // On one connection: a body after HEAD would be taken for the next answer.
        let mut client = Client::connect(&server);
        let said = ["HEAD", "GET"].map(|method| {
            client.send(
                Request::new(method, path(target))
                    .header(header.0, header.1)
                    .bytes(),
            );
            let mut answer = client.answer_to(method);
            // The document of an error has ids in it, and they differ.
            let differs = |name: &str| {
                let ids = ["x-cos-request-id", "x-cos-trace-id", "Date"];
                ids.contains(&name) || (name == "Content-Length" && answer.status >= 400)
            };
            answer.headers.retain(|(name, _)| !differs(name));
            answer.headers.sort();
            (answer.status, answer.headers)
        });
        let [head, get] = &said;
        assert_eq!(head, get, "{target} {header:?}");
    }
}

#[test]
fn headers_are_kept_and_replaced_in_an_answer() {
    let server = server(&[]);
    let kept = [
        ("Content-Type", "text/plain"),
        ("Cache-Control", "no-store"),
        ("Content-Disposition", "inline"),
        ("x-cos-meta-a", "b"),
    ];
    let request = kept.iter().fold(
        Request::new("PUT", path("key")),
        |request, (name, value)| request.header(name, value),
    );
    request.body("hello").send(&server).ok();
    let answer = get(&server, "key").ok();
    for (name, value) in kept {
        assert_eq!(answer.header(name), Some(value), "{name}");
    }
    let query = "key?response-content-type=image%2Fpng&response-cache-control=max-age%3D1&response-expires=x&response-content-encoding=gzip";
    let answer = get(&server, query).ok();
    for (name, value) in [
        ("Content-Type", "image/png"),
        ("Cache-Control", "max-age=1"),
        ("Expires", "x"),
        ("Content-Encoding", "gzip"),
    ] {
        assert_eq!(answer.header(name), Some(value), "{name}");
    }
    let split = get(&server, "key?response-content-type=a%0d%0aSet-Cookie:%20x");
    assert_refused(&split, (400, "InvalidArgument"));
    let large = Request::new("PUT", path("key")).header("x-cos-meta-a", "x".repeat(4090));
    assert_refused(&large.send(&server), (400, "MetadataTooLarge"));
}

/// Every body that is read is one of those that were put, or the object does not exist.
#[test]
fn readers_see_one_object_whole_while_it_is_replaced_and_deleted() {
    let server = server(&[]);
    let bodies = [bytes(300_000, 1), bytes(1_700_000, 2), bytes(7, 3)];
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                while !done.load(Ordering::Relaxed) {
                    let answer = get(&server, "key");
                    assert!(answer.is_whole);
                    match answer.status {
                        404 => assert_refused(&answer, (404, "NoSuchKey")),
                        _ => assert!(bodies.contains(&answer.ok().body)),
                    }
                }
            });
        }
        for at in 0..60 {
            put(&server, "key", &bodies[at % 3]).ok();
            if at % 5 == 4 {
                delete(&server, "key");
            }
        }
        done.store(true, Ordering::Relaxed);
    });
}

#[test]
fn a_name_that_is_replaced_is_never_without_an_object() {
    let server = server(&[]);
    let bodies = [bytes(3000, 1), bytes(7, 2)];
    put(&server, "key", &bodies[1]).ok();
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                while !done.load(Ordering::Relaxed) {
                    assert!(bodies.contains(&get(&server, "key").ok().body));
                }
            });
        }
        for at in 0..100 {
            put(&server, "key", &bodies[at % 2]).ok();
        }
        done.store(true, Ordering::Relaxed);
    });
}
