//! `Expect: 100-continue`: a client is refused before it has sent its body.

use crate::calls::{
    BUCKET, assert_refused, bytes, etag, get, initiate, part_path, parts, path, put, put_part,
    server,
};
use crate::client::{Client, Request};
use crate::fixture::Server;

/// Requests that are refused for their heads, each with its refusal.
fn refusals(server: &Server) -> Vec<(Request, (u16, &'static str))> {
    let id = initiate(server, "key");
    let aborted = initiate(server, "key");
    let abort = Request::new("DELETE", path("key") + "?uploadId=" + &aborted);
    assert_eq!(abort.send(server).status, 204);
    let elsewhere = initiate(server, "elsewhere");
    let other_bucket = part_path("key", &id, 1).replace(BUCKET, "other-1250000000");
    let unknown = "0".repeat(id.len());

    let length = |request: Request| request.header("Content-Length", 8 * 1024 * 1024);
    let put = |target: String| length(Request::new("PUT", target));
    let part = |number: &str| put(part_path("key", &id, number));
    let upload = |id: &str| put(part_path("key", id, 1));
    let invalid = (400, "InvalidArgument");
    let gone = (404, "NoSuchUpload");
    let good = part_path("key", &id, 1);
    let declared = |length: &str| Request::new("PUT", &good).header("Content-Length", length);
    let chunked = Request::new("PUT", &good).header("Transfer-Encoding", "chunked");
    let md5 = |md5: &str| put(good.clone()).header("Content-MD5", md5);
    vec![
        (chunked, (411, "MissingContentLength")),
        (part("0"), invalid),
        (part("10001"), invalid),
        (part("-1"), invalid),
        (part("abc"), invalid),
        (part("18446744073709551617"), invalid),
        (part(""), invalid),
        (put(path("key") + "?uploadId=" + &id), invalid),
        (put(path("key") + "?partNumber=1"), invalid),
        (declared("5368709121"), (400, "EntityTooLarge")),
        (declared("9223372036854775807"), (400, "EntityTooLarge")),
        (md5("x"), (400, "InvalidDigest")),
        (md5("AAAA"), (400, "InvalidDigest")),
        (upload(&unknown), gone),
        (upload("x"), gone),
        (upload(""), gone),
        (upload(&aborted), gone),
        (upload(&elsewhere), gone),
        (put(other_bucket), (404, "NoSuchBucket")),
        (put("/other-1250000000/key".into()), (404, "NoSuchBucket")),
    ]
}

#[test]
fn a_good_part_is_asked_for_and_then_stored() {
    let server = server(&[]);
    let id = initiate(&server, "key");
    let request = Request::new("PUT", part_path("key", &id, 1))
        .header("Expect", "100-continue")
        .body("hello");
    let mut client = Client::connect(&server);
    client.send(request.head());
    client.continued();
    client.send("hello");
    let answer = client.answer().ok();
    assert_eq!(answer.header("ETag"), Some(etag(b"hello").as_str()));
}

#[test]
fn who_is_refused_is_never_asked_for_the_body() {
    let server = server(&[]);
    for (request, expected) in refusals(&server) {
        let mut client = Client::connect(&server);
        client.send(request.header("Expect", "100-continue").head());
        let answer = client.answer();
        assert_refused(&answer, expected);
        assert!(!answer.was_asked_for(), "{}", answer.text());
        // The server cannot tell what it did not read from the next request.
        assert!(client.is_at_end());
    }
}

#[test]
fn who_sends_the_body_all_the_same_gets_the_refusal() {
    let server = server(&[]);
    for (request, expected) in refusals(&server) {
        let mut client = Client::connect(&server);
        client.send(request.head());
        // No write fails: many clients would report the failed write instead of the answer.
        client.send(vec![b'x'; 8 * 1024 * 1024]);
        assert_refused(&client.answer(), expected);
    }
}

#[test]
fn a_bad_signature_is_refused_before_the_body() {
    let server = Server::with_keys(&[]);
    let signed = |id: &str, from: u64, until: u64| {
        format!(
            "q-sign-algorithm=sha1&q-ak={id}&q-sign-time={from};{until}&q-key-time={from};{until}\
             &q-header-list=host&q-url-param-list=&q-signature={}",
            "0".repeat(40)
        )
    };
    let far = 99_999_999_999;
    for (authorization, code) in [
        (String::new(), "AccessDenied"),
        ("Basic abc".into(), "AccessDenied"),
        (signed("AKIDother", 1, far), "InvalidAccessKeyId"),
        (signed("AKIDexample", 1, far), "SignatureDoesNotMatch"),
        (signed("AKIDexample", 1, 2), "AccessDenied"),
        (signed("AKIDexample", far, far), "RequestTimeTooSkewed"),
    ] {
        for target in [part_path("key", "x", 1), path("key")] {
            let mut client = Client::connect(&server);
            let request = Request::new("PUT", target)
                .header("Authorization", &authorization)
                .header("Expect", "100-continue")
                .header("Content-Length", 8 * 1024 * 1024);
            client.send(request.head());
            let answer = client.answer();
            assert_refused(&answer, (403, code));
            assert!(!answer.was_asked_for());
        }
    }
}

#[test]
fn a_refusal_touches_no_part() {
    let server = server(&[]);
    let id = initiate(&server, "key");
    let body = bytes(100, 1);
    put_part(&server, ("key", &id), 1, &body).ok();
    let before = parts(&server, ("key", &id));
    let digest = Request::new("PUT", part_path("key", &id, 1)).header("Content-MD5", "x");
    assert_refused(&digest.body("other").send(&server), (400, "InvalidDigest"));
    assert_eq!(parts(&server, ("key", &id)), before);
}

/// So the body of an object that must not be replaced is not sent in vain.
#[test]
fn a_name_that_is_taken_is_refused_before_the_body() {
    let server = server(&[]);
    let new = |key: &str| {
        let mut client = Client::connect(&server);
        let request = Request::new("PUT", path(key)).header("If-None-Match", "*");
        client.send(request.header("Expect", "100-continue").body("new").head());
        client
    };
    put(&server, "key", b"before").ok();
    let mut client = new("key");
    let answer = client.answer();
    assert_refused(&answer, (412, "PreconditionFailed"));
    assert!(!answer.was_asked_for());
    assert!(client.is_at_end());
    assert_eq!(get(&server, "key").ok().body, b"before");
    let mut client = new("other");
    client.send("new");
    assert!(client.answer().ok().was_asked_for());
    assert_eq!(get(&server, "other").ok().body, b"new");
}
