//! Lists of a Complete: how they may be written, and what must not cost more than a refusal.

use std::time::{Duration, Instant};

use crate::calls::{
    MIB, assert_refused, bytes, completion, etag, gateway, get, initiate, list_of, parts, path,
    put, put_part,
};
use crate::client::Request;
use crate::fixture::Gateway;
use crate::watch::peak_mib;

const MAX_LIST_LEN: usize = 4 * MIB;
const MALFORMED: (u16, &str) = (400, "MalformedXML");

/// An upload with one part.
fn upload(gateway: &Gateway, key: &str) -> (String, String) {
    let id = initiate(gateway, key);
    let answer = put_part(gateway, (key, &id), 1, b"part").ok();
    (id, answer.header("ETag").unwrap().to_owned())
}

#[test]
fn a_list_may_be_written_in_many_ways() {
    let gateway = gateway(&[]);
    let quoted = etag(b"part");
    let bare = quoted.trim_matches('"');
    let part = |etag: &str| format!("<Part><PartNumber>1</PartNumber><ETag>{etag}</ETag></Part>");
    let root =
        |inside: &str| format!("<CompleteMultipartUpload>{inside}</CompleteMultipartUpload>");
    for list in [
        root(&part(&quoted)),
        root(&part(bare)),
        root(&part(&bare.to_uppercase())),
        root(&part(&format!("&quot;{bare}&quot;"))),
        root(&part(&format!("&#34;{bare}&#x22;"))),
        root(&part(&format!("<![CDATA[{quoted}]]>"))),
        root(&format!(
            "\n  <Part>\n <ETag> {quoted} </ETag>\n<PartNumber> 1 </PartNumber>\n</Part>\n"
        )),
        root(&format!(
            "<Part><PartNumber>1</PartNumber><ETag>{quoted}</ETag><ChecksumCRC32>x</ChecksumCRC32></Part>"
        )),
        root(&format!("<!-- a comment -->{}<?pi x?>", part(&quoted))),
        format!(
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n{}\n",
            root(&part(&quoted))
        ),
        format!("\u{feff}{}", root(&part(&quoted))),
        root(&part(&quoted)).replacen(
            "Upload>",
            "Upload xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">",
            1,
        ),
        root(&part(&quoted))
            .replace("</", "</c:")
            .replace('<', "<c:")
            .replace("<c:/c:", "</c:")
            .replacen('>', " xmlns:c=\"x\">", 1),
    ] {
        let (id, _) = upload(&gateway, "key");
        let answer = completion(("key", &id), &*list).send(&gateway);
        assert_eq!(answer.status, 200, "{list}: {}", answer.text());
        assert_eq!(get(&gateway, "key").ok().body, b"part");
        assert_eq!(
            answer.header("x-cos-hash-crc64ecma"),
            get(&gateway, "key").header("x-cos-hash-crc64ecma")
        );
    }
}

#[test]
fn what_is_no_list_is_malformed_and_the_upload_stays() {
    let gateway = gateway(&[]);
    let (id, etag) = upload(&gateway, "key");
    let good = list_of(&[(1, &etag)]);
    let cut = &good[..good.len() - 3];
    let number = |number: &str| good.replace(">1<", &format!(">{number}<"));
    for list in [
        "",
        " ",
        "x",
        "<",
        "<a",
        "\u{feff}",
        "{}",
        cut,
        "<CompleteMultipartUpload/>",
        "<CompleteMultipartUpload></CompleteMultipartUpload>",
        "<CompleteMultipartUpload><Part/></CompleteMultipartUpload>",
        "<CompleteMultipartUpload><Part><PartNumber>1</PartNumber></Part></CompleteMultipartUpload>",
        "<CompleteMultipartUpload><Part><ETag>x</ETag></Part></CompleteMultipartUpload>",
        &good.replace("CompleteMultipartUpload", "Complete"),
        &good.replace("CompleteMultipartUpload", "InitiateMultipartUploadResult"),
        &good.replace("</Part>", "</Prat>"),
        &good.replace("</ETag>", "&unknown;</ETag>"),
        &number("<a>1</a>"),
    ] {
        assert_refused(&completion(("key", &id), list).send(&gateway), MALFORMED);
    }
    let invalid = [good.as_bytes(), b"\xff"].concat();
    assert_refused(&completion(("key", &id), invalid).send(&gateway), MALFORMED);
    let utf16: Vec<u8> = good.encode_utf16().flat_map(u16::to_le_bytes).collect();
    assert_refused(&completion(("key", &id), utf16).send(&gateway), MALFORMED);
    for odd in ["0", "-1", "10001", "abc", "", "1.0", "18446744073709551617"] {
        let answer = completion(("key", &id), number(odd)).send(&gateway);
        assert_eq!(answer.status, 400, "{odd}");
    }
    assert_eq!(get(&gateway, "key").status, 404);
    completion(("key", &id), good).send(&gateway).ok();
}

