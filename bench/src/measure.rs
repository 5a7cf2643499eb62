//! Runs ways to take parts in, and says how long they took.

use std::array;
use std::convert::Infallible;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use parking_lot::Mutex;

use crate::bodies::{Bodies, Pages};
use crate::load::Load;
use crate::machine;
use crate::streams::at_once;

/// Ready to take parts, from any thread.
pub trait Taker: Sync {
    /// Returns when the part is taken, in the sense of this way.
    fn take(&self, number: u32, part: &Bytes);
}

type Open = dyn Fn(&Path, &[Bytes]) -> Box<dyn Taker>;

/// A way to take parts in.
pub struct Way {
    pages: Pages,
    open: Box<Open>,
}

impl Way {
    /// `open` makes everything ready that is not measured. It gets a fresh directory, and the parts that will come.
    pub fn new<T: Taker + 'static>(open: impl Fn(&Path, &[Bytes]) -> T + 'static) -> Self {
        let open =
            move |dir: &Path, parts: &[Bytes]| -> Box<dyn Taker> { Box::new(open(dir, parts)) };
        Self {
            pages: Pages::Ordinary,
            open: Box::new(open),
        }
    }

    /// The same way, with bodies that lie in huge pages.
    #[must_use]
    pub fn in_huge_pages(self) -> Self {
        Self {
            pages: Pages::Huge,
            ..self
        }
    }
}

/// How parts come in.
#[derive(Clone, Copy, Debug)]
pub struct Case {
    /// Bytes of a part.
    pub part: usize,
    /// How many parts come in at the same time.
    pub streams: u32,
}

impl fmt::Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (number, unit) = match self.part >> 20 {
            0 => (self.part >> 10, "KiB"),
            mib => (mib, "MiB"),
        };
        write!(f, "{number} {unit} × {}", self.streams)
    }
}

/// What was measured of one run, or the medians of several.
#[derive(Clone, Copy, Debug)]
pub struct Measured {
    /// Bytes a second, 10^9.
    pub rate: f64,
    /// Nanoseconds of all processors for a byte.
    pub cpu: f64,
    /// Median latency of a part, milliseconds.
    pub p50: f64,
    /// 99th percentile of the latency, milliseconds.
    pub p99: f64,
    /// Resident memory at its peak, less that of the bodies, MiB. Of several runs the highest.
    pub memory: f64,
}

impl Measured {
    fn median(runs: &[Self]) -> Self {
        let of = |value: fn(&Self) -> f64| median(runs.iter().map(value));
        let memory = runs.iter().map(|run| run.memory);
        Self {
            rate: of(|run| run.rate),
            cpu: of(|run| run.cpu),
            p50: of(|run| run.p50),
            p99: of(|run| run.p99),
            memory: memory.fold(0.0, f64::max),
        }
    }
}

/// The middle one; of an even number the higher one of both; 0 of none.
pub fn median(values: impl IntoIterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.into_iter().collect();
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or_default()
}

/// Measures ways side by side, on the same bodies.
#[derive(Debug)]
pub struct Bench {
    dir: PathBuf,
    bodies: Bodies,
    rounds: u32,
}

impl Bench {
    /// As much, as often and in the place that `load` says.
    #[must_use]
    pub fn new(load: &Load) -> Self {
        Self {
            dir: load.place.dir(),
            bodies: Bodies::new(load.bytes()),
            rounds: load.rounds,
        }
    }

    /// A first run of everything that touches memory and disk. Pages that were never used cost more than others.
    pub fn warm_up(&self, ways: &[Way]) {
        let case = Case {
            part: 1 << 20,
            streams: 8,
        };
        for way in ways {
            self.run(way, case);
        }
    }

    /// Runs each way in each round, in shuffled order, and gives the medians.
    pub fn medians<const N: usize>(&self, ways: &[Way; N], case: Case) -> [Measured; N] {
        let mut order: [usize; N] = array::from_fn(|at| at);
        let mut runs = array::from_fn(|_| Vec::new());
        for round in 1..=self.rounds {
            eprint!("\r{case}, round {round} of {} ", self.rounds);
            fastrand::shuffle(&mut order);
            for at in order {
                runs[at].push(self.run(&ways[at], case));
            }
        }
        eprint!("\r{:40}\r", "");
        runs.map(|runs| Measured::median(&runs))
    }

    /// Has the way take all parts, in a fresh directory.
    fn run(&self, way: &Way, case: Case) -> Measured {
        let dir = tempfile::tempdir_in(&self.dir).expect("a directory");
        let parts = self.bodies.parts(way.pages, case.part);
        assert!(!parts.is_empty(), "a run has fewer bytes than one part");
        let taker = (way.open)(dir.path(), &parts);
        // The kernel writes what earlier runs have left to it now, and not during this one.
        rustix::fs::sync();
        let measured = measure(&*taker, &parts, case);
        drop(taker);
        dir.close().expect("nobody else writes there");
        measured
    }
}

#[expect(clippy::cast_precision_loss, reason = "figures for people")]
fn measure(taker: &dyn Taker, parts: &[Bytes], case: Case) -> Measured {
    machine::reset_peak();
    let (before, _) = machine::resident_mib();
    let latencies = Mutex::new(Vec::with_capacity(parts.len()));
    let cpu = machine::processor_time();
    let elapsed = take_all(parts, case.streams, |number, part| {
        let began = Instant::now();
        taker.take(number, part);
        latencies.lock().push(began.elapsed());
    });
    let cpu = machine::processor_time().saturating_sub(cpu);
    let (_, peak) = machine::resident_mib();
    let mut latencies = latencies.into_inner();
    latencies.sort_unstable();
    let percentile = |percent: usize| {
        let at = (latencies.len() * percent / 100).min(latencies.len() - 1);
        latencies[at].as_secs_f64() * 1e3
    };
    let bytes = (parts.len() * case.part) as f64;
    Measured {
        rate: bytes / elapsed.as_secs_f64() / 1e9,
        cpu: cpu.as_secs_f64() * 1e9 / bytes,
        p50: percentile(50),
        p99: percentile(99),
        memory: peak.saturating_sub(before) as f64,
    }
}

/// Has `take` take each part once, with its number, from so many threads.
fn take_all(parts: &[Bytes], streams: u32, take: impl Fn(u32, &Bytes) + Sync) -> Duration {
    let next = AtomicUsize::new(0);
    let taken = at_once(streams, |_| {
        loop {
            let at = next.fetch_add(1, Ordering::Relaxed);
            let Some(part) = parts.get(at) else {
                return Ok::<(), Infallible>(());
            };
            take(u32::try_from(at + 1).expect("a number"), part);
        }
    });
    let Ok(elapsed) = taken;
    elapsed
}
