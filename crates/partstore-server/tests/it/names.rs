//! Names are opaque: every spelling is an object of its own, and none is a path on the disk.

use std::fs;

use crate::calls::{BUCKET, assert_refused, get, initiate, path, put, put_part, server};
use crate::client::Request;
use crate::process_stats::files;

#[test]
fn odd_names_are_objects_of_their_own() {
    let mut server = server(&[]);
    let names = [
        ".",
        "..",
        "../..",
        "../../etc/passwd",
        "a",
        "a/",
        "a//",
        "a//b",
        "a/b",
        "a/./b",
        "a/../b",
        "./a",
        "a%2Fb%2F",
        "CON",
        "a%5Cb",
        "a%20b",
        "a+b",
        "a%25b",
        "a%252Fb",
        "%C3%A9",
        "e%CC%81",
        "%F0%9F%A6%80",
        "%F0%9F%91%A9%E2%80%8D%F0%9F%92%BB",
        "%E8%85%BE%E8%AE%AF%E4%BA%91",
        "put:x",
        "bucket:x",
        "meta/CLEAN",
        "*",
        "a;b",
        "a=b",
        "a:b",
        "%3Fuploads",
        "%23x",
        "~",
        "%E2%80%AE",
    ];
    for name in names {
        put(&server, name, name.as_bytes()).ok();
    }
    for _ in 0..2 {
        for name in names {
            assert_eq!(get(&server, name).ok().text(), name);
        }
        for (spelling, name) in [("%2e", "."), ("%2e%2e%2f%2e%2e", "../.."), ("%61", "a")] {
            assert_eq!(get(&server, spelling).ok().text(), name);
        }
        let list = Request::new("GET", format!("/{BUCKET}?encoding-type=url")).send(&server);
        assert_eq!(list.ok().elements("Key").len(), names.len());
        server.kill();
        server.restart();
    }
}

#[test]
fn what_can_not_be_a_name_is_refused() {
    let server = server(&[]);
    for (name, code) in [
        ("%", "InvalidURI"),
        ("%2", "InvalidURI"),
        ("a%zz", "InvalidURI"),
        ("%ff", "InvalidURI"),
        ("%c0%80", "InvalidURI"),
        ("%ed%a0%80", "InvalidURI"),
        ("%00", "InvalidArgument"),
        ("a%0Ab", "InvalidArgument"),
        ("%7f", "InvalidArgument"),
        ("%C2%80", "InvalidArgument"),
        ("%EF%BF%BE", "InvalidArgument"),
        ("/a", "InvalidArgument"),
        ("%2Fa", "InvalidArgument"),
        ("%5Ca", "InvalidArgument"),
    ] {
        assert_refused(&put(&server, name, b""), (400, code));
    }
    assert_eq!(
        Request::new("GET", format!("/{BUCKET}"))
            .send(&server)
            .ok()
            .elements("Key")
            .len(),
        0
    );
}

#[test]
fn a_name_has_850_bytes_of_utf_8() {
    let server = server(&[]);
    let crab = "%F0%9F%A6%80";
    for (fits, too_long) in [
        ("x".repeat(850), "x".repeat(851)),
        // Each of them counts four times, though it is written with twelve characters.
        (crab.repeat(212) + "xx", crab.repeat(212) + "xxx"),
        (crab.repeat(212), crab.repeat(213)),
        ("x/".repeat(425), "x/".repeat(425) + "x"),
        ("%20".repeat(850), "%20".repeat(851)),
        ("%78".repeat(850), "%78".repeat(851)),
    ] {
        put(&server, &fits, b"fits").ok();
        assert_eq!(get(&server, &fits).ok().body, b"fits");
        let id = initiate(&server, &fits);
        put_part(&server, (&fits, &id), 1, b"").ok();
        let refused = (400, "KeyTooLong");
        assert_refused(&put(&server, &too_long, b""), refused);
        let request = Request::new("POST", path(&too_long) + "?uploads");
        assert_refused(&request.send(&server), refused);
    }
}

#[test]
fn no_name_reaches_out_of_the_store() {
    let server = server(&[]);
    let above = || {
        let entries = fs::read_dir(server.data().parent().unwrap()).unwrap();
        entries
            .filter(|entry| entry.as_ref().unwrap().path().ends_with("escaped"))
            .count()
    };
    // The first body makes the store complete its directory.
    put(&server, "first", b"here").ok();
    let outside = files(&server, "meta");
    for up in 0..6 {
        for name in [
            format!("{}escaped", "../".repeat(up)),
            format!("{}escaped", "%2e%2e%2f".repeat(up)),
        ] {
            put(&server, &name, b"here").ok();
            let id = initiate(&server, &name);
            put_part(&server, (&name, &id), 1, b"here").ok();
        }
    }
    assert_eq!(above(), 0);
    assert_eq!(files(&server, "meta"), outside);
    assert!(
        files(&server, "")
            .iter()
            .all(|file| !file.contains("escaped"))
    );
    // The same bytes, under whatever name, are one file.
    assert_eq!(
        files(&server, "blobs")
            .iter()
            .filter(|file| fs::read(file).unwrap() == b"here")
            .count(),
        1
    );
}
