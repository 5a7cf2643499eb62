//! How fast parts come in, beside the floors of the same run:
//! `cargo run --release --example bench_ingest`.
//!
//! Every way writes the same bodies from the same number of threads to a fresh directory, in shuffled
//! order; the table gives medians. The floors are `disk` (the same files and syncs, no hashing; with
//! `O_DIRECT` or through the page cache, whichever is faster), `huge` (the fastest of these and of
//! `O_DIRECT` from bodies in huge pages, which no server has), `obvious` (what is written by
//! hand: md-5, blake3 and crc32fast in a loop, buffered writes, the same syncs, a row in sled) and
//! `md5` (the best MD5 of one stream, and nothing else).

mod floors;
#[path = "../figures/machine.rs"]
mod machine;
mod measure;
mod settled;
mod streams;
mod ways;

use std::path::PathBuf;

use clap::Parser;

use measure::{Case, Measured, Row};
use ways::{Bodies, Way};

#[derive(Debug, Parser)]
struct Arguments {
    /// Where the stores go; they are removed afterwards.
    #[arg(long)]
    dir: Option<PathBuf>,
    /// Times that each way runs for each row.
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// Bytes of all parts of a run together, MiB.
    #[arg(long, default_value_t = 512)]
    mib: usize,
    /// Sizes of the parts, MiB.
    #[arg(long, value_delimiter = ',', default_value = "1,8")]
    sizes: Vec<usize>,
    /// How many parts come in at the same time.
    #[arg(long, value_delimiter = ',', default_value = "1,2,4,8,16,32")]
    streams: Vec<usize>,
}

fn main() {
    let arguments = Arguments::parse();
    let base = arguments.dir.unwrap_or_else(std::env::temp_dir);
    println!("{}", machine::describe(&base));
    let bodies = Bodies::new(arguments.mib << 20);
    measure::warm_up(&base, &bodies);
    let cases: Vec<Case> = arguments
        .sizes
        .iter()
        .flat_map(|mib| {
            arguments
                .streams
                .iter()
                .map(move |streams| (mib << 20, *streams))
        })
        .map(|(part, streams)| Case { part, streams })
        .collect();
    println!("{}", Row::HEAD);
    for case in cases {
        let mut runs: Vec<(Way, Vec<Measured>)> =
            Way::ALL.iter().map(|way| (*way, Vec::new())).collect();
        for _ in 0..arguments.rounds {
            fastrand::shuffle(&mut runs);
            for (way, measured) in &mut runs {
                measured.push(measure::run(&base, *way, case, &bodies));
            }
        }
        println!("{}", Row::of(case, &runs));
    }
    measure::many_streams(&base);
}
