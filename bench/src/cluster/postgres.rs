//! The database of the figures, by its own programs: `psql` and `pgbench`.

use std::path::{Path, PathBuf};
use std::process::Command;

/// The table and the statement of the floor: one durable insert.
const TABLE: &str =
    "CREATE TABLE IF NOT EXISTS bench_insert (id bytea PRIMARY KEY, number bigint NOT NULL)";
const INSERT: &str = "INSERT INTO bench_insert VALUES (uuid_send(gen_random_uuid()), 1);\n";

/// A database that is there already.
#[derive(Clone, Debug)]
pub struct Postgres {
    pub address: String,
}

/// How `pgbench` sends its statement.
#[derive(Clone, Copy, Debug)]
pub enum Sent {
    /// As text: it is parsed and planned each time. This is what `pgbench` does by default.
    Simple,
    /// Planned once for each connection.
    Prepared,
}

impl Postgres {
    /// The database that `PARTSTORE_PG` names.
    pub fn named() -> Option<Self> {
        let address = std::env::var("PARTSTORE_PG").ok()?;
        Some(Self { address })
    }

    /// The answer to a script, as text.
    pub fn ask(&self, script: &str) -> String {
        let mut psql = Command::new(program("psql"));
        psql.args([
            &self.address,
            "-XqAt",
            "-v",
            "ON_ERROR_STOP=1",
            "-c",
            script,
        ]);
        run(psql).trim().to_owned()
    }

    /// The answer to a query that gives one number.
    pub fn number(&self, query: &str) -> f64 {
        self.ask(query).parse().expect("a number")
    }

    /// Durable inserts a second, by `pgbench`.
    pub fn inserts(&self, dir: &Path, clients: u32, seconds: u32, sent: Sent) -> f64 {
        self.ask(TABLE);
        let script = dir.join("insert.sql");
        std::fs::write(&script, INSERT).expect("a script");
        let mut pgbench = Command::new(program("pgbench"));
        let mode = match sent {
            Sent::Simple => "simple",
            Sent::Prepared => "prepared",
        };
        pgbench.args(["--no-vacuum", "--protocol", mode, "--jobs", "2"]);
        pgbench.args([
            "--client",
            &clients.to_string(),
            "--time",
            &seconds.to_string(),
        ]);
        pgbench.arg("--file").arg(&script).arg(&self.address);
        let said = run(pgbench);
        self.ask("DROP TABLE bench_insert");
        let rate = said.lines().find_map(|line| line.strip_prefix("tps = "));
        let rate = rate.and_then(|rest| rest.split(' ').next()?.parse().ok());
        rate.expect("the rate that pgbench prints")
    }
}

fn run(mut command: Command) -> String {
    let ended = command.output().expect("the programs of PostgreSQL");
    let failure = String::from_utf8_lossy(&ended.stderr);
    assert!(ended.status.success(), "{failure}");
    String::from_utf8_lossy(&ended.stdout).into_owned()
}

/// Debian keeps most programs of PostgreSQL out of the path.
fn program(name: &str) -> PathBuf {
    let versions = std::fs::read_dir("/usr/lib/postgresql");
    let versions = versions.into_iter().flatten().flatten();
    let there = versions.map(|version| version.path().join("bin").join(name));
    let newest = there.filter(|path| path.exists()).max();
    newest.unwrap_or_else(|| name.into())
}