#[test]
fn what_a_list_says_must_be_so() {
    let gateway = gateway(&[]);
    let id = initiate(&gateway, "key");
    let (first, second) = (bytes(MIB, 1), bytes(100, 2));
    put_part(&gateway, ("key", &id), 1, &first).ok();
    put_part(&gateway, ("key", &id), 2, &second).ok();
    put_part(&gateway, ("key", &id), 3, &second).ok();
    let (first, second) = (etag(&first), etag(&second));
    for (list, code) in [
        (list_of(&[(2, &second), (1, &first)]), "InvalidPartOrder"),
        (list_of(&[(1, &first), (1, &first)]), "InvalidPartOrder"),
        (list_of(&[(1, &first), (3, &second)]), "InvalidPart"),
        (list_of(&[(1, &second)]), "InvalidPart"),
        (
            list_of(&[(1, &first), (2, &second), (3, &second), (4, &second)]),
            "InvalidPart",
        ),
        (
            list_of(&[(1, &first), (2, &second), (3, &second)]),
            "EntityTooSmall",
        ),
    ] {
        assert_refused(&completion(("key", &id), list).send(&gateway), (400, code));
        assert_eq!(parts(&gateway, ("key", &id)).len(), 3);
    }
    let good = completion(("key", &id), list_of(&[(1, &first), (2, &second)]));
    let wrong = good
        .clone()
        .header("Content-MD5", "XUFAKrxLKna5cZ2REBfFkg==");
    assert_refused(&wrong.send(&gateway), (400, "BadDigest"));
    let malformed = good.clone().header("Content-MD5", "x");
    assert_refused(&malformed.send(&gateway), (400, "InvalidDigest"));
    let answer = good.send(&gateway).ok();
    // The same again is the same.
    assert_eq!(
        good.send(&gateway).ok().elements("ETag"),
        answer.elements("ETag")
    );
}

#[test]
fn a_completion_again_brings_no_object_back() {
    let gateway = gateway(&[]);
    let (id, etag) = upload(&gateway, "key");
    let request = completion(("key", &id), list_of(&[(1, &etag)]));
    request.send(&gateway).ok();
    put(&gateway, "key", b"newer").ok();
    request.send(&gateway);
    assert_eq!(get(&gateway, "key").ok().body, b"newer");
    let delete = Request::new("DELETE", path("key"));
    assert_eq!(delete.send(&gateway).status, 204);
    request.send(&gateway);
    assert_eq!(get(&gateway, "key").status, 404);
}

/// Entities of entities: a billion of them in a thousand bytes.
fn laughs() -> String {
    let level = |at: u32| {
        let ten = format!("&l{};", at - 1).repeat(10);
        format!("<!ENTITY l{at} \"{ten}\">")
    };
    let levels = (1..10).map(level).collect::<Vec<_>>().concat();
    format!("<!DOCTYPE c [<!ENTITY l0 \"lol\">{levels}]>")
}

/// As many attributes as a list may have bytes.
fn attributes(name: impl Fn(u32) -> String) -> String {
    let mut all = "<CompleteMultipartUpload".to_owned();
    for at in 0.. {
        all = all + " " + &name(at) + "=\"\"";
        if all.len() > MAX_LIST_LEN - 1000 {
            break;
        }
    }
    all + "/>"
}

