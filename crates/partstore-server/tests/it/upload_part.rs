//! Upload Part to the letter.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha1::{Digest, Sha1};

use crate::calls::{
    assert_refused, bytes, completion, content_md5, copy, etag, get, initiate, list_of, part_path,
    parts, path, put, put_part, server,
};
use crate::client::{Client, Request};

const SHA1: &str = "x-cos-content-sha1";

#[test]
fn the_answer_is_the_protocols_to_the_letter() {
    let server = server(&[]);
    let id = initiate(&server, "key");
    let answer = put_part(&server, ("key", &id), 1, b"123456789").ok();
    assert_eq!(answer.body, b"");
    assert_eq!(answer.header("Content-Length"), Some("0"));
    let quoted = "\"25f9e794323b453885f5181f1b624d0b\"";
    assert_eq!(answer.header("ETag"), Some(quoted));
    // The check value of CRC-64/XZ.
    let crc = "11051210869376104954";
    assert_eq!(answer.header("x-cos-hash-crc64ecma"), Some(crc));
    let id = answer.header("x-cos-request-id").unwrap();
    assert!(STANDARD.decode(id).is_ok_and(|id| !id.is_empty()));
    assert_eq!(answer.header("Connection"), None);
}

#[test]
fn the_newest_part_of_a_number_counts() {
    let server = server(&[]);
    let id = initiate(&server, "key");
    for (number, body) in [
        (2, "two"),
        (1, "one"),
        (2, "deux"),
        (2, "deux"),
        (10_000, ""),
    ] {
        let answer = put_part(&server, ("key", &id), number, body.as_bytes()).ok();
        assert_eq!(answer.header("ETag"), Some(etag(body.as_bytes()).as_str()));
    }
    let expected = [(1, "one"), (2, "deux"), (10_000, "")]
        .map(|(number, body)| (number, etag(body.as_bytes()), body.len()));
    assert_eq!(parts(&server, ("key", &id)), expected);
}

#[test]
fn a_wrong_digest_leaves_the_part_before() {
    let server = server(&[]);
    let id = initiate(&server, "key");
    let (good, bad) = (bytes(100_000, 1), bytes(100_000, 2));
    let digest = content_md5(&good);
    let request = Request::new("PUT", part_path("key", &id, 1)).header("Content-MD5", &digest);
    request.clone().body(&*good).send(&server).ok();
    let before = parts(&server, ("key", &id));
    assert_refused(&request.body(&*bad).send(&server), (400, "BadDigest"));
    assert_eq!(parts(&server, ("key", &id)), before);

    put(&server, "object", &good).ok();
    let request = Request::new("PUT", path("object")).header("Content-MD5", digest);
    assert_refused(&request.body(bad).send(&server), (400, "BadDigest"));
    assert_eq!(get(&server, "object").ok().body, good);
}

/// A header of the first version of the protocol, which some SDKs still have.
#[test]
fn a_declared_sha_1_is_compared_where_a_body_is_stored_and_refused_elsewhere() {
    let server = server(&[]);
    let id = initiate(&server, "key");
    let (good, bad) = (b"good", b"bad");
    let digest = hex::encode(Sha1::digest(good));
    for target in [part_path("key", &id, 1), path("object")] {
        let request = |sha1: &str| Request::new("PUT", &target).header(SHA1, sha1);
        request(&digest).body(good).send(&server).ok();
        assert_refused(
            &request(&digest).body(bad).send(&server),
            (400, "BadDigest"),
        );
        for malformed in ["x", &digest[1..]] {
            assert_refused(
                &request(malformed).body(good).send(&server),
                (400, "InvalidSHA1Digest"),
            );
        }
    }
    let stored = etag(good);
    assert_eq!(parts(&server, ("key", &id)), [(1, stored.clone(), 4)]);
    assert_eq!(get(&server, "object").ok().body, good);
    let list = list_of(&[(1, &stored)]);
    for request in [
        completion(("key", &id), list),
        copy(&server, "object", path("copy")),
        Request::new("POST", path("log?append&position=0")),
    ] {
        let refused = request.header(SHA1, &digest).send(&server);
        assert_refused(&refused, (400, "OperationNotSupported"));
    }
}

