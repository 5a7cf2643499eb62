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
fn assert_not_supported(answer: &Answer, method: &str, target: &str) {
    assert_eq!(answer.status, 400, "{method} {target}");
    if method != "HEAD" {
        assert_refused(answer, (400, "OperationNotSupported"));
    }
}

#[test]
fn what_no_operation_that_writes_knows_is_refused_and_changes_nothing() {
    let (server, id) = with_empty_bucket();
    for query in [
        "acl",
        "ACL",
        "%61cl",
        "acl=",
        "style",
        "rename",
        "live",
        "object-lock",
        "response-control=x",
        "list-type=2",
        "xcos=1",
        "x-cos-other=1",
        "q=1",
        "=1",
    ] {
        for method in ["PUT", "POST", "DELETE"] {
            for target in [
                path("key"),
                path("new"),
                format!("/{EMPTY}"),
                format!("/{EMPTY}/"),
            ] {
                let target = format!("{target}?{query}");
                let answer = send(&server, method, &target);
                assert_not_supported(&answer, method, &target);
            }
        }
        assert_unchanged(&server, &id);
    }
}

#[test]
fn a_reader_gets_what_it_asks_for_or_a_refusal() {
    let (server, id) = with_empty_bucket();
    // What means nothing to the store is for others: caches, proxies, and pages that want a fresh copy.
    for query in [
        "v=1",
        "=1",
        "utm_source=a&b",
        "prefix=k",
        "max-parts=1",
        "x-cos-other=1",
    ] {
        for method in ["GET", "HEAD"] {
            let answer = send(&server, method, &(path("key?") + query));
            assert_eq!(answer.status, 200, "{method} {query}");
            assert_eq!(answer.header("Content-Length"), Some("6"));
            let answer = send(&server, method, &format!("/{EMPTY}?{query}"));
            assert_eq!(answer.status, 200, "{method} {query}");
        }
    }
    for query in [
        "object-lock",
        "torrent",
        "ci-process=x",
        "imageMogr2/thumbnail/1x1",
        "symlink",
        "uploads",
    ] {
        for method in ["GET", "HEAD"] {
            let target = path("key?") + query;
            assert_not_supported(&send(&server, method, &target), method, &target);
        }
    }
    assert_not_supported(
        &send(&server, "GET", &format!("/{EMPTY}?list-type=2")),
        "GET",
        "list-type=2",
    );
    assert_unchanged(&server, &id);
}

#[test]
fn what_another_operation_knows_is_refused_and_changes_nothing() {
    let (server, id) = with_empty_bucket();
    let upload = format!("uploadId={id}");
    for (methods, target) in [
        ("PUT GET HEAD DELETE", path("key?uploads")),
        ("PUT HEAD DELETE POST", format!("/{EMPTY}?uploads")),
        ("PUT DELETE", format!("/{ABSENT}?uploads")),
        ("PUT GET HEAD DELETE POST", path("key?delete")),
        ("PUT GET HEAD DELETE", format!("/{EMPTY}?delete")),
        ("PUT DELETE POST", path("key?prefix=k")),
        ("PUT DELETE POST", format!("/{EMPTY}?prefix=k")),
        ("PUT DELETE POST", path("key?response-content-type=a")),
        ("DELETE", format!("/{EMPTY}?response-content-type=a")),
        ("DELETE POST", path("key?partNumber=1&") + &upload),
        ("DELETE POST PUT", path("key?acl&") + &upload),
        ("PUT", part_path("key", &id, 1) + "&acl"),
        ("PUT", part_path("key", &id, 1) + "&uploads"),
        ("POST", path("key?uploads&") + &upload),
        ("POST", path("key?uploads&delete")),
    ] {
        for method in methods.split(' ') {
            let answer = send(&server, method, &target);
            assert_not_supported(&answer, method, &target);
            assert_unchanged(&server, &id);
        }
    }
}

