//! Pages of other origins, and forms.

use std::fmt::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use sha1::{Digest, Sha1};

use crate::calls::{BUCKET, assert_refused, get, path, put, server};
use crate::client::{Answer, Request};
use crate::fixture::{KEYS, Server};
use crate::protocol::signed;

const PAGE: &str = "https://app.example.com";

fn preflight(server: &Server, origin: &str, method: &str, headers: &str) -> Answer {
    Request::new("OPTIONS", path("key"))
        .header("Origin", origin)
        .header("Access-Control-Request-Method", method)
        .header("Access-Control-Request-Headers", headers)
        .send(server)
}

#[test]
fn a_page_of_an_allowed_origin_may_do_everything() {
    let server = server(&["--cors-origin", PAGE]);
    let asked = preflight(&server, PAGE, "PUT", "authorization, x-cos-meta-a").ok();
    assert_eq!(asked.header("Access-Control-Allow-Origin"), Some(PAGE));
    let allowed = asked.header("Access-Control-Allow-Methods").unwrap();
    assert!(allowed.contains("PUT"), "{allowed}");
    let allowed = asked.header("Access-Control-Allow-Headers").unwrap();
    assert!(allowed.contains("x-cos-meta-a"), "{allowed}");
    let put = Request::new("PUT", path("key")).header("Origin", PAGE);
    let put = put.body("object").send(&server).ok();
    assert_eq!(put.header("Access-Control-Allow-Origin"), Some(PAGE));
    let exposed = put.header("Access-Control-Expose-Headers").unwrap();
    assert!(exposed.contains("ETag"), "{exposed}");
    // A refusal can be read, too.
    let absent = Request::new("GET", path("absent")).header("Origin", PAGE);
    let absent = absent.send(&server);
    assert_eq!(absent.status, 404);
    assert_eq!(absent.header("Access-Control-Allow-Origin"), Some(PAGE));
    let other = "https://other.example.com";
    assert_refused(
        &preflight(&server, other, "PUT", ""),
        (403, "AccessForbidden"),
    );
    let got = Request::new("GET", path("key")).header("Origin", other);
    let got = got.send(&server).ok();
    assert_eq!(got.header("Access-Control-Allow-Origin"), None);
}

#[test]
fn a_browser_signs_no_preflight() {
    let server = Server::with_keys(&["--cors-origin", "*"]);
    let asked = preflight(&server, PAGE, "PUT", "authorization").ok();
    assert_eq!(asked.header("Access-Control-Allow-Origin"), Some("*"));
    let unsigned = Request::new("GET", path("key")).header("Origin", PAGE);
    assert_eq!(unsigned.send(&server).status, 403);
}

