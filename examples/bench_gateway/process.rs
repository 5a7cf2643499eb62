//! `partstore-server` as a process.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// Builds it, if it is not up to date, in the profile of the program that asks, and gives its path.
pub fn binary() -> PathBuf {
    // This program is target/PROFILE/examples/NAME or target/PROFILE/deps/NAME-HASH.
    let this = std::env::current_exe().expect("the path of this program");
    let profile = this
        .parent()
        .and_then(Path::parent)
        .expect("target/PROFILE");
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or("cargo".into()));
    cargo.args(["build", "--quiet", "-p", "partstore-server"]);
    if profile.ends_with("release") {
        cargo.arg("--release");
    }
    let status = cargo.current_dir(env!("CARGO_MANIFEST_DIR")).status();
    assert!(
        status.expect("cargo").success(),
        "partstore-server does not build"
    );
    profile.join("partstore-server")
}

/// A command that starts it; port 0 is one of the system's choice.
pub fn command(binary: &Path, data: &Path, listen: &str) -> Command {
    let mut command = Command::new(binary);
    command.arg("--data").arg(data).args(["--listen", listen]);
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
    let address = line.trim().strip_prefix("listening on ").map(str::parse);
    match address {
        Some(Ok(address)) => (process, address),
        _ => panic!("it said {line:?}"),
    }
}
