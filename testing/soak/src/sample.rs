//! [`Sample`]: what is measured every few seconds, as a line of the CSV file.

use std::fs::{self, File};
use std::io::Write;
use std::path::Path;
use std::sync::atomic::Ordering;

use crate::Failure;
use crate::disk::{Disk, files};
use crate::server::Server;
use crate::shared::Shared;

const HEAD: &str = "seconds,server,rss_mib,descriptors,threads,journal_mib,metadata_mib,blobs_mib,disk_mib,mb_s,requests_s,\
                    write_p50_ms,write_p99_ms,read_p50_ms,read_p99_ms,refused,events";
const MIB: f64 = 1_048_576.0;

/// Figures of the server and its directory.
#[derive(Clone, Copy, Debug, Default)]
pub struct Level {
    pub rss_mib: f64,
    pub descriptors: f64,
    pub threads: f64,
    pub journal_mib: f64,
    pub metadata_mib: f64,
    pub blobs_mib: f64,
    pub disk_mib: f64,
}

impl Level {
    /// `None` if no server runs.
    pub fn now(server: &Server, disk: &Disk) -> Option<Self> {
        let pid = server.pid()?;
        let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
        let figure = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name))?;
            line.split_whitespace().next()?.parse::<f64>().ok()
        };
        let mib = |dir: &str| files(&server.data().join(dir)).1 as f64 / MIB;
        Some(Self {
            rss_mib: figure("VmRSS:")? / 1024.0,
            descriptors: fs::read_dir(format!("/proc/{pid}/fd")).ok()?.count() as f64,
            threads: figure("Threads:")?,
            journal_mib: mib("meta/journal"),
            metadata_mib: mib("meta"),
            blobs_mib: mib("blobs"),
            disk_mib: disk.used().ok()? as f64 / MIB,
        })
    }
}

#[derive(Clone, Debug)]
pub struct Sample {
    pub seconds: f64,
    /// The how many-th server it is.
    pub server: u64,
    pub level: Level,
    pub mb_s: f64,
    /// p50 and p99, ms. `None` if there was no request.
    pub writes_ms: Option<(f64, f64)>,
    pub reads_ms: Option<(f64, f64)>,
    pub events: Vec<&'static str>,
}

/// Takes samples into a file.
pub struct Sampler {
    file: File,
    last: f64,
    pub samples: Vec<Sample>,
}

impl Sampler {
    pub fn new(path: &Path) -> Result<Self, Failure> {
        let mut file = File::create(path)?;
        writeln!(file, "{HEAD}")?;
        Ok(Self {
            file,
            last: 0.0,
            samples: Vec::new(),
        })
    }

    pub fn sample(&mut self, shared: &Shared, server: &Server, disk: &Disk) -> Result<(), Failure> {
        let is_down = shared.is_down();
        let level = Level::now(server, disk).filter(|_| !is_down);
        let Some(level) = level else {
            // What was measured belongs to the next sample.
            return Ok(());
        };
        let (now, measured) = (
            shared.seconds(),
            std::mem::take(&mut *shared.measured.lock()),
        );
        let took = (now - self.last).max(0.001);
        self.last = now;
        let requests = measured.writes_ms.len() + measured.reads_ms.len();
        let sample = Sample {
            seconds: now,
            server: shared.generation.load(Ordering::SeqCst),
            level,
            mb_s: measured.bytes as f64 / 1e6 / took,
            writes_ms: percentiles(measured.writes_ms),
            reads_ms: percentiles(measured.reads_ms),
            events: measured.events,
        };
        let ms = |pair: Option<(f64, f64)>| {
            pair.map_or(",".to_owned(), |(p50, p99)| format!("{p50:.2},{p99:.2}"))
        };
        writeln!(
            self.file,
            "{now:.1},{},{:.1},{},{},{:.2},{:.2},{:.2},{:.1},{:.2},{:.1},{},{},{},{}",
            sample.server,
            level.rss_mib,
            level.descriptors,
            level.threads,
            level.journal_mib,
            level.metadata_mib,
            level.blobs_mib,
            level.disk_mib,
            sample.mb_s,
            requests as f64 / took,
            ms(sample.writes_ms),
            ms(sample.reads_ms),
            measured.refused,
            sample.events.join(" "),
        )?;
        self.samples.push(sample);
        Ok(())
    }
}

fn percentiles(mut figures: Vec<f64>) -> Option<(f64, f64)> {
    figures.sort_by(f64::total_cmp);
    let at = |share: usize| figures.get(figures.len() * share / 100).copied();
    Some((at(50)?, at(99)?))
}
