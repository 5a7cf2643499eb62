//! Every refusal is a document that every client understands, also of odd requests.

use crate::calls::{BUCKET, assert_refused, get, initiate, path, put, server};
use crate::client::{Client, Request};

#[test]
fn refusals_of_each_kind_are_whole_documents() {
    let server = server(&[]);
    put(&server, "object", b"hello").ok();
    let id = initiate(&server, "key");
    let upload = path("key") + "?uploadId=" + &id;
    let bucket = format!("/{BUCKET}");
    for (method, target, expected) in [
        ("GET", path("absent"), (404, "NoSuchKey")),
        ("GET", "/other-1250000000".into(), (404, "NoSuchBucket")),
        ("GET", "/other-1250000000/key".into(), (404, "NoSuchBucket")),
        ("PUT", "/".into(), (405, "MethodNotAllowed")),
        ("GET", "/UPPER".into(), (400, "InvalidBucketName")),
        ("GET", path("key") + "?uploadId=x", (404, "NoSuchUpload")),
        (
            "GET",
            upload.clone() + "&max-parts=0",
            (400, "InvalidArgument"),
        ),
        (
            "GET",
            upload.clone() + "&max-parts=1001",
            (400, "InvalidArgument"),
        ),
        (
            "GET",
            upload.clone() + "&max-parts=x",
            (400, "InvalidArgument"),
        ),
        (
            "GET",
            upload.clone() + "&part-number-marker=-1",
            (400, "InvalidArgument"),
        ),
        (
            "GET",
            upload.clone() + "&encoding-type=xml",
            (400, "InvalidArgument"),
        ),
        (
            "GET",
            bucket.clone() + "?max-keys=1001",
            (400, "InvalidArgument"),
        ),
        (
            "GET",
            bucket.clone() + "?uploads&max-uploads=0",
            (400, "InvalidArgument"),
        ),
        (
            "PUT",
            path("object") + "?acl",
            (400, "OperationNotSupported"),
        ),
        ("DELETE", path("key") + "?uploadId=x", (404, "NoSuchUpload")),
        ("DELETE", bucket.clone(), (409, "BucketNotEmpty")),
        ("PUT", bucket, (409, "BucketAlreadyOwnedByYou")),
        ("POST", path("key"), (405, "MethodNotAllowed")),
        ("PATCH", path("key"), (405, "MethodNotAllowed")),
        ("POST", upload, (400, "MalformedXML")),
        ("POST", path("key") + "?uploadId=x", (404, "NoSuchUpload")),
    ] {
        assert_refused(&Request::new(method, target).send(&server), expected);
    }
}

/// An upload belongs to a key. Without one the request would be taken for that of the bucket.
#[test]
fn a_request_of_an_upload_without_a_key_is_not_one_of_the_bucket() {
    let server = server(&[]);
    for (method, query) in [
        ("DELETE", "?uploadId=x"),
        ("DELETE", "?partNumber=1&uploadId=x"),
        ("PUT", "?partNumber=1&uploadId=x"),
        ("GET", "?uploadId=x"),
    ] {
        for bucket in [BUCKET, "other-1250000000"] {
            let answer = Request::new(method, format!("/{bucket}{query}")).send(&server);
            assert!(
                (400..500).contains(&answer.status),
                "{method} {query}: {}",
                answer.status
            );
        }
    }
    let there = |bucket| {
        Request::new("HEAD", format!("/{bucket}"))
            .send(&server)
            .status
    };
    assert_eq!((there(BUCKET), there("other-1250000000")), (200, 404));
}

#[test]
fn odd_targets_stand_in_the_refusal_as_xml() {
    let server = server(&[]);
    for odd in [
        "a&b",
        "a<b>",
        "\"quoted\"",
        "'x'",
        "]]>",
        "{}|^`\\",
        "%26amp;",
        "&amp;",
        "~!$()*,;:@",
        "%E2%82%AC",
        "€",
        "%F0%9F%A6%80",
        "a%20b",
        "a+b",
        "%",
        "%zz",
        "%ff",
        "%00",
        "%0d%0a",
        "%c0%80",
        "%ed%a0%80",
        "..",
        "?x=%",
    ] {
        let answer = get(&server, odd);
        assert!(
            (400..500).contains(&answer.status),
            "{odd}: {}",
            answer.status
        );
        // What is not HTTP at all, is answered before anybody looks for a document.
        if !answer.body.is_empty() {
            let code = answer.elements("Code").remove(0);
            assert_refused(&answer, (answer.status, &code));
        }
    }
}

#[test]
fn targets_of_no_path_are_refused_with_a_resource() {
    let server = server(&[]);
    for line in [
        "CONNECT host:80 HTTP/1.1",
        "OPTIONS * HTTP/1.1",
        "PUT http://host HTTP/1.1",
        "GET /UPPER HTTP/1.0",
    ] {
        let mut client = Client::connect(&server);
        client.send(format!("{line}\r\nHost: 127.0.0.1\r\n\r\n"));
        let answer = client.answer();
        let code = answer.elements("Code").remove(0);
        assert_refused(&answer, (answer.status, &code));
        assert!((400..500).contains(&answer.status));
    }
}

#[test]
fn a_refused_head_has_the_length_of_what_get_would_say_and_no_more() {
    let server = server(&[]);
    let mut client = Client::connect(&server);
    client.send(Request::new("HEAD", path("absent")).bytes());
    let answer = client.answer_to("HEAD");
    assert_eq!(answer.status, 404);
    assert!(answer.header("x-cos-request-id").is_some());
    client.send(Request::new("GET", path("absent")).bytes());
    assert_refused(&client.answer(), (404, "NoSuchKey"));
}

/// XML cannot hold most control characters, not even escaped.
#[test]
fn no_answer_has_characters_that_xml_does_not_have() {
    let server = server(&[]);
    let id = initiate(&server, "key");
    let key = path("key");
    let bucket = format!("/{BUCKET}");
    for odd in [
        "%01",
        "a%00b",
        "%1b%5b",
        "%7f",
        "%EF%BF%BE",
        "%F0%9F%A6%80",
        "%3C%26%3E",
    ] {
        for (method, target) in [
            ("PUT", format!("{key}?partNumber=1&uploadId={odd}")),
            ("PUT", format!("{key}?partNumber={odd}&uploadId={id}")),
            ("GET", format!("{key}?uploadId={odd}")),
            ("GET", format!("{key}?uploadId={id}&max-parts={odd}")),
            ("GET", format!("{key}?uploadId={id}&encoding-type={odd}")),
            ("GET", format!("{key}?{odd}&{odd}")),
            ("GET", format!("{bucket}?prefix={odd}")),
            ("GET", format!("{bucket}?delimiter={odd}&marker={odd}")),
            (
                "GET",
                format!("{bucket}?uploads&prefix={odd}&key-marker={odd}&upload-id-marker={odd}"),
            ),
            (
                "GET",
                format!("{bucket}?uploads&key-marker={odd}&delimiter={odd}"),
            ),
        ] {
            let answer = Request::new(method, &target).send(&server);
            let bad = |c: char| c < ' ' || matches!(c, '\u{fffe}' | '\u{ffff}');
            assert!(
                !answer.text().contains(bad),
                "{method} {target}: {}",
                answer.text()
            );
            assert!(answer.status < 500);
        }
    }
}