#[test]
fn a_part_needs_a_length_and_an_object_a_length_or_chunks() {
    let server = server(&[]);
    let id = initiate(&server, "key");
    let refused = (411, "MissingContentLength");
    let chunked = |target: String| {
        Request::new("PUT", target)
            .header("Transfer-Encoding", "chunked")
            .body("5\r\nhello\r\n0\r\n\r\n")
    };
    for target in [part_path("key", &id, 1), path("object")] {
        let mut client = Client::connect(&server);
        client.send(format!("PUT {target} HTTP/1.1\r\nHost: localhost\r\n\r\n"));
        assert_refused(&client.answer(), refused);
    }
    assert_refused(&chunked(part_path("key", &id, 1)).send(&server), refused);
    assert_eq!(parts(&server, ("key", &id)), []);
    assert_refused(&get(&server, "object"), (404, "NoSuchKey"));
    chunked(path("object")).send(&server).ok();
    assert_eq!(get(&server, "object").ok().body, b"hello");
}

#[test]
fn two_lengths_are_never_believed() {
    let server = server(&[]);
    let id = initiate(&server, "key");
    let put = || Request::new("PUT", part_path("key", &id, 1)).header("Content-Length", 5);
    for request in [
        put().header("Content-Length", 6),
        put().header("Transfer-Encoding", "chunked"),
        Request::new("PUT", part_path("key", &id, 1)).header("Content-Length", "5, 6"),
        Request::new("PUT", part_path("key", &id, 1)).header("Content-Length", "+5"),
        Request::new("PUT", part_path("key", &id, 1)).header("Content-Length", "-5"),
        Request::new("PUT", part_path("key", &id, 1)).header("Content-Length", "0x5"),
        Request::new("PUT", part_path("key", &id, 1))
            .header("Content-Length", "5368709121000000000000"),
    ] {
        let answer = request.body("5\r\nhello\r\n0\r\n\r\n").send(&server);
        assert!((400..500).contains(&answer.status), "{}", answer.status);
    }
    assert_eq!(parts(&server, ("key", &id)), []);
}

#[test]
fn requests_follow_one_another_on_a_connection() {
    let server = server(&[]);
    let id = initiate(&server, "key");
    let mut client = Client::connect(&server);
    let part = |number: u32| {
        Request::new("PUT", part_path("key", &id, number)).body(bytes(5000, number.into()))
    };
    // All are sent before the first is answered.
    let requests: Vec<_> = (1..=20).flat_map(|number| part(number).bytes()).collect();
    client.send(requests);
    for number in 1..=20 {
        let answer = client.answer().ok();
        assert_eq!(
            answer.header("ETag"),
            Some(etag(&bytes(5000, number)).as_str())
        );
    }
    client.send(Request::new("PUT", part_path("key", &id, 0)).bytes());
    assert_refused(&client.answer(), (400, "InvalidArgument"));
    client.send(part(21).bytes());
    client.answer().ok();
    assert_eq!(parts(&server, ("key", &id)).len(), 21);
}

#[test]
fn parts_in_any_order_become_the_object_in_order() {
    let server = server(&[]);
    let id = initiate(&server, "key");
    let bodies = [bytes(1_048_576, 1), bytes(1_048_577, 2), bytes(1, 3)];
    for number in [3, 1, 2] {
        put_part(&server, ("key", &id), number, &bodies[number as usize - 1]).ok();
    }
    let listed = parts(&server, ("key", &id));
    let list: Vec<_> = listed
        .iter()
        .map(|(number, etag, _)| (*number, etag.as_str()))
        .collect();
    let answer = completion(("key", &id), list_of(&list)).send(&server).ok();
    let object = get(&server, "key").ok();
    assert!(object.body == bodies.concat());
    assert_eq!(
        object.header("ETag"),
        Some(answer.elements("ETag")[0].as_str())
    );
    assert!(object.header("ETag").unwrap().ends_with("-3\""));
}
