//! A call, and the puts that come in beside it.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use partstore::Result;
use partstore_bench::median;

/// What a call took, and each put beside it.
#[derive(Default)]
pub struct Beside {
    pub took: Duration,
    puts: Vec<f64>,
}

impl Beside {
    /// Adds another call like it.
    pub fn add(&mut self, other: Self) {
        self.took += other.took;
        self.puts.extend(other.puts);
    }

    /// How many puts, their median and the 99th percentile.
    pub fn puts(&self) -> String {
        let p99 = self.p99();
        let median = median(self.puts.clone());
        let (puts, median, p99) = (self.puts.len(), median * 1e3, p99 * 1e3);
        format!("{puts} of {median:.1}, p99 {p99:.1} ms")
    }

    /// How long 99 of 100 puts take at most, seconds.
    pub fn p99(&self) -> f64 {
        let mut sorted = self.puts.clone();
        sorted.sort_by(f64::total_cmp);
        let at = (sorted.len() * 99 / 100).min(sorted.len().saturating_sub(1));
        sorted.get(at).copied().unwrap_or(0.0)
    }
}

/// Puts, one after the other, until `call` has returned. `put` gets a number that ascends.
pub fn beside(
    put: impl Fn(u64) -> Result<()> + Sync,
    call: impl FnOnce() -> Result<()>,
) -> Result<Beside> {
    let ends = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let putting = scope.spawn(|| {
            let mut puts = Vec::new();
            while !ends.load(Ordering::Relaxed) {
                let number = puts.len() as u64;
                puts.push(took(|| put(number))?.as_secs_f64());
            }
            Ok(puts)
        });
        let time = took(call);
        ends.store(true, Ordering::Relaxed);
        let puts = putting.join().expect("no panic")?;
        Ok(Beside { took: time?, puts })
    })
}

pub fn took(call: impl FnOnce() -> Result<()>) -> Result<Duration> {
    let started = Instant::now();
    call()?;
    Ok(started.elapsed())
}
