//! Throughput, each beside its floor, measured in turns within one run.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use partstore::{Options, PartNumber, PartStore, Result};

use crate::floor::{self, body};
use crate::threads::in_threads;

const PART_LEN: usize = 8 << 20;
const PART_MIB: f64 = 8.0;
const PUTS: u32 = 24;
const ROUNDS: usize = 5;
const SMALL_LEN: usize = 1024;
const SMALL_PUTS: u32 = 8000;
const THREADS: [u32; 4] = [1, 4, 8, 32];

/// `put_part` of 8 MiB, and the floor: the same digests and the same three syncs in a plain loop.
pub fn put(base: &Path) -> Result<()> {
    let dir = tempfile::tempdir_in(base).expect("a directory for the store");
    let store = PartStore::open(dir.path().join("data"))?;
    let floor_dir = dir.path().join("floor");
    fs::create_dir(&floor_dir).expect("a directory for the floor");
    let upload = store.initiate_upload("bench/put")?;
    let (mut stored, mut plain) = (Vec::new(), Vec::new());
    for round in 0..ROUNDS {
        for at in 1..=PUTS {
            let body = body(PART_LEN, u64::from(at) + round as u64 * 1000);
            // In turns, and either first every other time: the machine is noisy.
            let (mut ours, mut floor) = (Duration::ZERO, Duration::ZERO);
            let mut turn = |first: bool| -> Result<()> {
                let started = Instant::now();
                if first {
                    store.put_part(&upload, PartNumber::new(at)?, body.clone())?;
                    ours = started.elapsed();
                } else {
                    floor::put(&floor_dir, &body);
                    floor = started.elapsed();
                }
                Ok(())
            };
            turn(at % 2 == 0)?;
            turn(at % 2 == 1)?;
            stored.push(ours);
            plain.push(floor);
        }
        store.sweep()?;
    }
    let (ours, floor) = (median(stored), median(plain));
    let rate = |time: Duration| PART_MIB * 1.048_576 / time.as_secs_f64();
    let ratio = ours.as_secs_f64() / floor.as_secs_f64();
    println!(
        "put_part, 8 MiB, 1 thread: {:.1} ms ({:.0} MB/s); floor {:.1} ms ({:.0} MB/s); {ratio:.2} x the floor",
        ours.as_secs_f64() * 1e3,
        rate(ours),
        floor.as_secs_f64() * 1e3,
        rate(floor),
    );
    Ok(())
}

/// Durable puts of 1 KiB parts to one upload, from more and more threads.
pub fn group_commit(base: &Path) -> Result<()> {
    let mut rates = THREADS.map(|_| Vec::new());
    // The stores stay until the end: ext4 without a journal is slow to make a file for some minutes
    // after many were removed.
    let mut stores = Vec::new();
    for round in 0..ROUNDS as u64 {
        for (threads, rates) in THREADS.into_iter().zip(&mut rates) {
            let dir = tempfile::tempdir_in(base).expect("a directory for the store");
            rates.push(small_puts(dir.path(), threads, round)?);
            stores.push(dir);
        }
    }
    let medians = rates.map(|mut rates| {
        rates.sort_by(f64::total_cmp);
        rates[rates.len() / 2]
    });
    for (threads, rate) in THREADS.into_iter().zip(medians) {
        let ratio = rate / medians[0];
        println!(
            "put_part, 1 KiB, one upload, {threads:>2} threads: {rate:.0} parts/s ({ratio:.1} x one thread)"
        );
    }
    Ok(())
}

fn small_puts(dir: &Path, threads: u32, round: u64) -> Result<f64> {
    let store = Options::cos().min_part_size(0).open(dir.join("data"))?;
    let upload = store.initiate_upload("bench/small")?;
    let each = SMALL_PUTS / threads.max(4);
    let started = Instant::now();
    in_threads(threads, |thread| {
        for at in 0..each {
            let seed = u64::from(thread) << 32 | u64::from(at) | round << 60;
            let number = PartNumber::new(1 + thread * each + at)?;
            store.put_part(&upload, number, body(SMALL_LEN, seed))?;
        }
        Ok(())
    })?;
    Ok(f64::from(each * threads) / started.elapsed().as_secs_f64())
}

pub fn median(mut times: Vec<Duration>) -> Duration {
    times.sort();
    times.get(times.len() / 2).copied().unwrap_or_default()
}
