//! How fast parts come into partstore and into other stores, with what each has made durable by then:
//! `cargo run --release -p partstore-bench -- peers`.
//!
//! Every store takes the same bodies from the same number of threads into a fresh directory. The order is shuffled in each
//! round, and the table has medians. The floors are those of `partstore-bench ingest`.
//!
//! A store that syncs nothing is measured at writing to the page cache. Its figures are comparable with those of its own
//! class only.

mod stores;

use clap::Parser;
use partstore_bench::{Bench, Case, Column, Load, Measured, Table, machine};

use stores::{Peer, all};

/// How fast parts come into partstore and into other stores.
#[derive(Debug, Parser)]
#[command(
    name = "peers",
    mut_arg("rounds", |rounds| rounds.default_value("3")),
    mut_arg("streams", |streams| streams.default_value("1,4,16"))
)]
struct Arguments {
    #[command(flatten)]
    load: Load,
}

fn main() {
    let load = Arguments::parse().load;
    machine::state(&load.place.dir());
    let peers = all();
    let ways = all().map(|peer| peer.way.in_huge_pages());
    let bench = Bench::new(&load);
    bench.warm_up(&ways);
    let columns: Vec<_> = load
        .cases()
        .into_iter()
        .map(|case| (case, bench.medians(&ways, case)))
        .collect();
    print(&peers, &columns);
}

/// One row for each peer, one column for each case.
fn print<const N: usize>(peers: &[Peer; N], cases: &[(Case, [Measured; N])]) {
    println!(
        "GB/s, in parentheses as part of the faster `disk`. Durable before the answer: A data, names and metadata; B data; \
         C metadata; D nothing.\n"
    );
    let mut columns = vec![
        Column::text("store", 58),
        Column::text("class", 0),
        Column::text("durable before the answer", 30),
        Column::text("hashes", 26),
    ];
    columns.extend(
        cases
            .iter()
            .map(|(case, _)| Column::figures(case.to_string())),
    );
    let table = Table::begin(columns);
    for (row, peer) in peers.iter().enumerate() {
        let mut cells = vec![
            peer.name.to_owned(),
            format!("{:?}", peer.class),
            peer.durable.to_owned(),
            peer.hashes.to_owned(),
        ];
        cells.extend(cases.iter().map(|(_, measured)| {
            let rate = measured[row].rate;
            format!("{rate:.2} ({:.2})", rate / disk(peers, measured))
        }));
        table.row(cells);
    }
}

/// The faster of the floors that are only files and syncs.
fn disk(peers: &[Peer], measured: &[Measured]) -> f64 {
    let floors = peers.iter().zip(measured);
    let floors = floors.filter(|(peer, _)| peer.is_disk);
    floors.map(|(_, disk)| disk.rate).fold(0.0, f64::max)
}
