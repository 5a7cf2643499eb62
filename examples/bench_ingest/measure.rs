//! Runs a way and says how long it took.

use std::fmt;
use std::path::Path;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use partstore::{PartNumber, PartOptions, PartStore};
use rustix::time::{ClockId, clock_gettime};

use crate::machine;
use crate::streams;
use crate::ways::{Bodies, Taker, Way};

#[derive(Clone, Copy, Debug)]
pub struct Case {
    /// Bytes of a part.
    pub part: usize,
    pub streams: usize,
}

/// What came of a run.
#[derive(Clone, Copy, Debug)]
pub struct Measured {
    /// Bytes a second, 10^9.
    rate: f64,
    /// Nanoseconds of all processors for a byte.
    cpu: f64,
    /// Latency of a part: median and 99th percentile, milliseconds.
    p50: f64,
    p99: f64,
    /// Resident memory at its peak, less that of the bodies, MiB.
    memory: u64,
}

/// Takes all parts, from so many threads.
pub fn run(base: &Path, way: Way, case: Case, bodies: &Bodies) -> Measured {
    let dir = tempfile::tempdir_in(base).expect("a directory");
    let parts = bodies.parts(way, case.part);
    let taker = Taker::new(dir.path(), way, &parts);
    rustix::fs::sync();
    machine::reset_peak();
    let (before, _) = machine::resident_mib();
    let latencies = Mutex::new(Vec::new());
    let cpu = cpu_time();
    let elapsed = streams::take_all(&parts, case.streams, |number, part| {
        let began = Instant::now();
        taker.take(number, part);
        latencies.lock().push(began.elapsed());
    });
    let cpu = cpu_time().saturating_sub(cpu);
    let mut latencies = latencies.into_inner();
    latencies.sort_unstable();
    let percentile = |percent: usize| {
        let at = (latencies.len() * percent / 100).min(latencies.len() - 1);
        latencies[at].as_secs_f64() * 1e3
    };
    let (_, peak) = machine::resident_mib();
    #[expect(clippy::cast_precision_loss, reason = "a figure for people")]
    let bytes = (parts.len() * case.part) as f64;
    Measured {
        rate: bytes / elapsed.as_secs_f64() / 1e9,
        cpu: cpu.as_secs_f64() * 1e9 / bytes,
        p50: percentile(50),
        p99: percentile(99),
        memory: peak.saturating_sub(before),
    }
}

fn cpu_time() -> Duration {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    Duration::try_from(time).expect("a time since the start")
}

/// A first run of everything that touches memory and disk: pages that were never used cost more than
/// those that were.
pub fn warm_up(base: &Path, bodies: &Bodies) {
    let case = Case {
        part: 8 << 20,
        streams: 8,
    };
    for way in Way::ALL {
        run(base, way, case, bodies);
    }
}

/// The medians of one row.
pub struct Row {
    case: Case,
    ways: Vec<(Way, Measured)>,
}

impl Row {
    pub const HEAD: &str = "\
part  streams |  put GB/s  x disk  x huge  x obvious  x md5 | cpu ns/B  hash ns/B | p50 ms  p99 ms  MiB | stream GB/s  x disk  x huge | stored GB/s | disk GB/s: direct  buffered  huge | obvious GB/s  ns/B | md5 GB/s";

    pub fn of(case: Case, runs: &[(Way, Vec<Measured>)]) -> Self {
        let ways = runs.iter().map(|(way, runs)| (*way, median(runs)));
        Self {
            case,
            ways: ways.collect(),
        }
    }

    fn way(&self, way: Way) -> Measured {
        let found = self.ways.iter().find(|(known, _)| *known == way);
        found.expect("each way was run").1
    }
}

fn median(runs: &[Measured]) -> Measured {
    let middle = |of: fn(&Measured) -> f64| {
        let mut all: Vec<f64> = runs.iter().map(of).collect();
        all.sort_by(f64::total_cmp);
        all[all.len() / 2]
    };
    Measured {
        rate: middle(|run| run.rate),
        cpu: middle(|run| run.cpu),
        p50: middle(|run| run.p50),
        p99: middle(|run| run.p99),
        memory: runs.iter().map(|run| run.memory).max().unwrap_or(0),
    }
}

impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Case { part, streams } = self.case;
        let put = self.way(Way::Put);
        let (stream, stored) = (self.way(Way::Stream), self.way(Way::Stored));
        let (direct, buffered) = (self.way(Way::DiskDirect), self.way(Way::DiskBuffered));
        let huge = self.way(Way::DiskHuge);
        let (obvious, md5) = (self.way(Way::Obvious), self.way(Way::Md5));
        let disk = direct.rate.max(buffered.rate);
        let best = disk.max(huge.rate);
        write!(
            f,
            "{:>2} MiB  {streams:>6} | {:>9.2} {:>7.2} {:>7.2} {:>10.2} {:>6.2} | {:>8.2} {:>10.2} | {:>6.1} {:>7.1} {:>4} | {:>11.2} {:>7.2} {:>7.2} | {:>11.2} | {:>17.2} {:>9.2} {:>5.2} | {:>12.2} {:>5.2} | {:>8.2}",
            part >> 20,
            put.rate,
            put.rate / disk,
            put.rate / best,
            put.rate / obvious.rate,
            put.rate / md5.rate,
            put.cpu,
            put.cpu - direct.cpu,
            put.p50,
            put.p99,
            put.memory,
            stream.rate,
            stream.rate / disk,
            stream.rate / best,
            stored.rate,
            direct.rate,
            buffered.rate,
            huge.rate,
            obvious.rate,
            obvious.cpu,
            md5.rate,
        )
    }
}

/// Resident memory while 64 parts of 8 MiB come in at once, as streams.
pub fn many_streams(base: &Path) {
    const STREAMS: u32 = 64;
    const RECEIVED: usize = 64 * 1024;
    let dir = tempfile::tempdir_in(base).expect("a directory");
    let store = PartStore::open(dir.path().join("data")).expect("a store");
    let upload = store.initiate_upload("bench").expect("an upload");
    machine::reset_peak();
    let (before, _) = machine::resident_mib();
    std::thread::scope(|scope| {
        for stream in 1..=STREAMS {
            let (store, upload) = (&store, &upload);
            scope.spawn(move || {
                let mut received = vec![0; RECEIVED];
                received[..4].copy_from_slice(&stream.to_be_bytes());
                for round in 0..4 {
                    let number = PartNumber::new(stream + round * STREAMS).expect("a number");
                    let mut writer = store
                        .part_writer(upload, number, PartOptions::new())
                        .expect("a writer");
                    for _ in 0..128 {
                        writer.append(&received).expect("bytes");
                    }
                    writer.finish().expect("a part");
                }
            });
        }
    });
    let (_, peak) = machine::resident_mib();
    println!(
        "{STREAMS} streams of parts of 8 MiB: {} MiB resident at the peak, beside what was there before",
        peak.saturating_sub(before)
    );
}
