//! A server of its own for each test.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use tempfile::{NamedTempFile, TempDir};

use crate::process;

/// The key pair of a server that has one.
pub const KEYS: (&str, &str) = ("AKIDexample", "secret");
/// No test waits longer than this for anything.
const LONG: Duration = Duration::from_mins(1);

/// A running server. Dropped, it is killed, and the test fails if the server had panicked.
pub struct Server {
    pub address: SocketAddr,
    process: Child,
    data: TempDir,
    log: NamedTempFile,
    args: Vec<String>,
    environment: Vec<(String, String)>,
}

impl Server {
    /// Starts one on an empty directory, on a port of the system's choice.
    pub fn start(args: &[&str]) -> Self {
        Self::start_in(args, &[])
    }

    /// The same, with variables of the environment.
    pub fn start_in(args: &[&str], environment: &[(&str, &str)]) -> Self {
        let data = tempfile::tempdir().unwrap();
        let args: Vec<_> = args.iter().map(ToString::to_string).collect();
        let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        let environment: Vec<_> = environment.iter().map(owned).collect();
        let log = NamedTempFile::new().unwrap();
        let started = spawn((data.path(), "127.0.0.1:0"), (&args, &environment), &log);
        Self {
            address: started.1,
            process: started.0,
            data,
            log,
            args,
            environment,
        }
    }

    /// One that knows [`KEYS`].
    pub fn with_keys(args: &[&str]) -> Self {
        let (id, secret) = KEYS;
        let environment = [
            ("PARTSTORE_SECRET_ID", id),
            ("PARTSTORE_SECRET_KEY", secret),
        ];
        Self::start_in(args, &environment)
    }

    /// Starts it again on the same directory and address, after it has ended.
    pub fn restart(&mut self) {
        let listen = self.address.to_string();
        let given = (&self.args[..], &self.environment[..]);
        (self.process, self.address) = spawn((self.data.path(), &listen), given, &self.log);
    }

    /// Starts it again, and kills it after a time, whether or not it listens by then.
    pub fn kill_in_its_start(&mut self, after: Duration) {
        let log = fs::OpenOptions::new().append(true).open(self.log.path());
        let mut command = process::command(self.data.path(), &self.address.to_string());
        command.args(&self.args).stdout(Stdio::null());
        self.process = command.stderr(log.unwrap()).spawn().unwrap();
        std::thread::sleep(after);
        self.kill();
    }

    /// `kill -9`
    pub fn kill(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }

    /// Tells it to stop, and waits until it has: all that was asked of it has come to its end.
    pub fn stop(&mut self) {
        self.signal(Signal::TERM);
        assert!(self.wait(), "{}", self.log());
    }

    pub fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.process), signal).unwrap();
    }

    /// Waits for its end. Gives whether it was a success.
    pub fn wait(&mut self) -> bool {
        let deadline = Instant::now() + LONG;
        loop {
            match self.process.try_wait().unwrap() {
                Some(status) => return status.success(),
                None if Instant::now() < deadline => std::thread::sleep(Duration::from_millis(5)),
                None => panic!("the server does not end; it logged:\n{}", self.log()),
            }
        }
    }

    /// What it has said so far.
    pub fn log(&self) -> String {
        fs::read_to_string(self.log.path()).unwrap()
    }

    pub fn data(&self) -> &Path {
        self.data.path()
    }

    pub fn pid(&self) -> u32 {
        self.process.id()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
        let panicked = self.log().contains("panicked");
        assert!(!panicked || std::thread::panicking(), "{}", self.log());
    }
}

/// Waits until something holds.
pub fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + LONG;
    while !holds() {
        assert!(Instant::now() < deadline, "never: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

type Given<'a> = (&'a [String], &'a [(String, String)]);

fn spawn(
    (data, listen): (&Path, &str),
    (args, environment): Given<'_>,
    log: &NamedTempFile,
) -> (Child, SocketAddr) {
    let log = fs::OpenOptions::new().append(true).open(log.path());
    // One that has a database has no directory.
    let has_catalog = args.iter().any(|arg| arg == "--catalog");
    let mut command = if has_catalog {
        process::bare(listen)
    } else {
        process::command(data, listen)
    };
    command.args(args).envs(environment.iter().cloned());
    process::start(command.stderr(log.unwrap()))
}
