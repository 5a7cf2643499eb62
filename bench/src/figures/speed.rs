//! Puts by one thread and by many.

use std::path::Path;
use std::time::Instant;

use partstore::{PartNumber, PartStore, Result};
use partstore_bench::bodies::body;
use partstore_bench::floors::Obvious;
use partstore_bench::{Taker as _, at_once, median};

use super::Report;
use super::many::options;

const PART_LEN: usize = 8 << 20;
const PART_MB: f64 = 8.388_608;
const PUTS: u32 = 24;
const ROUNDS: u32 = 5;
const SMALL_LEN: usize = 1024;
const SMALL_PUTS: u32 = 8000;
const THREADS: [u32; 4] = [1, 4, 8, 32];

/// `put_part` of 8 MiB, and the floor with the same digests and syncs.
pub fn put(base: &Path, report: &Report) -> Result<()> {
    let dir = tempfile::tempdir_in(base).expect("a directory");
    let store = PartStore::open(dir.path().join("data"))?;
    let floor = Obvious::new(&dir.path().join("floor"));
    let upload = store.initiate_upload("bench/put")?;
    let (mut ours, mut floors) = (Vec::new(), Vec::new());
    for round in 0..ROUNDS {
        for number in 1..=PUTS {
            let body = body(PART_LEN, u64::from(number + round * 1000));
            // Either is first every other time: the machine is noisy.
            for first in [number % 2 == 0, number % 2 == 1] {
                let started = Instant::now();
                if first {
                    store.put_part(&upload, PartNumber::new(number)?, body.clone())?;
                    ours.push(started.elapsed().as_secs_f64());
                } else {
                    floor.take(number, &body);
                    floors.push(started.elapsed().as_secs_f64());
                }
            }
        }
        store.sweep()?;
    }
    let (ours, floor) = (median(ours), median(floors));
    let say = |time: f64| format!("{:.1} ms, {:.0} MB/s", time * 1e3, PART_MB / time);
    report.say(
        "`put_part`, 8 MiB, 1 thread",
        say(ours),
        format!("obvious: {}; × {:.2}", say(floor), floor / ours),
    );
    Ok(())
}

/// Durable puts of 1 KiB parts to one upload, from more and more threads.
pub fn group_commit(base: &Path, report: &Report) -> Result<()> {
    let mut rates = THREADS.map(|_| Vec::new());
    // The stores stay until the end: ext4 without a journal is slow to make a file for some minutes
    // after many were removed.
    let mut stores = Vec::new();
    for round in 0..ROUNDS {
        for (threads, rates) in THREADS.into_iter().zip(&mut rates) {
            let dir = tempfile::tempdir_in(base).expect("a directory");
            rates.push(small_puts(dir.path(), threads, round)?);
            stores.push(dir);
        }
    }
    let rates = rates.map(median);
    for (threads, rate) in THREADS.into_iter().zip(rates) {
        report.say(
            &format!("`put_part` of 1 KiB to one upload, {threads} at a time"),
            format!("{rate:.0} parts/s"),
            format!("× {:.1} of one at a time", rate / rates[0]),
        );
    }
    Ok(())
}

/// Parts a second.
fn small_puts(dir: &Path, threads: u32, round: u32) -> Result<f64> {
    let store = options().open(dir.join("data"))?;
    let upload = store.initiate_upload("bench/small")?;
    let each = SMALL_PUTS / threads.max(4);
    let took = at_once(threads, |thread| {
        for at in 0..each {
            let number = 1 + thread * each + at;
            let body = body(SMALL_LEN, u64::from(round) << 32 | u64::from(number));
            store.put_part(&upload, PartNumber::new(number)?, body)?;
        }
        Ok(())
    })?;
    Ok(f64::from(each * threads) / took.as_secs_f64())
}
