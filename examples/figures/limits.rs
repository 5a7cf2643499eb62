//! How long calls take on stores with many parts.

use std::path::Path;
use std::time::{Duration, Instant};

use partstore::{Background, CompletedPart, Options, PartNumber, PartStore, Result, Scope, Upload};

use rustix::time::{ClockId, clock_gettime};

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

/// What a part costs calls that go over many, in a store of 100,000 parts, all different.
pub fn costs(base: &Path) -> Result<()> {
    let dir = tempfile::tempdir_in(base).expect("a directory for the store");
    let root = dir.path().join("data");
    let options = || options().background(Background::Host);
    let store = options().open(&root)?;
    let mut uploads = Vec::new();
    for round in 0..UPLOADS {
        let upload = store.initiate_upload("bench/costs")?;
        fill(&store, &upload, u64::from(round))?;
        uploads.push(upload);
    }
    let all = [PARTS * UPLOADS];
    let (aborted, completed) = uploads.split_at(5);
    let mut pairs = Vec::new();
    for upload in completed {
        pairs.push((upload, all_parts(&store, upload)?));
    }
    each("list_parts", completed, |upload| {
        all_parts(&store, upload).map(drop)
    })?;
    each("complete_upload", &pairs, |(upload, list)| {
        store.complete_upload(upload, list).map(drop)
    })?;
    each("open_object", completed, |upload| {
        store.open_object(upload).map(drop)
    })?;
    each("verify(Scope::Metadata)", &all, |_| {
        store.verify(Scope::Metadata).map(drop)
    })?;
    store.close()?;
    let open = |_: &u32| options().open(&root)?.close();
    each("open after a clean close, and close", &all, open)?;
    each("open with the index rebuilt, and close", &all, |parts| {
        std::fs::remove_file(root.join("meta/CLEAN")).expect("the marker");
        open(parts)
    })?;
    let store = options().open(&root)?;
    each("abort_upload", aborted, |upload| store.abort_upload(upload))?;
    each("remove_object", completed, |upload| {
        store.remove_object(upload)
    })?;
    each("sweep", &all, |_| store.sweep().map(drop))?;
    store.close()
}

/// What a call goes over.
trait Parts {
    fn parts(&self) -> u32 {
        PARTS
    }
}

impl Parts for Upload {}

impl Parts for (&Upload, Vec<CompletedPart>) {}

impl Parts for u32 {
    fn parts(&self) -> u32 {
        *self
    }
}

/// Times a call on each of several.
fn each<T: Parts>(call: &str, of: &[T], run: impl Fn(&T) -> Result<()>) -> Result<()> {
    for one in of {
        let (started, used) = (Instant::now(), processor_time());
        run(one)?;
        let times = [started.elapsed(), processor_time().saturating_sub(used)];
        let [time, used] = times.map(|time| time.as_secs_f64() * 1e6 / f64::from(one.parts()));
        println!("{call}: {time:.2} us a part, {used:.2} us of a processor");
    }
    Ok(())
}

/// What all threads of this process have used.
fn processor_time() -> Duration {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    Duration::try_from(time).unwrap_or_default()
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
