//! Conditions of requests that write are met or refused. None is ignored.

use std::thread;

use crate::calls::{
    assert_refused, bytes, completion, copy, delete, deletion, etag, filled, get, initiate,
    list_of, part_path, parts, path, put, put_part, server, upload,
};
use crate::client::Request;
use crate::fixture::Server;

#[test]
fn who_wants_a_new_name_replaces_nothing() {
    let server = server(&[]);
    let new = |request: Request| request.header("If-None-Match", "*").send(&server);
    let put_new = || new(Request::new("PUT", path("key")).body("first"));
    put_new().ok();
    let refused = (412, "PreconditionFailed");
    assert_refused(&put_new(), refused);
    let id = initiate(&server, "key");
    let part = put_part(&server, ("key", &id), 1, b"second").ok();
    let request = completion(("key", &id), list_of(&[(1, part.header("ETag").unwrap())]));
    assert_refused(&new(request.clone()), refused);
    assert_eq!(get(&server, "key").ok().body, b"first");
    delete(&server, "key");
    new(request.clone()).ok();
    // If its answer is lost, the client asks again, and the object that exists is its own.
    new(request).ok();
    assert_eq!(get(&server, "key").ok().body, b"second");
}

#[test]
fn of_many_who_want_a_new_name_one_gets_it() {
    let server = server(&[]);
    let attempt = |at: u64| {
        let request = Request::new("PUT", path("key")).header("If-None-Match", "*");
        (at, request.body(bytes(1000, at)).send(&server).status)
    };
    let attempts: Vec<_> = thread::scope(|scope| {
        let threads: Vec<_> = (0..16).map(|at| scope.spawn(move || attempt(at))).collect();
        threads
            .into_iter()
            .map(|thread| thread.join().unwrap())
            .collect()
    });
    let got: Vec<_> = attempts
        .iter()
        .filter(|(_, status)| *status == 200)
        .collect();
    assert_eq!(got.len(), 1, "{attempts:?}");
    assert_eq!(get(&server, "key").ok().body, bytes(1000, got[0].0));
}

fn from_source(server: &Server, target: String) -> Request {
    put(server, "source", b"source").ok();
    copy(server, "source", target)
}

/// All that make an object `key`.
fn makers(server: &Server, id: &str) -> Vec<Request> {
    vec![
        Request::new("PUT", path("key")).body("new"),
        from_source(server, path("key")),
        completion(("key", id), list_of(&[(1, &etag(b"part"))])),
    ]
}

/// All else that changes the object, its upload or the upload's only part.
fn changes(server: &Server, id: &str) -> Vec<Request> {
    vec![
        Request::new("PUT", part_path("key", id, 1)).body("new"),
        from_source(server, part_path("key", id, 1)),
        Request::new("DELETE", path("key")),
        Request::new("DELETE", path("key") + "?uploadId=" + id),
        deletion("<Delete><Object><Key>key</Key></Object></Delete>"),
    ]
}

#[test]
fn conditions_that_are_not_known_are_refused_and_not_passed_over() {
    let (server, id) = filled();
    let before = parts(&server, ("key", &id));
    let (past, future) = (
        "Mon, 01 Jan 2001 00:00:00 GMT",
        "Fri, 01 Jan 2100 00:00:00 GMT",
    );
    for (name, value) in [
        ("If-Modified-Since", past),
        ("If-Modified-Since", future),
        ("If-Unmodified-Since", past),
        ("If-Unmodified-Since", future),
        ("x-amz-copy-source", "/bucket/source"),
        ("x-amz-object-lock-mode", "GOVERNANCE"),
        ("x-cos-callback", "e30="),
        ("x-cos-tagging", "a=b"),
        ("x-cos-unheard-of", "1"),
        ("Pic-Operations", "{}"),
        ("Content-Encoding", "gzip, aws-chunked"),
        ("Content-Range", "bytes 0-1/3"),
        ("x-cos-server-side-encryption", "AES256"),
    ] {
        for request in [makers(&server, &id), changes(&server, &id)].concat() {
            let head = String::from_utf8(request.head()).unwrap();
            let answer = request.header(name, value).send(&server);
            assert_eq!(answer.status, 400, "{name}: {value}: {head}");
            assert_refused(&answer, (400, "OperationNotSupported"));
            assert_eq!(get(&server, "key").ok().body, b"object");
            assert_eq!(parts(&server, ("key", &id)), before);
        }
    }
    // A client may say that overwriting is not forbidden.
    for request in makers(&server, &id) {
        let request = request.header("x-cos-forbid-overwrite", "false");
        request.send(&server).ok();
    }
    assert_eq!(get(&server, "key").ok().body, b"part");
}

/// Proxies and tools add them, and the store has nothing to do with them.
#[test]
fn headers_that_mean_nothing_to_a_store_pass() {
    let (server, id) = filled();
    for (name, value) in [
        ("X-Forwarded-For", "10.0.0.1"),
        ("Cookie", "a=b"),
        ("traceparent", "00-0-0-00"),
        ("X-Request-Id", "1"),
        ("x-cos-security-token", "t"),
        ("x-cos-acl", "private"),
        ("x-cos-traffic-limit", "819200"),
        ("Pic-Operations", ""),
    ] {
        for request in [makers(&server, &id), changes(&server, &id)].concat() {
            let answer = request.header(name, value).send(&server);
            assert_ne!(answer.status, 400, "{name}: {value}: {}", answer.text());
        }
    }
}

