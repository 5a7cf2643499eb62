//! The crash suite: see `docs/reliability.md`.

mod explore;
mod image;
mod log;
mod loss;
mod shim;
mod store;
mod subject;

use std::io::Write;

use clap::{Parser, Subcommand};

use explore::{Budget, Explorer};
use shim::Plan;
use store::{Store, Workload};

#[derive(Parser)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Explores one workload with one seed after the other.
    Work {
        #[arg(long, default_value = "0")]
        from: u64,
        #[arg(long, default_value = "1")]
        seeds: u64,
        #[arg(long, default_value = "100")]
        states: u64,
        #[arg(long, default_value = "1")]
        threads: usize,
        #[arg(long)]
        sequence: bool,
        #[arg(long)]
        without: Option<String>,
    },
}

fn main() {
    let Command::Work { from, seeds, states, threads, sequence, without } = Arguments::parse().command;
    let workload = if sequence { Workload::Sequence } else { Workload::Random { threads, calls: 60 / threads } };
    let subject = Store { workload };
    let mut total = 0;
    let begun = std::time::Instant::now();
    for seed in from..from + seeds {
        let mut explorer = Explorer {
            subject: &subject,
            budget: Budget::Sample(states),
            second_every: 5,
            first_only: false,
            alive: &mut || {},
            keep: Some("target/crash/x".into()),
        };
        let plan = Plan { slow_syncs: threads > 1, without: without.clone(), ..Plan::default() };
        let found = explorer.explore(seed, plan).unwrap();
        total += found.states;
        println!("{seed}: {} states, {} in recovery, {} failures; {:.1}/s", found.states, found.in_recovery, found.failures.len(), total as f64 / begun.elapsed().as_secs_f64());
        for failure in &found.failures {
            println!("  {:?} {:?}: {}", failure.crash, failure.second, failure.reason);
        }
        if seed == from { println!("{:#?}", found.syncs); }
        std::io::stdout().flush().unwrap();
    }
}
