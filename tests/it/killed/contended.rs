//! Processes that all want one directory: one at a time has it, and sees all that was acknowledged
//! to those before it, also to those that were killed.

use std::fs::File;
use std::path::Path;
use std::process::Child;
use std::time::{Duration, Instant};

use partstore::{Error, PartStore};
use rustix::process::{Signal, getpid, kill_process};

use super::log::{Log, lines};
use super::{ExitOnPanic, options, parse, start, wait_until};
use crate::fixture::{Doing, Random, bytes, fast_dir, number, read_part, role, setting};
use partstore::{ListUploads, Upload};

const PROCESSES: usize = 4;
const THIS_TEST: &str =
    "killed::contended::of_many_processes_one_has_the_store_and_sees_all_before_it";

/// I2
#[test]
fn of_many_processes_one_has_the_store_and_sees_all_before_it() {
    if let Some(role) = role() {
        return contend(&role);
    }
    let made = |dir: &Path| options().open(dir.join("data")).unwrap().close().unwrap();
    contend_often(8, 24, made);
}

/// I2
#[test]
fn of_many_processes_that_make_a_store_one_does() {
    contend_often(40, PROCESSES, |_| {});
}

/// Lets processes contend for directories, each until it was had so many times.
fn contend_often(directories: usize, turns: usize, prepare: impl Fn(&Path)) {
    let seed = setting("PARTSTORE_SEED", 1);
    let mut random = Random::new(seed);
    let (mut had, mut refused, mut killed) = (0, 0, 0);
    for directory in 0..directories {
        let _doing = Doing(format!("PARTSTORE_SEED={seed}, directory {directory}"));
        let dir = fast_dir();
        prepare(dir.path());
        let all = contended(dir.path(), turns, &mut random);
        had += assert_one_after_the_other(&all);
        refused += count(&all, "locked");
        killed += count(&all, "dies") + count(&all, "is killed");
        let store = options().open(dir.path().join("data")).unwrap();
        assert_all_there(&store, &all);
    }
    println!("seed {seed}: {had} times opened, {refused} times refused, {killed} times killed");
    assert!(had >= directories * turns && refused > 0 && killed > 0);
}

/// Lets processes contend for a directory until they have had it this often. Gives what they said.
fn contended(dir: &Path, turns: usize, random: &mut Random) -> Vec<String> {
    let log = dir.join("log");
    Log::append(&log).say(&format!("until {turns}"));
    let moment = Duration::from_micros(random.next() % 5000);
    let mut next = || start(THIS_TEST, &format!("{} {}", random.next(), dir.display()));
    let mut children: Vec<Child> = (0..PROCESSES).map(|_| next()).collect();
    wait_until(|| count(&lines(&log), "ready") == PROCESSES);
    File::create(dir.join("go")).unwrap();
    // While it makes the store, perhaps, or has it.
    std::thread::sleep(moment);
    Log::append(&log).say(&format!("is killed: {}", children[0].id()));
    children[0].kill().unwrap();
    let began = Instant::now();
    while !children.is_empty() {
        assert!(began.elapsed() < Duration::from_secs(120), "nobody gets it");
        let mut left = Vec::new();
        for mut child in children {
            match child.try_wait().unwrap() {
                None => left.push(child),
                Some(status) if status.success() => {}
                Some(status) => {
                    assert_eq!(status.code(), None, "a process has failed");
                    left.push(next());
                }
            }
        }
        children = left;
        std::thread::sleep(Duration::from_millis(1));
    }
    lines(&log)
}

fn count(lines: &[String], word: &str) -> usize {
    lines.iter().filter(|line| line.starts_with(word)).count()
}

/// Nobody has it before the one that had it says that it will let go, or is killed. Gives how often
/// it was had.
fn assert_one_after_the_other(lines: &[String]) -> usize {
    let (mut holder, mut killed) = (None, None);
    let mut turns = 0;
    for line in lines {
        match line.rsplit_once(' ') {
            Some(("is killed:", process)) => killed = Some(process),
            Some(("has", process)) => {
                let before = holder.replace(process);
                assert!(
                    before.is_none() || before == killed,
                    "{process} came in between"
                );
                turns += 1;
            }
            Some(("leaves" | "dies", process)) => assert_eq!(holder.take(), Some(process)),
            _ => {}
        }
    }
    turns
}

/// Every part that was acknowledged is there.
fn assert_all_there(store: &PartStore, lines: &[String]) {
    let acknowledged: Vec<(Upload, u64)> = lines
        .iter()
        .filter_map(|line| line.strip_prefix("stored "))
        .map(|stored| {
            let (id, seed) = stored.split_once(' ').unwrap();
            (Upload::parse("key", id).unwrap(), seed.parse().unwrap())
        })
        .collect();
    for (upload, seed) in &acknowledged {
        assert!(read_part(store, upload, number(1)) == bytes(*seed, 2000));
    }
    let page = store.list_uploads(&ListUploads::new()).unwrap();
    assert!(page.uploads.len() >= acknowledged.len());
}

/// The process: takes the store, looks, adds a part, and lets go, in one way or another.
fn contend(role: &str) {
    let _exit = ExitOnPanic;
    let (seed, dir) = parse(role);
    let (path, process) = (dir.join("log"), std::process::id());
    let (log, mut random) = (Log::append(&path), Random::new(seed));
    log.say("ready");
    while !dir.join("go").exists() {
        std::thread::yield_now();
    }
    let turns = lines(&path)[0]
        .strip_prefix("until ")
        .unwrap()
        .parse()
        .unwrap();
    while count(&lines(&path), "has") < turns {
        let store = match options().open(dir.join("data")) {
            Ok(store) => store,
            Err(Error::StoreLocked { .. }) => {
                log.say("locked");
                std::thread::sleep(Duration::from_micros(random.next() % 3000));
                continue;
            }
            Err(error) => panic!("{error}"),
        };
        log.say(&format!("has {process}"));
        assert_all_there(&store, &lines(&path));
        let upload = store.initiate_upload("key").unwrap();
        let body = random.next();
        store
            .put_part(&upload, number(1), bytes(body, 2000))
            .unwrap();
        log.say(&format!("stored {} {body}", upload.id()));
        if random.below(4) == 0 {
            log.say(&format!("dies {process}"));
            kill_process(getpid(), Signal::KILL).unwrap();
        }
        log.say(&format!("leaves {process}"));
        if random.below(2) == 0 {
            store.close().unwrap();
        }
    }
}
