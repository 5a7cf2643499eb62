//! A store on PostgreSQL: its rates beside those of `pgbench` and of the embedded store, in the same run.

mod bytes;
mod commits;
mod postgres;
mod sizes;
mod verbs;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use clap::{Args, ValueEnum};
use partstore::{Background, Options, PartStore, Result};
use partstore_bench::{Column, Load, Table, machine};
use partstore_cluster::Cluster;

use postgres::Postgres;

/// What to measure.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Figure {
    /// Durable parts a second, beside durable inserts of `pgbench`
    Commits,
    /// How long verbs take, and how many transactions they are
    Verbs,
    /// What 100,000 parts take in the database and its log
    Sizes,
    /// Large parts, beside the embedded store: into a directory, and into an S3 server
    Bytes,
    /// All of them
    All,
}

/// The options of `cluster`.
#[derive(Debug, Args)]
#[command(
    mut_arg("sizes", |sizes| sizes.default_value("8")),
    mut_arg("streams", |streams| streams.default_value("8"))
)]
pub struct Clustered {
    #[arg(default_value = "all")]
    figure: Figure,
    #[command(flatten)]
    load: Load,
    /// Seconds of each rate
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..))]
    seconds: u32,
    /// Parts of the sizes in the database
    #[arg(long, default_value_t = 100_000, value_parser = clap::value_parser!(u32).range(1..))]
    rows: u32,
}

impl Clustered {
    pub fn run(&self) -> Result<()> {
        let Some(postgres) = Postgres::named() else {
            println!("skipped: PARTSTORE_PG does not name a PostgreSQL database");
            return Ok(());
        };
        machine::state(&self.load.place.dir());
        let table = Report(Table::begin([
            Column::text("figure", 56),
            Column::text("measured", 34),
            Column::text("beside it", 34),
            Column::figures("ratio"),
        ]));
        if self.holds(Figure::Commits) {
            commits::measure(self, &postgres, &table)?;
        }
        if self.holds(Figure::Verbs) {
            verbs::measure(self, &postgres, &table)?;
        }
        if self.holds(Figure::Sizes) {
            sizes::measure(self, &postgres, &table)?;
        }
        if self.holds(Figure::Bytes) {
            bytes::measure(self, &postgres, &table);
        }
        Ok(())
    }

    fn holds(&self, one: Figure) -> bool {
        self.figure == Figure::All || self.figure == one
    }

    fn directory(&self) -> tempfile::TempDir {
        tempfile::tempdir_in(self.load.place.dir()).expect("a directory")
    }
}

/// The table.
struct Report(Table);

impl Report {
    fn say(&self, figure: &str, measured: String) {
        self.0
            .row([figure.to_owned(), measured, String::new(), String::new()]);
    }

    fn compare(&self, figure: &str, measured: String, beside: String, ratio: f64) {
        self.0
            .row([figure.to_owned(), measured, beside, format!("{ratio:.2}")]);
    }
}

/// A schema of its own, which goes with it.
struct Schema {
    postgres: Postgres,
    name: String,
}

impl Schema {
    fn fresh(postgres: &Postgres) -> Self {
        static COUNTED: AtomicU32 = AtomicU32::new(0);
        let at = COUNTED.fetch_add(1, Ordering::Relaxed);
        Self {
            postgres: postgres.clone(),
            name: format!("bench_{}_{at}", std::process::id()),
        }
    }

    /// The store of this schema, with its bytes in a directory.
    fn in_directory(&self, dir: &Path) -> Cluster {
        let blobs = dir.canonicalize().expect("the directory");
        let blobs = format!("file://{}", blobs.display());
        Cluster::new(&self.postgres.address, &blobs).schema(&self.name)
    }

    /// The store of this schema, with its bytes in memory: what is left is the catalog.
    fn in_memory(&self) -> Cluster {
        let memory = Arc::new(object_store::memory::InMemory::new());
        Cluster::with_storage(&self.postgres.address, memory, "parts").schema(&self.name)
    }
}

impl Drop for Schema {
    fn drop(&mut self) {
        let drop = format!("DROP SCHEMA IF EXISTS {} CASCADE", self.name);
        self.postgres.ask(&drop);
    }
}

/// Nothing runs in the background.
fn open(cluster: &Cluster) -> Result<PartStore> {
    let options = Options::cos().min_part_size(0);
    cluster.open(options.background(Background::Host))
}
