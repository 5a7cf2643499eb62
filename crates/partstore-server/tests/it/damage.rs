//! A damaged disk: a client gets no bytes rather than wrong ones.

use std::fs;

use crate::calls::{MIB, bytes, get, path, put, put_parts, server};
use crate::client::Request;
use crate::process_stats::files;

/// Flips a bit of the one file that has these bytes. Returns its name, which is the blob's.
pub fn damage(server: &crate::fixture::Server, content: &[u8], at: usize) -> String {
    let files = files(server, "blobs").into_iter();
    let mut found: Vec<_> = files
        .filter(|file| fs::read(file).unwrap() == content)
        .collect();
    let file = found.pop().unwrap();
    let mut content = content.to_vec();
    content[at] ^= 1;
    fs::write(&file, content).unwrap();
    file.rsplit('/').next().unwrap().to_owned()
}

#[test]
fn a_damaged_object_breaks_off_before_the_first_wrong_byte() {
    let server = server(&[]);
    for (key, at) in [("begin", 0), ("middle", 3 * MIB + 7), ("end", 5 * MIB)] {
        let body = bytes(5 * MIB + 1, at as u64);
        put(&server, key, &body).ok();
        damage(&server, &body, at);
        for range in [None, Some("bytes=10-"), Some("bytes=0-5242880")] {
            let request = Request::new("GET", path(key));
            let request = range
                .into_iter()
                .fold(request, |request, range| request.header("Range", range));
            let answer = request.send(&server);
            let from = if range == Some("bytes=10-") { 10 } else { 0 };
            assert!(!answer.is_whole || answer.status == 500, "{key} {range:?}");
            if answer.status < 300 {
                assert!(body[from..].starts_with(&answer.body), "{key} {range:?}");
                assert!(from + answer.body.len() <= at.max(from), "{key} {range:?}");
            }
        }
    }
    // The other objects are as they were.
    put(&server, "whole", b"hello").ok();
    assert_eq!(get(&server, "whole").ok().body, b"hello");
}

#[test]
fn a_damaged_part_breaks_an_object_off_where_it_begins_at_the_latest() {
    let server = server(&[]);
    let bodies = [bytes(MIB, 1), bytes(MIB, 2), bytes(MIB, 3)];
    put_parts(&server, "key", &bodies);
    damage(&server, &bodies[1], 1000);
    let answer = get(&server, "key");
    assert!(!answer.is_whole && answer.body.len() <= MIB + 1000);
    assert!(bodies.concat().starts_with(&answer.body));
    assert!(get(&server, "key?partNumber=3").body == bodies[2]);
    assert_eq!(get(&server, "key?partNumber=2").status, 500);
    // Putting the same bytes again repairs them.
    put(&server, "again", &bodies[1]).ok();
    assert!(get(&server, "again").ok().body == bodies[1]);
}

#[test]
fn an_object_whose_file_is_gone_or_cut_is_no_answer_with_200() {
    let server = server(&[]);
    for (at, key) in (1..).zip(["gone", "cut"]) {
        let body = bytes(100_000, at);
        put(&server, key, &body).ok();
        let file = files(&server, "blobs")
            .into_iter()
            .find(|file| fs::read(file).unwrap() == body)
            .unwrap();
        match key {
            "gone" => fs::remove_file(file).unwrap(),
            _ => fs::write(file, &body[..1000]).unwrap(),
        }
        let answer = get(&server, key);
        assert!(
            !answer.is_whole || answer.status == 500,
            "{key}: {}",
            answer.status
        );
        assert!(answer.status == 500 || body.starts_with(&answer.body));
    }
}
