//! Lists of a Complete that are long, or expand to be long. None costs more than it may.

use std::time::{Duration, Instant};

use crate::calls::{
    MIB, assert_refused, bytes, completion, etag, get, initiate, list_of, parts, put_part, server,
    upload,
};
use crate::process_stats::peak_mib;

const MAX_LIST_LEN: usize = 4 * MIB;

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
    let server = server(&[]);
    let (id, _) = upload(&server, "key");
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
        let answer = completion(("key", &id), list).send(&server);
        assert_eq!(answer.status, 400, "{what}");
        let took = begun.elapsed();
        assert!(took < Duration::from_secs(5), "{what}: {took:?}");
    }
    let peak = peak_mib(&server);
    assert!(peak < 150, "{peak} MiB");
    assert_eq!(parts(&server, ("key", &id)).len(), 1);
}

#[test]
fn a_list_has_4_mib_and_not_a_byte_more() {
    let server = server(&[]);
    let (id, etag) = upload(&server, "key");
    let list = list_of(&[(1, &etag)]);
    let padded = |len: usize| list.clone() + &" ".repeat(len - list.len());
    let too_long = (400, "XMLSizeLimit");
    let declared = completion(("key", &id), padded(MAX_LIST_LEN + 1));
    assert_refused(&declared.send(&server), too_long);
    let body = padded(MAX_LIST_LEN + 1);
    let chunks = format!("{:x}\r\n{body}\r\n0\r\n\r\n", body.len());
    let chunked = completion(("key", &id), chunks).header("Transfer-Encoding", "chunked");
    assert_refused(&chunked.send(&server), too_long);
    completion(("key", &id), padded(MAX_LIST_LEN))
        .send(&server)
        .ok();
}

#[test]
fn ten_thousand_parts_are_listed_and_refused_or_taken_quickly() {
    let server = server(&[]);
    let id = initiate(&server, "key");
    let body = bytes(MIB, 1);
    let count = 20;
    for number in 1..=count {
        put_part(&server, ("key", &id), number, &body).ok();
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
        &completion(("key", &id), list(10_000)).send(&server),
        (400, "InvalidPart"),
    );
    completion(("key", &id), list(count)).send(&server).ok();
    assert!(get(&server, "key").ok().body == body.repeat(count as usize));
    let peak = peak_mib(&server);
    assert!(peak < 200, "{peak} MiB");
}
