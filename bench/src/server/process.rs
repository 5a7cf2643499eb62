//! The server as a process.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use rustix::process::{Pid, Signal, kill_process};

/// A server that runs until this is dropped.
pub struct Server {
    process: Child,
    address: SocketAddr,
}

impl Server {
    /// Starts it on a port of the system's choice, and waits until it listens.
    pub fn start(binary: &Path, data: &Path) -> Self {
        let mut command = Command::new(binary);
        command.arg("--data").arg(data);
        command.args(["--listen", "127.0.0.1:0"]);
        command.stdout(Stdio::piped()).stderr(Stdio::null());
        let mut process = command.spawn().expect("the server");
        let mut line = String::new();
        let output = process.stdout.take().expect("its output");
        let read = BufReader::new(output).read_line(&mut line);
        read.expect("the first line of its output");
        let address = line.trim().strip_prefix("listening on ");
        match address.map(str::parse) {
            Some(Ok(address)) => Self { process, address },
            _ => panic!("the server said {line:?}"),
        }
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Tells it to stop, and waits until it has closed its store.
    pub fn stop(mut self) {
        let signal = kill_process(Pid::from_child(&self.process), Signal::TERM);
        signal.expect("a signal sent");
        self.process.wait().expect("its end");
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