#[test]
fn who_forbids_to_overwrite_replaces_nothing() {
    let (server, id) = filled();
    let forbid = |request: &Request| {
        let request = request.clone().header("x-cos-forbid-overwrite", "true");
        request.send(&server)
    };
    let initiate = Request::new("POST", path("key") + "?uploads");
    for request in makers(&server, &id).iter().chain([&initiate]) {
        assert_refused(&forbid(request), (409, "FileAlreadyExists"));
        assert_eq!(get(&server, "key").ok().body, b"object");
    }
    delete(&server, "key");
    // An upload keeps it for its completion.
    let id = forbid(&initiate).ok().elements("UploadId").remove(0);
    put_part(&server, ("key", &id), 1, b"part").ok();
    put(&server, "key", b"object").ok();
    let complete = completion(("key", &id), list_of(&[(1, &etag(b"part"))]));
    assert_refused(&complete.send(&server), (409, "FileAlreadyExists"));
    assert_eq!(get(&server, "key").ok().body, b"object");
    delete(&server, "key");
    complete.send(&server).ok();
    let got = get(&server, "key").ok();
    assert_eq!(got.body, b"part");
    assert_eq!(got.header("x-cos-forbid-overwrite"), None);
}

#[test]
fn one_of_several_tags_matches_and_a_weak_one_never_does() {
    let server = server(&[]);
    let put_if = |tags: String, body: &str| {
        let request = Request::new("PUT", path("key")).header("If-Match", tags);
        request.body(body).send(&server)
    };
    put(&server, "key", b"object").ok();
    let tag = etag(b"object");
    for wrong in [
        format!("W/{tag}"),
        format!("\"x\", W/{tag}"),
        "\"x\", \"y\"".into(),
    ] {
        assert_refused(&put_if(wrong.clone(), "new"), (412, "PreconditionFailed"));
        let read = Request::new("GET", path("key")).header("If-Match", wrong);
        assert_refused(&read.send(&server), (412, "PreconditionFailed"));
    }
    put_if(format!("\"x\", {tag}"), "new").ok();
    assert_eq!(get(&server, "key").ok().body, b"new");
}

#[test]
fn who_knows_the_object_replaces_it_and_no_other() {
    let server = server(&[]);
    let absent = Request::new("PUT", path("key")).body("new");
    for tag in [&*etag(b"object"), "*", "x"] {
        let answer = absent.clone().header("If-Match", tag).send(&server);
        assert_refused(&answer, (404, "NoSuchKey"));
    }
    for tag in [&*etag(b"object"), etag(b"object").trim_matches('"'), "*"] {
        let (id, _) = upload(&server, "key");
        for request in makers(&server, &id) {
            put(&server, "key", b"object").ok();
            let wrong = [&*etag(b"other"), "\"x\"", "false"];
            for wrong in wrong {
                let answer = request.clone().header("If-Match", wrong).send(&server);
                assert_refused(&answer, (412, "PreconditionFailed"));
            }
            assert_eq!(get(&server, "key").ok().body, b"object");
            request.header("If-Match", tag).send(&server).ok();
            assert_ne!(get(&server, "key").ok().body, b"object");
        }
    }
}

#[test]
fn of_two_completions_of_one_new_name_one_succeeds() {
    let server = server(&[]);
    for round in 0..10 {
        let key = format!("key{round}");
        let (one, other) = (upload(&server, &key).0, upload(&server, &key).0);
        let complete = |id: &str| {
            let list = list_of(&[(1, &etag(b"part"))]);
            let request = completion((&key, id), list).header("If-None-Match", "*");
            request.send(&server).status
        };
        let complete = &complete;
        let mut statuses = thread::scope(|scope| {
            let threads = [&one, &other].map(|id| scope.spawn(move || complete(id)));
            threads.map(|thread| thread.join().unwrap())
        });
        let winner = if statuses[0] == 200 { &one } else { &other };
        // The one that succeeded gets its answer again; the other one's upload is still open.
        assert_eq!(complete(winner), 200);
        let loser = if winner == &one { &other } else { &one };
        assert_eq!(parts(&server, (&key, loser)).len(), 1);
        assert_eq!(complete(loser), 412);
        statuses.sort_unstable();
        assert_eq!(statuses, [200, 412]);
    }
}

/// Conditions keep an object from being replaced: to a request that makes none they would mean something else.
#[test]
fn a_new_name_is_wanted_only_by_who_makes_an_object() {
    let (server, id) = filled();
    let before = parts(&server, ("key", &id));
    let tag = etag(b"object");
    let refused = (400, "OperationNotSupported");
    for (name, value) in ["If-Match", "If-None-Match"]
        .iter()
        .flat_map(|name| ["*", "\"x\"", &tag].map(|value| (*name, value)))
    {
        for request in changes(&server, &id) {
            let request = request.header(name, value);
            assert_refused(&request.send(&server), refused);
        }
    }
    // Of those who make one, `*` is known, and no tag.
    for request in makers(&server, &id) {
        let request = request.header("If-None-Match", &tag);
        assert_refused(&request.send(&server), refused);
    }
    assert_eq!(get(&server, "key").ok().body, b"object");
    assert_eq!(parts(&server, ("key", &id)), before);
}
