//! The server as a process.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};

/// The server's binary.
pub const BINARY: &str = env!("CARGO_BIN_EXE_partstore-server");

/// A command that starts it; port 0 is one of the system's choice.
pub fn command(data: &Path, listen: &str) -> Command {
    let mut command = bare(listen);
    command.arg("--data").arg(data);
    command
}

/// The same, without a store.
pub fn bare(listen: &str) -> Command {
    let mut command = Command::new(BINARY);
    command.args(["--listen", listen]);
    // The tests decide what a server is told.
    for name in [
        "PARTSTORE_SECRET_ID",
        "PARTSTORE_SECRET_KEY",
        "PARTSTORE_CATALOG",
        "RUST_LOG",
    ] {
        command.env_remove(name);
    }
    command.stdout(Stdio::piped());
    command
}

/// Starts it, and waits until it listens.
pub fn start(command: &mut Command) -> (Child, SocketAddr) {
    let mut process = command.spawn().expect("the server");
    let mut line = String::new();
    let read = process
        .stdout
        .take()
        .map(|out| BufReader::new(out).read_line(&mut line));
    assert!(read.is_some_and(|read| read.is_ok()), "it said nothing");
    let address = line.trim().strip_prefix("listening on ");
    let address = address.map(|address| address.trim_end_matches(" for S3").parse());
    match address {
        Some(Ok(address)) => (process, address),
        _ => panic!("it said {line:?}"),
    }
}
