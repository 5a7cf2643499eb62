//! `kill -9` while objects replace one another.

use std::io;
use std::thread;
use std::time::Duration;

use rustix::process::Signal;

use crate::calls::{bytes, completion, etag, get, list_of, part_path, path, server};
use crate::client::{Answer, Client, Request};
use crate::fixture::Server;
use crate::process_stats::{files, objects};

const NAMES: usize = 6;
const ROUNDS: usize = 5;
const VERSION: &str = "x-cos-meta-version";

/// The versions that a name has been given. Version 0 means that no object exists.
#[derive(Clone, Copy, Default, Debug)]
struct Versions {
    acknowledged: u64,
    begun: u64,
}

fn content(name: u64, version: u64) -> Vec<u8> {
    let len = 1000 + usize::try_from(version % 7).unwrap() * 50_000;
    bytes(len, name * 1_000_000 + version)
}

fn key(name: u64) -> String {
    format!("name{name}")
}

/// Makes a request of a server that may be killed in the meantime.
fn attempt(server: &Server, request: &Request, method: &str) -> io::Result<Answer> {
    let mut client = Client::try_connect(server)?;
    client.try_send(request.bytes())?;
    let answer = client.try_answer(method)?;
    assert_eq!(answer.status, 200, "{}", answer.text());
    Ok(answer)
}

/// Gives a name a version, by a PUT or as a multipart upload.
fn replace(server: &Server, name: u64, version: u64) -> io::Result<()> {
    let (key, body) = (key(name), content(name, version));
    let named = |request: Request| request.header(VERSION, version);
    if version.is_multiple_of(2) {
        let put = named(Request::new("PUT", path(&key)).body(body));
        attempt(server, &put, "PUT")?;
        return Ok(());
    }
    let initiate = named(Request::new("POST", path(&key) + "?uploads"));
    let initiated = attempt(server, &initiate, "POST")?;
    let id = initiated.elements("UploadId").remove(0);
    let part = Request::new("PUT", part_path(&key, &id, 1)).body(&*body);
    attempt(server, &part, "PUT")?;
    let list = list_of(&[(1, &etag(&body))]);
    attempt(server, &completion((&key, &id), list), "POST")?;
    Ok(())
}

fn replace_until_killed(server: &Server, name: u64, mut versions: Versions) -> Versions {
    loop {
        versions.begun += 1;
        if replace(server, name, versions.begun).is_err() {
            return versions;
        }
        versions.acknowledged = versions.begun;
    }
}

/// Nobody sees an older version after a newer one. (Readers see a version while its batch waits in memory for the sync of the
/// one before. So the newest one that was seen may be lost, if its writer was not answered.)
fn look_until_killed(server: &Server, name: u64) {
    let head = Request::new("HEAD", path(&key(name)));
    let mut newest = 0;
    let look = || {
        let mut client = Client::try_connect(server).ok()?;
        client.try_send(head.bytes()).ok()?;
        client.try_answer("HEAD").ok()
    };
    while let Some(answer) = look() {
        let version = answer.header(VERSION);
        let version = version.map_or(0, |version| version.parse().unwrap());
        assert!(version >= newest, "{version} after {newest}");
        newest = version;
    }
}

/// Which of the possible versions exists.
fn found(server: &Server, name: u64, versions: Versions) -> u64 {
    let answer = get(server, &key(name));
    let mut allowed = versions.acknowledged..=versions.begun;
    let version = if answer.status == 404 {
        Some(0).filter(|none| allowed.contains(none))
    } else {
        let body = answer.ok().body;
        allowed.find(|version| *version > 0 && content(name, *version) == body)
    };
    version.unwrap_or_else(|| panic!("{} is none of {versions:?}", key(name)))
}

fn kill_while_writing(server: &Server, all: &mut [Versions; NAMES], pause: Duration) {
    thread::scope(|scope| {
        let spawn = |(name, versions)| {
            let writer = scope.spawn(move || replace_until_killed(server, name, versions));
            (writer, scope.spawn(move || look_until_killed(server, name)))
        };
        let threads: Vec<_> = (0..).zip(*all).map(spawn).collect();
        thread::sleep(pause);
        server.signal(Signal::KILL);
        for (versions, (writer, reader)) in all.iter_mut().zip(threads) {
            *versions = writer.join().unwrap();
            reader.join().unwrap();
        }
    });
}

#[test]
fn killed_in_the_middle_a_server_has_one_object_of_each_name() {
    let mut server = server(&[]);
    let mut all = [Versions::default(); NAMES];
    for round in 0..ROUNDS {
        let pause = Duration::from_millis(300 + 37 * round as u64);
        kill_while_writing(&server, &mut all, pause);
        server.kill();
        server.restart();
        for (name, versions) in (0..).zip(&mut all) {
            versions.acknowledged = found(&server, name, *versions);
        }
        assert_eq!(files(&server, "staging").len(), 0);
        // Of each name the bucket has one object.
        server.kill();
        let mut names = objects(&server);
        names.sort();
        let len = names.len();
        names.dedup();
        assert_eq!(names.len(), len, "{names:?}");
        server.restart();
    }
    assert!(
        all.iter().all(|versions| versions.acknowledged > 3),
        "{all:?}"
    );
}
