//! How long calls take on stores with many parts.

use std::path::Path;
use std::time::Instant;

use partstore::{ListParts, Result};
use partstore_bench::median;

use super::Report;
use super::many::{PARTS, UPLOADS, all_parts, fill, filled, forget_the_close, options};

const ROUNDS: u32 = 3;
const PAGE: u32 = 1000;

/// `list_parts` of 1,000 among 10,000, and `complete_upload` of all of them.
pub fn list_and_complete(base: &Path, report: &Report) -> Result<()> {
    let dir = tempfile::tempdir_in(base).expect("a directory");
    let store = options().open(dir.path().join("data"))?;
    let (mut lists, mut completions) = (Vec::new(), Vec::new());
    for round in 0..ROUNDS {
        let upload = store.initiate_upload("bench/list")?;
        fill(&store, &upload, round)?;
        for after in (0..PARTS - PAGE).step_by(500) {
            let started = Instant::now();
            let page = store.list_parts(&upload, &ListParts::new().marker(after).limit(PAGE))?;
            lists.push(started.elapsed().as_secs_f64());
            assert_eq!(page.parts.len(), PAGE as usize);
        }
        let list = all_parts(&store, &upload)?;
        let started = Instant::now();
        store.complete_upload(&upload, &list)?;
        completions.push(started.elapsed().as_secs_f64());
    }
    let listed = format!("{:.0} µs", median(lists) * 1e6);
    report.say("`list_parts`, 1,000 of 10,000", listed, String::new());
    let completed = format!("{:.1} ms", median(completions) * 1e3);
    report.say("`complete_upload`, 10,000 parts", completed, String::new());
    Ok(())
}

/// `open` of a store with 100,000 parts, all different.
pub fn open(base: &Path, report: &Report) -> Result<()> {
    let dir = tempfile::tempdir_in(base).expect("a directory");
    let root = dir.path().join("data");
    let store = options().open(&root)?;
    filled(&store, UPLOADS)?;
    store.close()?;
    let clean = timed_opens(&root, |_| ())?;
    let killed = timed_opens(&root, forget_the_close)?;
    for (how, took) in [("after a clean close", clean), ("index rebuilt", killed)] {
        let figure = format!("`open`, 100,000 parts, {how}");
        report.say(&figure, format!("{took:.2} s"), String::new());
    }
    Ok(())
}

/// Median time of an opening, each after `before`; seconds.
fn timed_opens(root: &Path, before: impl Fn(&Path)) -> Result<f64> {
    let mut times = Vec::new();
    for _ in 0..ROUNDS {
        before(root);
        let started = Instant::now();
        let store = options().open(root)?;
        times.push(started.elapsed().as_secs_f64());
        store.close()?;
    }
    Ok(median(times))
}
