//! How fast parts come in through `partstore-server`, beside the store called directly, in the
//! same run: `cargo run --release --example bench_gateway`.
//!
//! Clients and gateway share the machine: what is measured is loopback, both of its ends, and the store. The floor
//! `sink` is the same clients and a server that reads bodies and does nothing with them.

#[expect(dead_code, reason = "the memory of this process is of no interest")]
#[path = "../figures/machine.rs"]
mod machine;
mod process;
#[path = "../bench_ingest/settled.rs"]
mod settled;
#[path = "../bench_ingest/streams.rs"]
mod streams;
mod ways;

use std::path::PathBuf;

use bytes::Bytes;
use clap::Parser;

use ways::Way;

/// Clients at a time.
const CLIENTS: usize = 8;
const MIB: usize = 1 << 20;

#[derive(Debug, Parser)]
struct Arguments {
    /// Where the stores go; they are removed afterwards.
    #[arg(long)]
    dir: Option<PathBuf>,
    /// Times that each way runs.
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// Size of a part, MiB.
    #[arg(long, default_value_t = 8)]
    part: usize,
    /// Bytes of all parts of a run together, MiB.
    #[arg(long, default_value_t = 1024)]
    mib: usize,
}

fn main() {
    let arguments = Arguments::parse();
    let base = arguments.dir.unwrap_or_else(std::env::temp_dir);
    let binary = process::binary();
    println!("{}", machine::describe(&base));
    println!(
        "{CLIENTS} clients, parts of {} MiB, {} MiB in a run",
        arguments.part, arguments.mib
    );
    let bodies = streams::in_huge_pages(arguments.mib * MIB);
    let parts = streams::split(&bodies, arguments.part * MIB);
    let mut runs: Vec<(Way, Vec<f64>)> = Way::ALL.iter().map(|way| (*way, Vec::new())).collect();
    for _ in 0..arguments.rounds {
        fastrand::shuffle(&mut runs);
        for (way, rates) in &mut runs {
            rates.push(run(&base, &binary, *way, &parts));
        }
    }
    let median = |way: Way| {
        let mut rates = runs
            .iter()
            .find(|(of, _)| *of == way)
            .expect("a way")
            .1
            .clone();
        rates.sort_unstable_by(f64::total_cmp);
        rates[rates.len() / 2]
    };
    let engine = median(Way::Stream);
    println!("| way | GB/s | × store, as streams |");
    println!("|---|--:|--:|");
    for way in Way::ALL {
        let rate = median(way);
        println!("| {} | {rate:.2} | {:.2} |", way.name(), rate / engine);
    }
    // Where both are bound by the processors, there is no more to be had.
    let both = 1.0 / (1.0 / engine + 1.0 / median(Way::Sink));
    println!(
        "| floor: `sink`, then the store | {both:.2} | {:.2} |",
        both / engine
    );
}

/// Bytes a second, 10^9.
fn run(base: &std::path::Path, binary: &std::path::Path, way: Way, parts: &[Bytes]) -> f64 {
    let dir = tempfile::tempdir_in(base).expect("a directory");
    let taker = way.begin(dir.path(), binary);
    rustix::fs::sync();
    let elapsed = streams::take_all(parts, CLIENTS, |number, part| taker.take(number, part));
    drop(taker);
    let bytes: usize = parts.iter().map(Bytes::len).sum();
    #[expect(clippy::cast_precision_loss, reason = "a figure for people")]
    let bytes = bytes as f64;
    bytes / elapsed.as_secs_f64() / 1e9
}
