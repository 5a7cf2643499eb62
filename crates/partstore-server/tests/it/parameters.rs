//! Parameters: an operation refuses those that it does not know, because they may ask for something else. Their names
//! have no case.

use crate::calls::{
    BUCKET, assert_refused, etag, filled, get, initiate, part_path, parts, path, put, server,
};
use crate::client::{Answer, Request};
use crate::fixture::Server;

const EMPTY: &str = "empty-1250000000";
const ABSENT: &str = "absent-1250000000";
const METHODS: [&str; 5] = ["GET", "HEAD", "PUT", "POST", "DELETE"];

fn send(server: &Server, method: &str, target: &str) -> Answer {
    let request = Request::new(method, target);
    let request = if ["PUT", "POST"].contains(&method) {
        request.body("other")
    } else {
        request
    };
    request.send(server)
}

fn bucket_status(server: &Server, bucket: &str) -> u16 {
    send(server, "HEAD", &format!("/{bucket}")).status
}

/// [`filled`], and an empty bucket.
fn with_empty_bucket() -> (Server, String) {
    let (server, id) = filled();
    send(&server, "PUT", &format!("/{EMPTY}")).ok();
    (server, id)
}

#[track_caller]
fn assert_unchanged(server: &Server, id: &str) {
    assert_eq!(get(server, "key").ok().body, b"object");
    assert_eq!(parts(server, ("key", id)), [(1, etag(b"part"), 4)]);
    let uploads = send(server, "GET", &format!("/{BUCKET}?uploads")).ok();
    assert_eq!(uploads.elements("UploadId"), [id]);
    let listed = send(server, "GET", &format!("/{BUCKET}")).ok();
    assert_eq!(listed.elements("Key"), ["key"]);
    let there = [BUCKET, EMPTY, ABSENT].map(|bucket| bucket_status(server, bucket));
    assert_eq!(there, [200, 200, 404]);
}

#[track_caller]
fn assert_not_implemented(answer: &Answer, method: &str, target: &str) {
    assert_eq!(answer.status, 501, "{method} {target}");
    if method != "HEAD" {
        assert_refused(answer, (501, "NotImplemented"));
    }
}

#[test]
fn what_no_operation_knows_is_refused_and_changes_nothing() {
    let (server, id) = with_empty_bucket();
    for query in [
        "acl",
        "ACL",
        "%61cl",
        "acl=",
        "style",
        "rename",
        "live",
        "versionId=1",
        "tagging",
        "object-lock",
        "response-control=x",
        "list-type=2",
        "append&position=0",
        "xcos=1",
        "q=1",
        "=1",
    ] {
        for method in METHODS {
            for target in [
                path("key"),
                path("new"),
                format!("/{EMPTY}"),
                format!("/{EMPTY}/"),
                format!("/{ABSENT}"),
            ] {
                let target = format!("{target}?{query}");
                let answer = send(&server, method, &target);
                assert_not_implemented(&answer, method, &target);
            }
        }
        assert_unchanged(&server, &id);
    }
}

#[test]
fn what_another_operation_knows_is_refused_and_changes_nothing() {
    let (server, id) = with_empty_bucket();
    let upload = format!("uploadId={id}");
    for (methods, target) in [
        ("PUT GET HEAD DELETE", path("key?uploads")),
        ("PUT HEAD DELETE POST", format!("/{EMPTY}?uploads")),
        ("PUT HEAD DELETE", format!("/{ABSENT}?uploads")),
        ("PUT GET HEAD DELETE POST", path("key?delete")),
        ("PUT GET HEAD DELETE", format!("/{EMPTY}?delete")),
        ("PUT GET HEAD DELETE POST", path("key?prefix=k")),
        ("PUT HEAD DELETE POST", format!("/{EMPTY}?prefix=k")),
        ("PUT DELETE POST", path("key?response-content-type=a")),
        ("GET DELETE", format!("/{EMPTY}?response-content-type=a")),
        ("GET", path("key?max-parts=1")),
        ("GET", format!("/{BUCKET}?max-uploads=1")),
        ("GET", format!("/{BUCKET}?uploads&max-keys=1")),
        ("DELETE GET POST", path("key?partNumber=1&") + &upload),
        ("DELETE GET POST PUT", path("key?acl&") + &upload),
        ("PUT", part_path("key", &id, 1) + "&acl"),
        ("PUT", part_path("key", &id, 1) + "&uploads"),
        ("POST", path("key?uploads&") + &upload),
        ("POST", path("key?uploads&delete")),
    ] {
        for method in methods.split(' ') {
            let answer = send(&server, method, &target);
            assert_not_implemented(&answer, method, &target);
            assert_unchanged(&server, &id);
        }
    }
}

/// A signature is in some, and the SDKs add others.
#[test]
fn parameters_of_signatures_and_of_cos_are_let_through() {
    let server = server(&[]);
    let query = "q-ak=x&Q-Other=y&x-cos-security-token=z&X-COS-Other";
    put(&server, &format!("key?{query}"), b"hello").ok();
    assert_eq!(get(&server, &format!("key?{query}")).ok().body, b"hello");
    let id = initiate(&server, "key");
    let part = part_path("key", &id, 1) + "&" + query;
    send(&server, "PUT", &part).ok();
    assert_eq!(parts(&server, ("key", &id)).len(), 1);
    let deleted = send(&server, "DELETE", &path(&format!("key?{query}")));
    assert_eq!(deleted.status, 204);
}

#[test]
fn names_of_parameters_have_no_case() {
    let server = server(&[]);
    put(&server, "key", b"object").ok();
    let initiated = send(&server, "POST", &path("key?UpLoads")).ok();
    let id = initiated.elements("UploadId").remove(0);
    for (number, spelling) in (1..).zip(["PartNumber=1&UPLOADID", "PARTNUMBER=2&uploadid"]) {
        let target = path(&format!("key?{spelling}={id}"));
        send(&server, "PUT", &target).ok();
        assert_eq!(parts(&server, ("key", &id)).len(), number);
    }
    let listed = send(
        &server,
        "GET",
        &path(&format!("key?UploadID={id}&MAX-PARTS=1")),
    );
    assert_eq!(listed.ok().elements("PartNumber"), ["1"]);
    let listed = send(&server, "GET", &format!("/{BUCKET}?PREFIX=other"));
    assert!(listed.ok().elements("Key").is_empty());
    let replaced = get(&server, "key?Response-Content-Type=image/png").ok();
    assert_eq!(replaced.header("Content-Type"), Some("image/png"));
    assert_eq!(get(&server, "key?PARTNUMBER=1").status, 206);
    let aborted = send(&server, "DELETE", &path(&format!("key?UPLOADID={id}")));
    assert_eq!(aborted.status, 204);
    assert_eq!(get(&server, "key").ok().body, b"object");
}

#[test]
fn more_than_a_hundred_parameters_are_refused() {
    let server = server(&[]);
    let many = |count: u32| {
        let names: Vec<_> = (0..count).map(|at| format!("x-cos-{at}")).collect();
        format!("key?{}", names.join("&"))
    };
    put(&server, &many(100), b"hello").ok();
    let refused = (400, "InvalidArgument");
    assert_refused(&put(&server, &many(101), b"other"), refused);
    assert_refused(&get(&server, &many(5_000)), refused);
    assert_eq!(get(&server, "key").ok().body, b"hello");
}