/// Clients send an empty `versionId` always, and mean none.
#[test]
fn a_bucket_without_versions_has_the_version_null() {
    let server = server(&[]);
    for none in ["versionId=", "versionId", "versionId=null"] {
        put(&server, &format!("key?{none}"), b"hello").ok();
        assert_eq!(get(&server, &format!("key?{none}")).ok().body, b"hello");
        let copied = Request::new("PUT", path("copy"))
            .header(
                "x-cos-copy-source",
                format!("127.0.0.1{}?{none}", path("key")),
            )
            .send(&server);
        copied.ok();
        let deleted = send(&server, "DELETE", &path(&format!("key?{none}")));
        assert_eq!(deleted.status, 204);
        put(&server, "key", b"hello").ok();
        let list = "<Delete><Object><Key>key</Key><VersionId></VersionId></Object></Delete>";
        let deleted = crate::calls::deletion(list).send(&server).ok();
        assert_eq!(deleted.elements("Key"), ["key"]);
        assert_eq!(get(&server, "key").status, 404);
    }
    put(&server, "key", b"hello").ok();
    for method in METHODS {
        let answer = send(&server, method, &path("key?versionId=1"));
        assert_eq!(answer.status, 400, "{method}");
    }
    assert_eq!(get(&server, "key").ok().body, b"hello");
}

/// What a tool asks a bucket before it works with it.
#[test]
fn configurations_are_those_of_a_bucket_that_has_none() {
    let (server, id) = with_empty_bucket();
    let ask = |target: &str| send(&server, "GET", target);
    for (query, part) in [
        ("acl", "<Permission>FULL_CONTROL</Permission>"),
        ("versioning", "<VersioningConfiguration/>"),
        ("location", "<LocationConstraint>local</LocationConstraint>"),
        ("logging", "<BucketLoggingStatus/>"),
        ("accelerate", "<AccelerateConfiguration/>"),
    ] {
        let answer = ask(&format!("/{EMPTY}?{query}")).ok();
        assert!(answer.text().contains(part), "{}", answer.text());
        assert_refused(&ask(&format!("/{ABSENT}?{query}")), (404, "NoSuchBucket"));
    }
    for (query, code) in [
        ("cors", "NoSuchCORSConfiguration"),
        ("domain", "DomainConfigNotFoundError"),
        ("encryption", "NoSuchEncryptionConfiguration"),
        ("inventory", "InventoryConfigurationNotFoundError"),
        ("lifecycle", "NoSuchLifecycleConfiguration"),
        ("origin", "OriginConfigurationNotFoundError"),
        ("policy", "NoSuchPolicy"),
        ("referer", "NoSuchRefererConfiguration"),
        ("replication", "ReplicationConfigurationNotFoundError"),
        ("tagging", "NoSuchTagSet"),
        ("website", "NoSuchWebsiteConfiguration"),
    ] {
        assert_refused(&ask(&format!("/{EMPTY}?{query}")), (404, code));
        let deleted = send(&server, "DELETE", &format!("/{EMPTY}?{query}"));
        assert_eq!(deleted.status, 204);
    }
    let versions = ask(&format!("/{BUCKET}?versions")).ok();
    assert_eq!(versions.elements("Key"), ["key"]);
    assert_eq!(versions.elements("VersionId"), ["null"]);
    let acl = ask(&path("key?acl")).ok();
    assert_eq!(acl.elements("Permission"), ["FULL_CONTROL"]);
    ask(&path("key?tagging")).ok();
    assert_refused(&ask(&path("absent?acl")), (404, "NoSuchKey"));
    assert_unchanged(&server, &id);
}

/// A signature is in some, and the SDKs add others.
#[test]
fn parameters_of_signatures_and_of_cos_are_let_through() {
    let server = server(&[]);
    let query = "q-ak=x&Q-Other=y&x-cos-security-token=z&X-COS-Traffic-Limit&sign=";
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
    put(&server, "key", b"hello").ok();
    get(&server, &many(100)).ok();
    let refused = (400, "InvalidArgument");
    assert_refused(&put(&server, &many(101), b"other"), refused);
    assert_refused(&get(&server, &many(5_000)), refused);
    assert_eq!(get(&server, "key").ok().body, b"hello");
}
