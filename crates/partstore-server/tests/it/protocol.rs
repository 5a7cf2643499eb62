//! What caches, browsers and proxies expect of HTTP, and clients of the protocol's smaller rules.

use std::time::{SystemTime, UNIX_EPOCH};

use hmac::{Hmac, KeyInit, Mac};
use sha1::{Digest, Sha1};

use crate::calls::{
    BUCKET, assert_refused, completion, etag, get, list_of, path, put, server, upload,
};
use crate::client::{Answer, Request};
use crate::fixture::{KEYS, Server};

#[test]
fn a_cache_learns_how_long_it_may_keep_what_has_not_changed() {
    let server = server(&[]);
    let put = Request::new("PUT", path("key")).body("object");
    let put = put.header("Cache-Control", "max-age=60");
    put.header("Expires", "Fri, 01 Jan 2100 00:00:00 GMT")
        .send(&server)
        .ok();
    let asked = Request::new("GET", path("key")).header("If-None-Match", etag(b"object"));
    let answer = asked.send(&server);
    assert_eq!(answer.status, 304);
    assert_eq!(answer.header("Cache-Control"), Some("max-age=60"));
    assert_eq!(
        answer.header("Expires"),
        Some("Fri, 01 Jan 2100 00:00:00 GMT")
    );
    assert_eq!(answer.header("ETag"), Some(&*etag(b"object")));
}

#[test]
fn who_asks_for_too_much_learns_how_much_there_is() {
    let server = server(&[]);
    put(&server, "key", b"object").ok();
    let answer = Request::new("GET", path("key"))
        .header("Range", "bytes=6-")
        .send(&server);
    assert_refused(&answer, (416, "InvalidRange"));
    assert_eq!(answer.header("Content-Range"), Some("bytes */6"));
    let answer = Request::new("POST", path("key")).send(&server);
    assert_refused(&answer, (405, "MethodNotAllowed"));
    assert_eq!(
        answer.header("Allow"),
        Some("DELETE, GET, HEAD, OPTIONS, PUT")
    );
}

#[test]
fn a_body_in_an_unknown_coding_is_refused() {
    let server = server(&[]);
    for coding in ["gzip, chunked", "gzip"] {
        let put = Request::new("PUT", path("key")).header("Transfer-Encoding", coding);
        let answer = put.body("3\r\nabc\r\n0\r\n\r\n").send(&server);
        assert!((400..=501).contains(&answer.status), "{}", answer.status);
        assert_eq!(get(&server, "key").status, 404);
    }
}

#[test]
fn behind_tls_an_object_is_where_its_client_has_put_it() {
    let server = server(&[]);
    for (proto, scheme) in [
        ("https", "https:"),
        ("HTTPS, http", "https:"),
        ("http", "http:"),
        ("http, https", "http:"),
    ] {
        let (id, _) = upload(&server, "key");
        let request = completion(("key", &id), list_of(&[(1, &etag(b"part"))]));
        let answer = request
            .header("X-Forwarded-Proto", proto)
            .send(&server)
            .ok();
        let location = answer.elements("Location").remove(0);
        assert!(location.starts_with(scheme), "{location}");
    }
}

#[test]
fn an_empty_header_is_none() {
    let server = server(&[]);
    let put = Request::new("PUT", path("key")).body("object");
    let put = put
        .header("Content-Type", "")
        .header("Content-Encoding", "");
    put.header("x-cos-meta-a", "")
        .header("x-cos-storage-class", "")
        .send(&server)
        .ok();
    let got = get(&server, "key?response-content-type=").ok();
    assert_eq!(got.header("Content-Type"), Some("application/octet-stream"));
    assert_eq!(got.header("Content-Encoding"), None);
    assert_eq!(got.header("x-cos-meta-a"), None);
    let listed = Request::new("GET", format!("/{BUCKET}")).send(&server).ok();
    assert_eq!(listed.elements("StorageClass"), ["STANDARD"]);
}

#[test]
fn a_page_of_no_keys_is_empty() {
    let server = server(&[]);
    put(&server, "key", b"object").ok();
    let listed = Request::new("GET", format!("/{BUCKET}?max-keys=0"))
        .send(&server)
        .ok();
    assert_eq!(listed.elements("IsTruncated"), ["false"]);
    assert!(listed.elements("Key").is_empty());
    let absent = Request::new("GET", "/absent?max-keys=0").send(&server);
    assert_refused(&absent, (404, "NoSuchBucket"));
}

