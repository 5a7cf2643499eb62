//! Durable parts a second, in pairs with durable inserts of `pgbench`.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use partstore::{PartNumber, PartStore, Result};
use partstore_bench::bodies::body;
use partstore_bench::{at_once, median};

use super::postgres::{Postgres, Sent};
use super::{Clustered, Report, Schema, open};

const CLIENTS: u32 = 16;
const LEN: usize = 4096;
/// Parts of one upload.
const PARTS: u64 = 10_000;

/// A run of one store.
struct Run {
    rate: f64,
    p50: f64,
    p99: f64,
}

/// Where the bytes go.
#[derive(Clone, Copy)]
enum Bytes {
    Directory,
    Memory,
}

pub fn measure(clustered: &Clustered, postgres: &Postgres, report: &Report) -> Result<()> {
    for (bytes, name) in [(Bytes::Directory, "`file://`"), (Bytes::Memory, "memory")] {
        let (mut runs, mut simple, mut prepared) = (Vec::new(), Vec::new(), Vec::new());
        for _ in 0..clustered.load.rounds {
            let dir = clustered.directory();
            let inserts = |sent| postgres.inserts(dir.path(), CLIENTS, clustered.seconds, sent);
            simple.push(inserts(Sent::Simple));
            runs.push(run(clustered, postgres, bytes, CLIENTS)?);
            prepared.push(inserts(Sent::Prepared));
        }
        let rate = median(runs.iter().map(|run| run.rate));
        let measured = format!("{rate:.0} a second");
        for (inserts, sent) in [(simple, "simple"), (prepared, "prepared")] {
            let pairs = runs.iter().zip(&inserts);
            let ratio = median(pairs.map(|(run, insert)| run.rate / insert));
            report.compare(
                &format!("parts of 4 KiB into {name}, {CLIENTS} clients"),
                measured.clone(),
                format!("`pgbench`, {sent}: {:.0} a second", median(inserts)),
                ratio,
            );
        }
        say_latencies(report, name, CLIENTS, &runs);
    }
    let alone: Result<Vec<Run>> = (0..clustered.load.rounds)
        .map(|_| run(clustered, postgres, Bytes::Directory, 1))
        .collect();
    say_latencies(report, "`file://`", 1, &alone?);
    Ok(())
}

fn say_latencies(report: &Report, name: &str, clients: u32, runs: &[Run]) {
    let of = |value: fn(&Run) -> f64| median(runs.iter().map(value));
    report.say(
        &format!("`put_part` of 4 KiB into {name}, clients: {clients}"),
        format!(
            "p50 {:.2} ms, p99 {:.2} ms",
            of(|run| run.p50),
            of(|run| run.p99)
        ),
    );
}

/// Puts parts that nobody has stored before, each client into uploads of its own.
fn run(clustered: &Clustered, postgres: &Postgres, bytes: Bytes, clients: u32) -> Result<Run> {
    let (schema, dir) = (Schema::fresh(postgres), clustered.directory());
    let store = open(&match bytes {
        Bytes::Directory => schema.in_directory(dir.path()),
        Bytes::Memory => schema.in_memory(),
    })?;
    let (put, latencies) = (AtomicU64::new(0), Mutex::new(Vec::new()));
    let length = Duration::from_secs(clustered.seconds.into());
    let took = at_once(clients, |client| {
        let own = put_for(&store, client, length)?;
        put.fetch_add(own.len() as u64, Ordering::Relaxed);
        latencies.lock().extend(own);
        Ok::<(), partstore::Error>(())
    })?;
    store.close()?;
    let mut latencies = latencies.into_inner();
    latencies.sort_unstable();
    let percentile =
        |percent: usize| latencies[latencies.len() * percent / 100].as_secs_f64() * 1e3;
    #[expect(clippy::cast_precision_loss, reason = "figures for people")]
    let put = put.into_inner() as f64;
    Ok(Run {
        rate: put / took.as_secs_f64(),
        p50: percentile(50),
        p99: percentile(99),
    })
}

/// One client, for so long. Gives the latencies of its parts.
fn put_for(store: &PartStore, client: u32, length: Duration) -> Result<Vec<Duration>> {
    let (began, mut latencies) = (Instant::now(), Vec::new());
    let base = body(LEN, client.into());
    loop {
        let upload = store.initiate_upload(format!("{client}/{}", latencies.len()))?;
        for number in 1..=PARTS {
            if began.elapsed() >= length {
                return Ok(latencies);
            }
            let mut part = base.to_vec();
            part[..8].copy_from_slice(&(latencies.len() as u64).to_le_bytes());
            let number = PartNumber::new(u32::try_from(number).unwrap_or(1))?;
            let asked = Instant::now();
            store.put_part(&upload, number, part)?;
            latencies.push(asked.elapsed());
        }
    }
}
