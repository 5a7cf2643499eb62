//! Delete Multiple Objects: listed objects are removed, failures are reported, and a list costs no more than it should.

use crate::calls::{BUCKET, MIB, assert_refused, deletion, get, put, server};
use crate::client::{Answer, Request};
use crate::fixture::Server;

fn delete(server: &Server, list: &str) -> Answer {
    deletion(list).send(server)
}

fn list_of(keys: &[&str], rest: &str) -> String {
    let lines: Vec<_> = keys
        .iter()
        .map(|key| format!("<Object><Key>{key}</Key></Object>"))
        .collect();
    format!("<Delete>{}{rest}</Delete>", lines.concat())
}

#[test]
fn what_is_listed_goes_whether_or_not_it_was_there() {
    let server = server(&[]);
    for key in ["a", "a%26b", "stays"] {
        put(&server, key, b"hello").ok();
    }
    let answer = delete(&server, &list_of(&["a", "a&amp;b", "absent", "a"], "")).ok();
    assert_eq!(answer.elements("Key"), ["a", "a&amp;b", "absent", "a"]);
    assert_eq!(answer.elements("Code"), [""; 0]);
    assert_eq!(
        ["a", "a%26b", "stays"].map(|key| get(&server, key).status),
        [404, 404, 200]
    );
    let quiet = delete(
        &server,
        &list_of(&["stays", &"x".repeat(851)], "<Quiet>true</Quiet>"),
    )
    .ok();
    assert_eq!(quiet.elements("Deleted"), [""; 0]);
    assert_eq!(quiet.elements("Code"), ["KeyTooLong"]);
    assert_eq!(get(&server, "stays").status, 404);
}

#[test]
fn what_is_no_list_deletes_nothing() {
    let server = server(&[]);
    put(&server, "key", b"hello").ok();
    let many = list_of(&["key"; 1001], "");
    let deep = list_of(&["key"], &"<a>".repeat(MIB / 3));
    let cut = &list_of(&["key"], "")[..40];
    for list in [
        "",
        "<Delete/>",
        "<Delete></Delete>",
        "<Delete><Object/></Delete>",
        &many,
        &deep,
        cut,
    ] {
        assert_refused(&delete(&server, list), (400, "MalformedXML"));
    }
    let list = list_of(&["key"], "");
    let request = Request::new("POST", format!("/{BUCKET}?delete")).body(&*list);
    assert_refused(&request.clone().send(&server), (400, "MissingContentMD5"));
    let wrong = request.header("Content-MD5", "XUFAKrxLKna5cZ2REBfFkg==");
    assert_refused(&wrong.send(&server), (400, "BadDigest"));
    let long = list_of(&["key"], &" ".repeat(4 * MIB));
    assert_refused(&delete(&server, &long), (400, "XMLSizeLimit"));
    assert_eq!(get(&server, "key").ok().body, b"hello");
}

#[test]
fn a_key_that_xml_can_not_have_is_not_echoed_as_it_is() {
    let server = server(&[]);
    for odd in ["&#1;", "&#x1b;", "a&#0;b", "\u{1}"] {
        let answer = delete(&server, &list_of(&[odd], ""));
        assert!(answer.status < 500);
        assert!(!answer.text().contains(|c| c < ' '), "{}", answer.text());
    }
}