#[test]
fn a_bucket_says_its_region() {
    let server = server(&["--region", "here"]);
    let head = |host: &str, path: &str| {
        Request::new("HEAD", path)
            .header("Host", host)
            .send(&server)
    };
    let region = |answer: Answer| {
        answer
            .ok()
            .header("x-cos-bucket-region")
            .unwrap()
            .to_owned()
    };
    assert_eq!(region(head("127.0.0.1", &format!("/{BUCKET}"))), "here");
    let host = format!("{BUCKET}.cos.ap-beijing.myqcloud.com");
    assert_eq!(region(head(&host, "/")), "ap-beijing");
    let again = Request::new("PUT", format!("/{BUCKET}")).send(&server);
    assert_refused(&again, (409, "BucketAlreadyOwnedByYou"));
}

#[test]
fn a_domain_of_the_servers_own_is_no_bucket() {
    let server = server(&[
        "--domain",
        "storage.example.com",
        "--domain",
        "parts.example",
    ]);
    let ask = |method: &str, host: &str, path: &str| {
        let request = Request::new(method, path).header("Host", host);
        if method == "PUT" {
            request.body("object")
        } else {
            request
        }
        .send(&server)
    };
    ask("PUT", "storage.example.com", &path("key")).ok();
    for host in [
        "storage.example.com",
        "Storage.Example.com:9000",
        "parts.example",
    ] {
        assert_eq!(ask("GET", host, &path("key")).ok().body, b"object");
        assert_eq!(ask("GET", host, "/").ok().elements("Name"), [BUCKET]);
    }
    let host = format!("{BUCKET}.storage.example.com");
    assert_eq!(ask("GET", &host, "/key").ok().body, b"object");
}

#[test]
fn all_buckets_are_listed() {
    let server = server(&[]);
    for at in 0..3 {
        Request::new("PUT", format!("/other{at}"))
            .send(&server)
            .ok();
    }
    for host in [
        "127.0.0.1",
        "service.cos.myqcloud.com",
        "cos.ap-beijing.myqcloud.com",
    ] {
        let listed = Request::new("GET", "/")
            .header("Host", host)
            .send(&server)
            .ok();
        assert_eq!(
            listed.elements("Name"),
            ["other0", "other1", "other2", BUCKET]
        );
        assert_eq!(listed.elements("CreationDate").len(), 4);
    }
}

fn hmac(key: &str, text: &str) -> String {
    let mut mac = Hmac::<Sha1>::new_from_slice(key.as_bytes()).unwrap();
    mac.update(text.as_bytes());
    hex::encode(mac.finalize().into_bytes())
}

/// Signs `GET /bucket/` with a window that begins and ends so many seconds from now.
pub fn signed(method: &str, path: &str, (from, until): (i64, i64)) -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    let now = i64::try_from(now.as_secs()).unwrap();
    let times = format!("{};{}", now + from, now + until);
    let content = format!("{}\n{path}\n\n\n", method.to_lowercase());
    let content = hex::encode(Sha1::digest(content));
    let key = hmac(KEYS.1, &times);
    let signature = hmac(&key, &format!("sha1\n{times}\n{content}\n"));
    format!(
        "q-sign-algorithm=sha1&q-ak={}&q-sign-time={times}&q-key-time={times}\
         &q-header-list=&q-url-param-list=&q-signature={signature}",
        KEYS.0
    )
}

#[test]
fn clocks_may_differ_by_minutes() {
    let server = Server::with_keys(&[]);
    let ask = |window| {
        let request = Request::new("GET", "/");
        request
            .header("Authorization", signed("GET", "/", window))
            .send(&server)
    };
    for window in [(0, 60), (1, 60), (14 * 60, 15 * 60), (-60, 1)] {
        ask(window).ok();
    }
    // By these the SDKs know that they must correct their clocks.
    let expired = ask((-120, -60));
    assert_refused(&expired, (403, "AccessDenied"));
    assert_eq!(expired.elements("Message"), ["Request has expired"]);
    assert_refused(&ask((16 * 60, 20 * 60)), (403, "RequestTimeTooSkewed"));
}

/// As the SDK for C makes them.
#[test]
fn a_url_may_hold_the_whole_signature_in_one_parameter() {
    let server = Server::with_keys(&[]);
    let signature = signed("GET", "/", (-60, 60));
    let encoded = signature
        .replace('&', "%26")
        .replace('=', "%3D")
        .replace(';', "%3B");
    Request::new("GET", format!("/?sign={encoded}"))
        .send(&server)
        .ok();
    let wrong = encoded.replace("q-signature%3D", "q-signature%3D0");
    assert_eq!(
        Request::new("GET", format!("/?sign={wrong}"))
            .send(&server)
            .status,
        403
    );
}
