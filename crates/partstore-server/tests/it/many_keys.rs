//! Buckets with more keys than a page has.

use std::thread;

use crate::calls::{BUCKET, get, put, server};
use crate::client::Request;
use crate::fixture::Server;

const KEYS: usize = 2_500;
const PUTTERS: usize = 25;

/// 100 keys of each of 25 folders, or with a letter more, of none.
fn key(number: usize) -> String {
    let (folder, name) = (number / 100, number % 100);
    if number.is_multiple_of(2) {
        format!("{folder:02}/{name:02}")
    } else {
        format!("{folder:02}x{name:02}")
    }
}

fn filled() -> Server {
    let server = server(&[]);
    thread::scope(|scope| {
        for first in 0..PUTTERS {
            let server = &server;
            scope.spawn(move || {
                for number in (first..KEYS).step_by(PUTTERS) {
                    put(server, &key(number), key(number).as_bytes()).ok();
                }
            });
        }
    });
    server
}

/// All keys and common prefixes, page by page.
fn listed(server: &Server, asked: &str, limit: usize) -> Vec<String> {
    let (mut names, mut marker) = (Vec::new(), String::new());
    loop {
        let target = format!("/{BUCKET}?max-keys={limit}&marker={marker}{asked}");
        let page = Request::new("GET", target).send(server).ok();
        let mut found = page.elements("Key");
        let within = page.elements("CommonPrefixes");
        found.extend(within.iter().map(|prefix| {
            let inner = prefix.trim_start_matches("<Prefix>");
            inner.trim_end_matches("</Prefix>").to_owned()
        }));
        found.sort();
        assert!(found.len() <= limit);
        let next = page.elements("NextMarker");
        names.append(&mut found);
        let Some(next) = next.into_iter().next() else {
            return names;
        };
        assert_eq!(names.last(), Some(&next));
        marker = next;
    }
}

fn sorted(names: impl Iterator<Item = String>) -> Vec<String> {
    let mut names: Vec<_> = names.collect();
    names.sort();
    names.dedup();
    names
}

#[test]
fn thousands_of_keys_are_listed_in_pages_and_all_are_there_after_a_restart() {
    let mut server = filled();
    let all = sorted((0..KEYS).map(key));
    let rolled_up = sorted((0..KEYS).map(|number| {
        let key = key(number);
        key.split_once('/')
            .map_or(key.clone(), |(folder, _)| format!("{folder}/"))
    }));
    for round in 0..2 {
        for limit in [7, 1000] {
            assert_eq!(listed(&server, "&delimiter=/", limit), rolled_up);
        }
        assert_eq!(listed(&server, "", 1000), all);
        let within: Vec<_> = all.iter().filter(|key| key.starts_with("07/")).collect();
        let found = listed(&server, "&prefix=07/&delimiter=/", 20);
        assert_eq!(found.iter().collect::<Vec<_>>(), within);
        for number in [0, 1, KEYS - 1] {
            assert_eq!(get(&server, &key(number)).ok().text(), key(number));
        }
        if round == 0 {
            server.kill();
            server.restart();
        }
    }
}
