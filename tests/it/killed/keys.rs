//! `kill -9` of processes that give keys new objects: each key has the object of the last acknowledged call,
//! or of the one that was cut off, and never none in between.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::path::Path;
use std::time::Duration;

use partstore::{CompleteOptions, Condition, Error, Key, ObjectOptions, PartStore, Quota, Scope};

use super::{ExitOnPanic, options, parse, start, wait_until};
use crate::fixture::{Doing, Fixture, Random, bytes, fast_dir, lines, number, race, role, setting};

const THIS_TEST: &str =
    "killed::keys::a_key_has_the_object_that_was_acknowledged_last_after_a_kill";
const THREADS: usize = 4;
const KEYS: usize = 5;

/// What a key finds: the seed of its bytes, or nothing.
type Found = Option<u64>;

fn key(thread: usize, at: usize) -> Key {
    let namespace = ["", "bucket"][at % 2];
    Key::new(namespace, format!("{thread}/{at}"))
}

fn body(seed: u64) -> Vec<u8> {
    bytes(seed, 8 + usize::try_from(seed % 3000).unwrap())
}

/// The process. Each thread has keys of its own, so that it knows what they find.
fn work(role: &str) {
    let _exit = ExitOnPanic;
    let (seed, dir) = parse(role);
    let store = options().open(dir.join("data")).unwrap();
    if store.namespace("bucket").is_err() {
        store.create_namespace("bucket", Quota::new()).unwrap();
    }
    race(THREADS, |thread| {
        let _exit = ExitOnPanic;
        let log = dir.join(format!("log-{thread}"));
        let mut log = OpenOptions::new().append(true).open(log).unwrap();
        let mut random = Random::new(seed.wrapping_add(thread as u64));
        for _ in 0..100_000 {
            let at = random.below(KEYS);
            // Half of the bodies are those of other threads, too.
            let seed = match random.below(2) {
                0 => random.next() % 20,
                _ => random.next() >> 8,
            };
            let (found, call): (Found, _) = match random.below(10) {
                0 | 1 => (None, Call::Remove),
                2 | 3 => (Some(seed), Call::Complete),
                4 => (Some(seed), Call::CopyOver),
                _ => (Some(seed), Call::Put),
            };
            writeln!(log, "{at} {}", found.map_or(-1, u64::cast_signed)).unwrap();
            call.make(&store, &key(thread, at), seed);
            writeln!(log, "ok").unwrap();
        }
    });
}

#[derive(Clone, Copy)]
enum Call {
    Put,
    Complete,
    /// An object under another key is put, and copied over this one.
    CopyOver,
    Remove,
}

impl Call {
    fn make(self, store: &PartStore, key: &Key, seed: u64) {
        match self {
            Self::Put => drop(store.put_object(key, body(seed)).unwrap()),
            Self::Remove => drop(store.remove_key(key, Condition::Always).unwrap()),
            Self::Complete => {
                let upload = store.initiate_upload(key).unwrap();
                let part = store.put_part(&upload, number(3), body(seed)).unwrap();
                let current = CompleteOptions::new().make_current(Condition::Always);
                let done = store.complete_upload_with(&upload, &lines(&[part]), &current);
                done.unwrap();
            }
            Self::CopyOver => {
                let other = Key::new(key.namespace(), format!("{}-source", key.as_str()));
                store.put_object(&other, body(seed)).unwrap();
                let source = store.open_key(&other).unwrap();
                let copied = store.copy_object(&source, key, &ObjectOptions::new());
                copied.unwrap();
                store.remove_key(&other, Condition::Always).unwrap();
            }
        }
    }
}

/// For each key of a thread: what it finds by the last acknowledged call, and by one that was cut off.
fn said(log: &Path, before: &BTreeMap<usize, Found>) -> BTreeMap<usize, Vec<Found>> {
    let mut said: BTreeMap<_, _> = before
        .iter()
        .map(|(at, found)| (*at, vec![*found]))
        .collect();
    let text = std::fs::read_to_string(log).unwrap();
    for line in text
        .split_inclusive('\n')
        .filter(|line| line.ends_with('\n'))
    {
        if let Some((at, seed)) = line.trim().split_once(' ') {
            let seed: i64 = seed.parse().unwrap();
            let found = u64::try_from(seed).ok();
            let now = said
                .entry(at.parse().unwrap())
                .or_insert_with(|| vec![None]);
            // The call before was acknowledged.
            now.drain(..now.len() - 1);
            now.push(found);
        } else {
            for now in said.values_mut() {
                now.drain(..now.len() - 1);
            }
        }
    }
    said
}

fn find(store: &PartStore, key: &Key) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    match store.open_key(key) {
        Ok(mut reader) => reader.read_to_end(&mut bytes).unwrap(),
        Err(Error::NoSuchKey { .. } | Error::NoSuchNamespace { .. }) => return None,
        Err(error) => panic!("{error}"),
    };
    Some(bytes)
}

#[test]
fn a_key_has_the_object_that_was_acknowledged_last_after_a_kill() {
    if let Some(role) = role() {
        return work(&role);
    }
    let (kills, seed) = (setting("PARTSTORE_KILLS", 10), setting("PARTSTORE_SEED", 1));
    let fixture = Fixture::within(fast_dir(), options());
    fixture.store.close().unwrap();
    let (root, mut random) = (fixture.dir(), Random::new(seed));
    let log = |thread: usize| root.join(format!("log-{thread}"));
    let mut before: Vec<BTreeMap<usize, Found>> = vec![BTreeMap::new(); THREADS];
    let mut calls = 0;
    for kill in 0..kills {
        let _doing = Doing(format!("PARTSTORE_SEED={seed}, kill {kill}"));
        for thread in 0..THREADS {
            File::create(log(thread)).unwrap();
        }
        let role = format!("{} {}", random.next(), root.display());
        let mut child = start(THIS_TEST, &role);
        let at_work = || std::fs::metadata(log(0)).unwrap().len() > 0;
        wait_until(|| at_work() || child.try_wait().unwrap().is_some());
        std::thread::sleep(Duration::from_micros(2000 + random.next() % 60_000));
        child.kill().unwrap();
        child.wait().unwrap();

        let store = fixture.options.clone().open(fixture.root()).unwrap();
        for (thread, before) in before.iter_mut().enumerate() {
            calls += std::fs::read_to_string(log(thread))
                .unwrap()
                .matches("ok")
                .count();
            for (at, allowed) in said(&log(thread), before) {
                let found = find(&store, &key(thread, at));
                let seed = allowed.iter().find(|seed| seed.map(body) == found);
                let seed = seed.unwrap_or_else(|| panic!("{thread}/{at}: none of {allowed:?}"));
                before.insert(at, *seed);
            }
        }
        let report = store.verify(Scope::Everything).unwrap();
        assert!(report.is_clean(), "{report:?}");
        let held: u64 = ["", "bucket"]
            .iter()
            .filter_map(|name| Some(store.namespace(name).ok()?.usage.keys))
            .sum();
        let found = before.iter().flat_map(BTreeMap::values).flatten().count() as u64;
        // A copy that was cut off leaves its source.
        assert!((found..=found + THREADS as u64 * (kill + 1)).contains(&held));
        // Uploads that were cut off are no longer needed.
        store.expire_uploads(Duration::ZERO).unwrap();
        store.sweep().unwrap();
        store.close().unwrap();
    }
    println!("seed {seed}: {kills} kills, of {calls} acknowledged calls none was lost");
    assert!(calls > 0);
}
