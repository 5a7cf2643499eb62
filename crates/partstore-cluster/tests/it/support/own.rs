//! PostgreSQL servers of a test's own, which may crash, and be restored from backups.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A server in the directory that `PARTSTORE_PG_DIR` names. It is stopped and removed at the end.
pub struct Own {
    dir: PathBuf,
    port: u16,
}

impl Own {
    /// Not made yet. Ends the test, as one that passed, if there is no directory for it.
    pub fn new(name: &str) -> Self {
        let Ok(dir) = std::env::var("PARTSTORE_PG_DIR") else {
            partstore_contract::skip(
                "PARTSTORE_PG_DIR does not name a directory for PostgreSQL servers of the tests' own",
            )
        };
        let free = TcpListener::bind("127.0.0.1:0").unwrap();
        Self {
            dir: Path::new(&dir).join(format!("{name}-{}", std::process::id())),
            port: free.local_addr().unwrap().port(),
        }
    }

    /// Runs a script of `testing/postgres`, and returns what it prints.
    pub fn run(&self, script: &str, arguments: &[&str]) -> String {
        let scripts = concat!(env!("CARGO_MANIFEST_DIR"), "/../../testing/postgres/");
        let mut command = Command::new(format!("{scripts}{script}"));
        let done = command.arg(&self.dir).args(arguments).output().unwrap();
        let said = String::from_utf8_lossy(&done.stderr);
        assert!(done.status.success(), "{script}: {said}");
        String::from_utf8(done.stdout).unwrap().trim().to_owned()
    }

    fn port(&self) -> String {
        self.port.to_string()
    }

    /// Starts it, and returns the address of its database.
    pub fn start(&self) -> String {
        self.run("start", &[&self.port()])
    }

    /// As [`start`](Self::start), with an archive of its log.
    pub fn start_archived(&self) -> String {
        self.run("archived", &[&self.port()])
    }

    /// Copies the files of an archived server, while it works.
    pub fn base_backup(&self) {
        self.run("base-backup", &[&self.port()]);
    }

    /// Makes another server of the base backup and the archive, as this one was at a restore point, and returns the
    /// address of its database.
    pub fn restore(&self, point: &str) -> (Self, String) {
        let restored = Self::new(point);
        let to = restored.dir.to_str().unwrap();
        let address = self.run("restored", &[point, to, &restored.port()]);
        (restored, address)
    }
}

impl Drop for Own {
    fn drop(&mut self) {
        if self.dir.exists() {
            self.run("stop", &["immediate"]);
            let _ = std::fs::remove_dir_all(&self.dir);
        }
    }
}
