//! Measures partstore: `cargo run --release -p partstore-bench -- --help`. `bench/README.md` says what each subcommand
//! measures, and how to read it.

mod cluster;
mod connections;
mod crowd;
mod figures;
mod ingest;
mod keys;
mod objects;
mod peers;
mod programs;
mod server;

use std::process::ExitCode;

use clap::Parser;
use partstore_bench::Load;

use cluster::Clustered;
use connections::Connections;
use figures::Figures;
use keys::Keys;
use objects::Objects;
use peers::Peers;

/// Measures partstore, each figure beside its floor.
#[derive(Debug, Parser)]
#[command(name = "partstore-bench")]
enum Measure {
    /// How fast parts come in
    Ingest(Load),
    /// What single calls cost, and how much memory they take
    Figures(Figures),
    /// How long listings and the start of the server take with many keys
    Keys(Keys),
    /// How fast parts come in through `partstore-server`
    #[command(
        mut_arg("mib", |mib| mib.default_value("1024")),
        mut_arg("sizes", |sizes| sizes.default_value("8")),
        mut_arg("streams", |streams| streams.default_value("8"))
    )]
    Server(Load),
    /// How long small objects take through `partstore-server`, beside `s3s-fs`
    Objects(Objects),
    /// How much memory `partstore-server` takes while many clients are connected
    Connections(Connections),
    /// How fast a store on PostgreSQL is, beside `pgbench` and the embedded store; needs `PARTSTORE_PG`
    Cluster(Clustered),
    /// How fast parts come into other stores; builds the program of `bench/peers` and runs it
    Peers(Peers),
}

fn main() -> ExitCode {
    match Measure::parse() {
        Measure::Ingest(load) => ingest::run(&load),
        Measure::Server(load) => server::run(&load),
        Measure::Objects(objects) => objects.run(),
        Measure::Connections(connections) => connections.run(),
        Measure::Peers(peers) => return peers.run(),
        Measure::Figures(figures) => return ended(figures.run()),
        Measure::Keys(keys) => return ended(keys.run()),
        Measure::Cluster(cluster) => return ended(cluster.run()),
    }
    ExitCode::SUCCESS
}

fn ended(result: partstore::Result<()>) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{}", error.one_line());
            ExitCode::FAILURE
        }
    }
}
