//! How fast parts come into partstore and into other stores, with what each has made durable by then:
//! `cargo run --release --manifest-path benches/peers/Cargo.toml`.
//!
//! Every store takes the same bodies from the same number of threads into a fresh directory. The order is
//! shuffled in each round, and the table has medians. The floors are those of `bench_ingest`: `disk` has
//! the files and syncs of partstore and no hashing, `obvious` is what is written by hand.
//!
//! A store that syncs nothing is measured at writing to the page cache. Its figures are comparable with
//! those of its own class only.

#[path = "../../../examples/bench_ingest/floors.rs"]
mod floors;
#[expect(dead_code, reason = "the memory of this process is not measured")]
#[path = "../../../examples/figures/machine.rs"]
mod machine;
mod measure;
mod peers;
#[path = "../../../examples/bench_ingest/settled.rs"]
mod settled;
#[path = "../../../examples/bench_ingest/streams.rs"]
mod streams;
mod table;

use std::path::PathBuf;

use clap::Parser;

use measure::Case;
use peers::PEERS;
use table::Table;

#[derive(Debug, Parser)]
struct Arguments {
    /// Where the stores go; they are removed afterwards.
    #[arg(long)]
    dir: Option<PathBuf>,
    /// Times that each store is measured in each case.
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    /// Bytes of all parts of a run together, MiB.
    #[arg(long, default_value_t = 512)]
    mib: usize,
    /// Sizes of the parts, MiB.
    #[arg(long, value_delimiter = ',', default_value = "1,8")]
    sizes: Vec<usize>,
    /// How many parts come in at the same time.
    #[arg(long, value_delimiter = ',', default_value = "1,4,16")]
    streams: Vec<usize>,
}

impl Arguments {
    /// What gives the same table again; where the stores were is the machine's line to say.
    fn command(&self) -> String {
        let list = |numbers: &[usize]| {
            let numbers: Vec<_> = numbers.iter().map(usize::to_string).collect();
            numbers.join(",")
        };
        format!(
            "cargo run --release --manifest-path benches/peers/Cargo.toml -- \
             --rounds {} --mib {} --sizes {} --streams {}",
            self.rounds,
            self.mib,
            list(&self.sizes),
            list(&self.streams)
        )
    }

    fn cases(&self) -> Vec<Case> {
        let sizes = self.sizes.iter();
        let cases = sizes.flat_map(|mib| {
            self.streams.iter().map(move |streams| Case {
                part: mib << 20,
                streams: *streams,
            })
        });
        cases.collect()
    }
}

fn main() {
    let arguments = Arguments::parse();
    let base = arguments.dir.clone().unwrap_or_else(std::env::temp_dir);
    let bodies = streams::in_huge_pages(arguments.mib << 20);
    measure::warm_up(&base, &bodies);
    let mut table = Table::new(arguments.cases());
    for (column, case) in arguments.cases().into_iter().enumerate() {
        for round in 1..=arguments.rounds {
            eprintln!("{case}, round {round} of {}", arguments.rounds);
            let mut order: Vec<usize> = (0..PEERS.len()).collect();
            fastrand::shuffle(&mut order);
            for row in order {
                let rate = measure::run(&base, &PEERS[row], case, &bodies);
                table.add(row, column, rate);
            }
        }
    }
    println!("{}; `{}`", machine::describe(&base), arguments.command());
    println!();
    print!("{table}");
}