#[test]
fn the_rules_of_a_bucket_are_kept_until_they_or_it_are_deleted() {
    let mut server = server(&[]);
    let cors = format!("/{BUCKET}?cors");
    let rules = "<CORSConfiguration><CORSRule><ID>a</ID>\
        <AllowedOrigin>https://*.example.com</AllowedOrigin><AllowedMethod>PUT</AllowedMethod>\
        <AllowedHeader>x-cos-*</AllowedHeader><ExposeHeader>ETag</ExposeHeader>\
        <MaxAgeSeconds>5</MaxAgeSeconds></CORSRule></CORSConfiguration>";
    let set = |server: &Server, rules: &str| {
        let request = Request::new("PUT", cors.clone()).body(rules);
        request.send(server)
    };
    assert_refused(
        &preflight(&server, PAGE, "PUT", ""),
        (403, "AccessForbidden"),
    );
    set(&server, rules).ok();
    server.kill();
    server.restart();
    let asked = preflight(&server, PAGE, "PUT", "x-cos-acl").ok();
    assert_eq!(asked.header("Access-Control-Max-Age"), Some("5"));
    for (origin, method, header) in [
        ("https://example.org", "PUT", ""),
        (PAGE, "GET", ""),
        (PAGE, "PUT", "authorization"),
    ] {
        assert_refused(
            &preflight(&server, origin, method, header),
            (403, "AccessForbidden"),
        );
    }
    let got = Request::new("GET", cors.clone()).send(&server).ok();
    assert!(got.text().contains(rules), "{}", got.text());
    for malformed in [
        "<CORSConfiguration></CORSConfiguration>",
        "<Delete><Object><Key>key</Key></Object></Delete>",
        &rules.replace("PUT", "PATCH"),
        &rules.replace("x-cos-*", "x-*-*"),
    ] {
        assert_refused(&set(&server, malformed), (400, "MalformedXML"));
    }
    // A new bucket of the name of a deleted one has none of its rules.
    assert_eq!(
        Request::new("DELETE", format!("/{BUCKET}"))
            .send(&server)
            .status,
        204
    );
    assert_refused(&set(&server, rules), (404, "NoSuchBucket"));
    Request::new("PUT", format!("/{BUCKET}")).send(&server).ok();
    assert_refused(
        &preflight(&server, PAGE, "PUT", ""),
        (403, "AccessForbidden"),
    );
    set(&server, rules).ok();
    assert_eq!(
        Request::new("DELETE", cors.clone()).send(&server).status,
        204
    );
    let none = Request::new("GET", cors.clone()).send(&server);
    assert_refused(&none, (404, "NoSuchCORSConfiguration"));
}

/// A form of these fields, and of a file with this text.
fn form(fields: &[(&str, &str)], file: &str) -> Request {
    let mut body = String::new();
    for (name, value) in fields {
        let _ = write!(
            body,
            "--edge\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n"
        );
    }
    body += "--edge\r\nContent-Disposition: form-data; name=\"file\"; filename=\"C:\\a b.txt\"\r\n";
    let _ = write!(
        body,
        "Content-Type: text/plain\r\n\r\n{file}\r\n--edge--\r\n"
    );
    let request = Request::new("POST", format!("/{BUCKET}/"));
    request
        .header("Content-Type", "multipart/form-data; boundary=edge")
        .body(body)
}

#[test]
fn a_form_makes_an_object() {
    let server = server(&[]);
    let long = "x\r\n--edg\r\n".repeat(100_000);
    let fields = [
        ("key", "dir/${filename}"),
        ("Content-Type", "image/png"),
        ("x-cos-meta-a", "b"),
    ];
    let answer = form(&fields, &long).send(&server);
    assert_eq!(answer.status, 204, "{}", answer.text());
    assert!(
        answer
            .header("Location")
            .unwrap()
            .ends_with("/dir/a%20b.txt")
    );
    let got = get(&server, "dir/a%20b.txt").ok();
    assert_eq!(got.body, long.as_bytes());
    assert_eq!(got.header("Content-Type"), Some("image/png"));
    assert_eq!(got.header("x-cos-meta-a"), Some("b"));
    assert_eq!(got.header("ETag"), answer.header("ETag"));
    for (field, value, status) in [
        ("success_action_status", "200", 200),
        ("success_action_status", "201", 201),
        ("success_action_redirect", "http://a.example/?b", 303),
    ] {
        let answer = form(&[("key", "key"), (field, value)], "file").send(&server);
        assert_eq!(answer.status, status, "{}", answer.text());
        if status == 201 {
            assert_eq!(answer.elements("Key"), ["key"]);
        }
        if status == 303 {
            let to = answer.header("Location").unwrap();
            assert!(to.starts_with("http://a.example/?b&bucket="), "{to}");
        }
    }
}