#[test]
fn bombs_cost_little_time_and_memory() {
    let gateway = gateway(&[]);
    let (id, _) = upload(&gateway, "key");
    let inside = |inside: &str| list_of(&[(1, inside)]);
    let deep = |open: &str, len: usize| open.repeat(len / open.len());
    let external = "<!DOCTYPE c [<!ENTITY x SYSTEM \"file:///etc/hostname\">]>";
    for (what, list) in [
        ("laughs", laughs() + &inside("&l9;")),
        ("an external entity", external.to_owned() + &inside("&x;")),
        ("deep elements", deep("<a>", MIB)),
        (
            "deep elements in the list",
            "<CompleteMultipartUpload>".to_owned() + &deep("<a>", MIB),
        ),
        (
            "deep parts",
            "<CompleteMultipartUpload>".to_owned() + &deep("<Part>", MIB),
        ),
        ("deep lists", deep("<CompleteMultipartUpload>", MIB)),
        (
            "deep numbers",
            "<CompleteMultipartUpload><Part><PartNumber>".to_owned() + &deep("<a>", 4_000_000),
        ),
        ("one attribute", attributes(|_| "a".into())),
        ("attributes", attributes(|at| format!("a{at}"))),
        (
            "an unclosed comment",
            "<!--".to_owned() + &deep("x", 4_000_000),
        ),
        (
            "an unclosed text",
            "<CompleteMultipartUpload>".to_owned() + &deep("x", 4_000_000),
        ),
        ("references", inside(&deep("&amp;", 4_000_000))),
    ] {
        let begun = Instant::now();
        let answer = completion(("key", &id), list).send(&gateway);
        assert_eq!(answer.status, 400, "{what}");
        let took = begun.elapsed();
        assert!(took < Duration::from_secs(5), "{what}: {took:?}");
    }
    let peak = peak_mib(&gateway);
    assert!(peak < 150, "{peak} MiB");
    assert_eq!(parts(&gateway, ("key", &id)).len(), 1);
}

#[test]
fn a_list_has_4_mib_and_not_a_byte_more() {
    let gateway = gateway(&[]);
    let (id, etag) = upload(&gateway, "key");
    let list = list_of(&[(1, &etag)]);
    let padded = |len: usize| list.clone() + &" ".repeat(len - list.len());
    let too_long = (400, "XMLSizeLimit");
    let declared = completion(("key", &id), padded(MAX_LIST_LEN + 1));
    assert_refused(&declared.send(&gateway), too_long);
    let body = padded(MAX_LIST_LEN + 1);
    let chunks = format!("{:x}\r\n{body}\r\n0\r\n\r\n", body.len());
    let chunked = completion(("key", &id), chunks).header("Transfer-Encoding", "chunked");
    assert_refused(&chunked.send(&gateway), too_long);
    completion(("key", &id), padded(MAX_LIST_LEN))
        .send(&gateway)
        .ok();
}

#[test]
fn ten_thousand_parts_are_listed_and_refused_or_taken_quickly() {
    let gateway = gateway(&[]);
    let id = initiate(&gateway, "key");
    let body = bytes(MIB, 1);
    let count = 20;
    for number in 1..=count {
        put_part(&gateway, ("key", &id), number, &body).ok();
    }
    let etag = etag(&body);
    // As wide as with a SHA-512 beside each ETag, and more.
    let line = |number: u32| {
        let pad = " ".repeat(300);
        format!(
            "<Part><PartNumber>{number}</PartNumber><ETag>&quot;{}&quot;</ETag>{pad}</Part>",
            etag.trim_matches('"')
        )
    };
    let list = |count| {
        let lines: String = (1..=count).map(line).collect();
        format!("<CompleteMultipartUpload>{lines}</CompleteMultipartUpload>")
    };
    assert!(
        (MAX_LIST_LEN - 400_000..MAX_LIST_LEN).contains(&list(10_000).len()),
        "{}",
        list(10_000).len()
    );
    assert_refused(
        &completion(("key", &id), list(10_000)).send(&gateway),
        (400, "InvalidPart"),
    );
    completion(("key", &id), list(count)).send(&gateway).ok();
    assert!(get(&gateway, "key").ok().body == body.repeat(count as usize));
    let peak = peak_mib(&gateway);
    assert!(peak < 200, "{peak} MiB");
}
