//! What parts take in the database, and in its log.

use partstore::{PartNumber, Result};
use partstore_bench::at_once;
use partstore_bench::bodies::body;

use super::postgres::Postgres;
use super::{Clustered, Report, Schema, open};

const PUTTERS: u32 = 16;
const TABLES: [&str; 7] = [
    "parts", "blobs", "tokens", "garbage", "doomed", "usage", "tally",
];

pub fn measure(clustered: &Clustered, postgres: &Postgres, report: &Report) -> Result<()> {
    let schema = Schema::fresh(postgres);
    let store = open(&schema.in_memory())?;
    let began = log_position(postgres);
    at_once(PUTTERS, |thread| {
        let upload = store.initiate_upload(format!("{thread}"))?;
        for (number, seed) in (1..).zip((thread..clustered.rows).step_by(PUTTERS as usize)) {
            store.put_part(&upload, PartNumber::new(number)?, body(64, seed.into()))?;
        }
        Ok::<(), partstore::Error>(())
    })?;
    let logged = log_position(postgres) - began;
    let each = |bytes: f64| format!("{:.0} bytes a part", bytes / f64::from(clustered.rows));
    report.say(
        &format!("log (WAL), {} parts", clustered.rows),
        each(logged),
    );
    for table in TABLES {
        let size = |function: &str| {
            postgres.number(&format!("SELECT {function}('{}.{table}')", schema.name))
        };
        let (all, heap) = (size("pg_total_relation_size"), size("pg_relation_size"));
        report.say(
            &format!("`{table}` with its indexes"),
            format!("{}, {} without", each(all), each(heap)),
        );
    }
    store.close()
}

/// Bytes that were ever logged.
fn log_position(postgres: &Postgres) -> f64 {
    postgres.number("SELECT pg_wal_lsn_diff(pg_current_wal_insert_lsn(), '0/0')")
}