#[test]
fn a_form_that_is_wrong_or_breaks_off_makes_no_object() {
    let server = server(&[]);
    put(&server, "key", b"object").ok();
    for (request, code) in [
        (form(&[], "file"), "InvalidArgument"),
        (
            form(&[("key", "key"), ("key", "key")], "file"),
            "MalformedPOSTRequest",
        ),
        (
            form(&[("key", "key"), ("x-cos-tagging", "a")], "file"),
            "OperationNotSupported",
        ),
        (
            form(&[("key", "key"), ("a", &"x".repeat(30_000))], "file"),
            "MalformedPOSTRequest",
        ),
        (
            form(
                &[("key", "key"), ("x-cos-forbid-overwrite", "true")],
                "file",
            ),
            "FileAlreadyExists",
        ),
    ] {
        let answer = request.send(&server);
        assert_eq!(answer.elements("Code"), [code]);
    }
    let whole = form(&[("key", "key")], "file").bytes();
    for end in [
        whole.len() - 4,
        whole.len() - 12,
        whole.len() - 60,
        whole.len() - 150,
    ] {
        let mut client = crate::client::Client::connect(&server);
        client.send(&whole[..end]);
        client.half_close();
        if let Ok(answer) = client.try_answer("POST") {
            assert_eq!(answer.status, 400, "{end}: {}", answer.text());
        }
    }
    assert_eq!(get(&server, "key").ok().body, b"object");
}

fn hmac(key: &str, text: &str) -> String {
    let mut mac = Hmac::<Sha1>::new_from_slice(key.as_bytes()).unwrap();
    mac.update(text.as_bytes());
    hex::encode(mac.finalize().into_bytes())
}

#[test]
fn a_form_does_what_its_policy_allows() {
    let server = Server::with_keys(&[]);
    let create = Request::new("PUT", format!("/{BUCKET}/"));
    let authorization = signed("PUT", &format!("/{BUCKET}/"), (-60, 60));
    create
        .header("Authorization", authorization)
        .send(&server)
        .ok();
    let send = |policy: &str, secret: &str, key: &str, file: &str| {
        let times = "1;4102444800";
        let signature = hmac(&hmac(secret, times), &hex::encode(Sha1::digest(policy)));
        let fields = [
            ("key", key),
            ("policy", &*STANDARD.encode(policy)),
            ("q-sign-algorithm", "sha1"),
            ("q-ak", KEYS.0),
            ("q-key-time", times),
            ("q-signature", &signature),
        ];
        form(&fields, file).send(&server)
    };
    let policy = format!(
        r#"{{"expiration":"2099-01-01T00:00:00.000Z","conditions":[{{"q-ak":"{}"}},{{"bucket":"{BUCKET}"}},
        {{"q-sign-time":"1;4102444800"}},["starts-with","$key","up/"],["content-length-range",2,4]]}}"#,
        KEYS.0
    );
    assert_eq!(send(&policy, KEYS.1, "up/a", "four").status, 204);
    for (key, file, status, code) in [
        ("other", "four", 403, "AccessDenied"),
        ("up/a", "fives", 400, "EntityTooLarge"),
        ("up/a", "1", 400, "EntityTooSmall"),
    ] {
        assert_refused(&send(&policy, KEYS.1, key, file), (status, code));
    }
    let refused = (403, "SignatureDoesNotMatch");
    assert_refused(&send(&policy, "wrong", "up/a", "four"), refused);
    let expired = policy.replace("2099", "2001");
    assert_refused(
        &send(&expired, KEYS.1, "up/a", "four"),
        (403, "AccessDenied"),
    );
    assert_refused(
        &form(&[("key", "up/a")], "four").send(&server),
        (403, "AccessDenied"),
    );
    // A mini program signs the request as such.
    let whole = signed("POST", &format!("/{BUCKET}/"), (-60, 60));
    let fields = [("key", "any"), ("Signature", whole.as_str())];
    assert_eq!(form(&fields, "file").send(&server).status, 204);
    // It says in a header of the form that it replaces nothing.
    let forbids = form(&fields, "other").header("x-cos-forbid-overwrite", "true");
    assert_refused(&forbids.send(&server), (409, "FileAlreadyExists"));
    let wrong = whole.replace("q-signature=", "q-signature=0");
    let fields = [("key", "any"), ("Signature", wrong.as_str())];
    assert_eq!(form(&fields, "file").send(&server).status, 403);
}
