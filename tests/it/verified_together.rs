//! A verify of many bytes, which several threads share.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::sync::Mutex;

use partstore::{Compared, Scope};

use crate::dedup::DAMAGES;
use crate::fixture::{Fixture, blob_files, bytes};

const PARTS: u32 = 16;
/// Enough for a thread for each four of them.
const LEN: usize = 4 << 20;

/// Threads are counted by one test at a time.
static ALONE: Mutex<()> = Mutex::new(());

fn with_parts() -> Fixture {
    let fixture = Fixture::new();
    let upload = fixture.initiate("key");
    for number in 1..=PARTS {
        fixture.put(&upload, number, &bytes(number.into(), LEN));
    }
    fixture
}

/// The threads of this process that have this name.
fn threads_named(name: &str) -> usize {
    let tasks = std::fs::read_dir("/proc/self/task").unwrap();
    let names = tasks.map(|task| std::fs::read_to_string(task.unwrap().path().join("comm")));
    names
        .filter(|found| found.as_ref().is_ok_and(|found| found.trim() == name))
        .count()
}

#[test]
fn what_one_thread_would_find_several_find() {
    let _alone = ALONE.lock();
    let fixture = with_parts();
    let whole = fixture.store.verify(Scope::Everything).unwrap();
    assert!(whole.is_clean());
    assert_eq!(
        (whole.blobs, whole.bytes),
        (PARTS.into(), (PARTS as usize * LEN) as u64)
    );
    let upload = fixture.initiate("other");
    let mut damaged = BTreeMap::new();
    for (number, (name, damage)) in (1..).zip(&DAMAGES) {
        let part = fixture.put(&upload, number, &bytes(number.into(), LEN));
        damage(&fixture.blob_path(&part.content));
        damaged.insert(part.content, *name);
    }
    let mut told = Vec::new();
    let mut threads = 0;
    let report = fixture.store.verify_with(Scope::Everything, |progress| {
        threads = threads.max(threads_named("partstore-check"));
        told.push((progress.done, progress.total));
        ControlFlow::Continue(())
    });
    let report = report.unwrap();
    assert!(threads > 1, "one thread did all");
    let found: Vec<_> = report.damaged.iter().map(|blob| blob.hash).collect();
    assert!(found.iter().eq(damaged.keys()), "{:?}", report.damaged);
    for blob in &report.damaged {
        assert_eq!(blob.parts.len(), 2, "{} {blob:?}", damaged[&blob.hash]);
    }
    let sound = PARTS as usize - damaged.len();
    assert_eq!(
        (report.blobs, report.bytes),
        (PARTS.into(), (sound * LEN) as u64)
    );
    assert_eq!(told.last().unwrap().0, told[0].1);
    assert!(told.is_sorted());
}

/// Threads finish in any order. What is counted, and what is gone on behind, is in the order of the hashes.
#[test]
fn several_threads_that_are_broken_off_leave_nothing_out() {
    let _alone = ALONE.lock();
    let fixture = with_parts();
    let mut all: Vec<_> = blob_files(&fixture.root()).into_iter().collect();
    all.sort_unstable();
    let damaged = [&all[3], &all[9], &all[15]];
    for name in damaged {
        let path = fixture.root().join("blobs").join(&name[..2]).join(name);
        DAMAGES[0].1(&path);
    }
    let (mut behind, mut blobs, mut found) = (None, 0, BTreeMap::new());
    loop {
        let mut compared = None;
        let report = fixture
            .store
            .verify_behind(Scope::Everything, behind.as_ref(), |told| {
                compared = told.compared;
                if compared.is_some_and(|compared: Compared| compared.blobs >= 3) {
                    ControlFlow::Break(())
                } else {
                    ControlFlow::Continue(())
                }
            });
        let report = report.unwrap();
        blobs += report.blobs;
        // It may have been broken off behind the last one.
        let Some(compared) = compared else { break };
        let through = compared.through.to_string();
        let at = all.iter().position(|name| *name == through).unwrap();
        assert_eq!(blobs, at as u64 + 1);
        for blob in &report.damaged {
            found.insert(blob.hash.to_string(), blob.reason.clone());
        }
        let due = damaged.iter().filter(|name| ***name <= through);
        assert!(due.clone().all(|name| found.contains_key(*name)));
        behind = Some(compared.through);
        if !report.cut_short {
            break;
        }
    }
    assert_eq!(blobs, u64::from(PARTS));
    assert!(found.keys().eq(damaged), "{found:?}");
}

/// Nobody reads on behind a break.
#[test]
fn a_break_stops_all_threads() {
    let _alone = ALONE.lock();
    let fixture = with_parts();
    let bytes = (PARTS as usize * LEN) as u64;
    let mut is_broken = false;
    let report = fixture.store.verify_with(Scope::Everything, |told| {
        assert!(!is_broken, "asked again");
        is_broken = told.done > told.total - bytes + (LEN / 2) as u64;
        if is_broken {
            ControlFlow::Break(())
        } else {
            ControlFlow::Continue(())
        }
    });
    let report = report.unwrap();
    assert!(report.cut_short && is_broken);
    assert!(report.blobs <= 1, "{report:?}");
    assert!(fixture.store.verify(Scope::Everything).unwrap().is_clean());
}
