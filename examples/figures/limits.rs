//! How long calls take on stores with many parts.

use std::path::Path;
use std::time::{Duration, Instant};

use partstore::{CompletedPart, Options, PartNumber, PartStore, Result, Upload};

use crate::floor::body;
use crate::speed::median;
use crate::threads::in_threads;

const PARTS: u32 = 10_000;
const UPLOADS: u32 = 10;
const FILLERS: u32 = 16;

/// `list_parts` of 1,000 among 10,000, and `complete_upload` of all of them.
pub fn list_and_complete(base: &Path) -> Result<()> {
    let dir = tempfile::tempdir_in(base).expect("a directory for the store");
    let store = options().open(dir.path().join("data"))?;
    let (mut lists, mut completions) = (Vec::new(), Vec::new());
    for round in 0..3 {
        let upload = store.initiate_upload("bench/list")?;
        fill(&store, &upload, round)?;
        for after in (0..PARTS - 1000).step_by(500) {
            let started = Instant::now();
            let page = store.list_parts(&upload, after, 1000)?;
            lists.push(started.elapsed());
            assert_eq!(page.parts.len(), 1000);
        }
        let list = all_parts(&store, &upload)?;
        let started = Instant::now();
        store.complete_upload(&upload, &list)?;
        completions.push(started.elapsed());
    }
    println!(
        "list_parts, 1,000 of 10,000: {:.0} us",
        median(lists).as_secs_f64() * 1e6
    );
    println!(
        "complete_upload, 10,000 parts: {:.1} ms",
        median(completions).as_secs_f64() * 1e3
    );
    Ok(())
}

/// `open` of a store with 100,000 parts, all different.
pub fn open(base: &Path) -> Result<()> {
    let dir = tempfile::tempdir_in(base).expect("a directory for the store");
    let root = dir.path().join("data");
    let store = options().open(&root)?;
    for round in 0..UPLOADS {
        let upload = store.initiate_upload("bench/open")?;
        fill(&store, &upload, u64::from(round))?;
    }
    store.close()?;
    let clean = timed_opens(&root, |_| ())?;
    // Without the marker of a clean close an open is one after a kill.
    let killed = timed_opens(&root, |root| {
        std::fs::remove_file(root.join("meta/CLEAN")).expect("the marker");
    })?;
    println!(
        "open, 100,000 parts, after a clean close: {:.2} s",
        clean.as_secs_f64()
    );
    println!(
        "open, 100,000 parts, index rebuilt: {:.2} s",
        killed.as_secs_f64()
    );
    Ok(())
}

fn timed_opens(root: &Path, before: impl Fn(&Path)) -> Result<Duration> {
    let mut times = Vec::new();
    for _ in 0..3 {
        before(root);
        let started = Instant::now();
        let store = options().open(root)?;
        times.push(started.elapsed());
        store.close()?;
    }
    Ok(median(times))
}

pub fn options() -> Options {
    Options::cos().min_part_size(0)
}

/// Puts 10,000 small parts that no other `round` has.
pub fn fill(store: &PartStore, upload: &Upload, round: u64) -> Result<()> {
    in_threads(FILLERS, |thread| {
        for number in (1 + thread..=PARTS).step_by(FILLERS as usize) {
            let body = body(64, round << 32 | u64::from(number));
            store.put_part(upload, PartNumber::new(number)?, body)?;
        }
        Ok(())
    })
}

fn all_parts(store: &PartStore, upload: &Upload) -> Result<Vec<CompletedPart>> {
    let (mut list, mut after) = (Vec::new(), 0);
    loop {
        let page = store.list_parts(upload, after, 1000)?;
        list.extend(page.parts.iter().map(CompletedPart::from));
        match page.next {
            Some(next) => after = u32::from(next.get()),
            None => return Ok(list),
        }
    }
}
