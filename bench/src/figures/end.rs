//! What it takes to end an upload or an object of 10,000 parts, and what its neighbours notice of that.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use partstore::{Background, PartNumber, PartStore, Result, Upload};
use partstore_bench::median;

use super::Report;
use super::many::{all_parts, fill, options};

/// Uploads and objects that are ended, in turn.
const ROUNDS: u32 = 4;
/// How long the neighbour puts alone.
const ALONE: Duration = Duration::from_secs(2);

/// `abort_upload` and `remove_object` beside `initiate_upload`, which is one sync. In the meantime, and while
/// a sweep releases the parts, another upload on the same stripe gets parts.
pub fn end(base: &Path, report: &Report) -> Result<()> {
    let dir = tempfile::tempdir_in(base).expect("a directory");
    let options = options().background(Background::Host);
    let store = options.open(dir.path().join("data"))?;
    for round in 0..ROUNDS {
        let upload = store.initiate_upload("bench/end")?;
        fill(&store, &upload, round)?;
        let call = if round.is_multiple_of(2) {
            "abort_upload"
        } else {
            let list = all_parts(&store, &upload)?;
            store.complete_upload(&upload, &list)?;
            "remove_object"
        };
        let neighbour = neighbour(&store, &upload)?;
        let floor = took(|| store.initiate_upload("bench/floor").map(drop))?;
        let alone = beside(&store, &neighbour, || {
            std::thread::sleep(ALONE);
            Ok(())
        })?;
        let say = |what: &str, beside: &Beside| {
            report.say(
                &format!("{what}, 10,000 parts"),
                format!("{:.1} ms", beside.took.as_secs_f64() * 1e3),
                format!("a put: {}; alone {}", beside.puts(), alone.puts()),
            );
        };
        let ended = beside(&store, &neighbour, || {
            if call == "abort_upload" {
                store.abort_upload(&upload)
            } else {
                store.remove_object(&upload)
            }
        })?;
        say(call, &ended);
        say(
            "the sweep after it",
            &beside(&store, &neighbour, || store.sweep().map(drop))?,
        );
        report.say(
            "`initiate_upload` alone",
            format!("{:.1} ms", floor.as_secs_f64() * 1e3),
            String::new(),
        );
    }
    store.close()
}

/// An upload that shares its lock with this one.
fn neighbour(store: &PartStore, upload: &Upload) -> Result<Upload> {
    let stripe = |of: &Upload| of.id().to_bytes().last().copied();
    loop {
        let other = store.initiate_upload("bench/neighbour")?;
        if stripe(&other) == stripe(upload) {
            return Ok(other);
        }
    }
}

/// What a call took, and each put beside it.
struct Beside {
    took: Duration,
    puts: Vec<f64>,
}

impl Beside {
    fn puts(&self) -> String {
        let mut sorted = self.puts.clone();
        sorted.sort_by(f64::total_cmp);
        let at = (sorted.len() * 99 / 100).min(sorted.len().saturating_sub(1));
        let p99 = sorted.get(at).copied().unwrap_or(0.0);
        format!("{:.1}, p99 {:.1} ms", median(sorted) * 1e3, p99 * 1e3)
    }
}

/// Puts the same part again and again until `call` has returned.
fn beside(store: &PartStore, to: &Upload, call: impl FnOnce() -> Result<()>) -> Result<Beside> {
    let (number, ends) = (PartNumber::new(1)?, AtomicBool::new(false));
    let body = || b"the same bytes".to_vec();
    store.put_part(to, number, body())?;
    std::thread::scope(|scope| {
        let putting = scope.spawn(|| {
            let mut puts = Vec::new();
            while !ends.load(Ordering::Relaxed) {
                let time = took(|| store.put_part(to, number, body()).map(drop))?;
                puts.push(time.as_secs_f64());
            }
            Ok(puts)
        });
        let time = took(call);
        ends.store(true, Ordering::Relaxed);
        let puts = putting.join().expect("no panic")?;
        Ok(Beside { took: time?, puts })
    })
}

fn took(call: impl FnOnce() -> Result<()>) -> Result<Duration> {
    let started = Instant::now();
    call()?;
    Ok(started.elapsed())
}
