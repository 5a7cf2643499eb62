//! A server of a test's own.

use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, ChildStdout, Command, Stdio};

use tempfile::TempDir;

/// A running server, on a directory that ends with it.
pub struct Server {
    process: Child,
    /// Where it listens for S3.
    pub address: String,
    directory: TempDir,
}

impl Server {
    /// `None` if nothing names the program, and then says so.
    pub fn start() -> Option<Self> {
        let Some(program) = std::env::var_os("PARTSTORE_SERVER") else {
            eprintln!("skipped: PARTSTORE_SERVER does not name the server's program");
            return None;
        };
        // reqwest does not begin without one, even to speak without TLS.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let directory = tempfile::tempdir().unwrap();
        let (process, address) = run(&program.into(), &directory, "127.0.0.1:0");
        Some(Self {
            process,
            address,
            directory,
        })
    }

    /// `kill -9`, and a start at the same address.
    pub fn crash(&mut self) {
        self.end();
        let program = std::env::var_os("PARTSTORE_SERVER").unwrap();
        let (process, address) = run(&program.into(), &self.directory, &self.address);
        assert_eq!(address, self.address);
        self.process = process;
    }

    fn end(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.end();
    }
}

fn run(program: &PathBuf, directory: &TempDir, address: &str) -> (Child, String) {
    let mut process = Command::new(program)
        .args(["--s3", address, "--data"])
        .arg(directory.path())
        .env("PARTSTORE_SECRET_ID", "id")
        .env("PARTSTORE_SECRET_KEY", "secret")
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let address = listening(process.stdout.take().unwrap());
    (process, address)
}

/// Where the server listens, which its first line says.
fn listening(output: ChildStdout) -> String {
    let mut lines = BufReader::new(output).lines();
    let line = lines.next().unwrap().unwrap();
    let address = line.strip_prefix("listening on ").unwrap();
    address.split_whitespace().next().unwrap().to_owned()
}
