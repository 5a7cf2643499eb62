//! The server as a process.

use std::fs;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use partstore_bench::{KEY_ID, SECRET};
use rustix::process::{Pid, Signal, kill_process};

use super::http::{Clients, Protocol};

/// A server that runs until this is dropped.
pub struct Server {
    process: Child,
    address: SocketAddr,
    protocol: Protocol,
}

impl Server {
    /// Starts `partstore-server` on a port of the system's choice, and waits until it listens.
    pub fn start(binary: &Path, data: &Path, protocol: Protocol) -> Self {
        let mut command = Command::new(binary);
        command.arg("--data").arg(data);
        match protocol {
            Protocol::Cos => command.args(["--cos", "127.0.0.1:0"]),
            Protocol::S3 => command
                .args(["--s3", "127.0.0.1:0"])
                .env("PARTSTORE_SECRET_ID", KEY_ID)
                .env("PARTSTORE_SECRET_KEY", SECRET),
        };
        Self::spawn(command, protocol)
    }

    /// Starts a server whose first line says where it listens.
    pub fn spawn(mut command: Command, protocol: Protocol) -> Self {
        command.stdout(Stdio::piped()).stderr(Stdio::null());
        let mut process = command.spawn().expect("the server");
        let mut line = String::new();
        let output = process.stdout.take().expect("its output");
        let read = BufReader::new(output).read_line(&mut line);
        read.expect("the first line of its output");
        let address = line.strip_prefix("listening on ");
        let address = address.and_then(|rest| rest.split_whitespace().next());
        match address.map(str::parse) {
            Some(Ok(address)) => Self {
                process,
                address,
                protocol,
            },
            _ => panic!("the server said {line:?}"),
        }
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    pub fn clients(&self) -> Clients {
        Clients::new(self.address, self.protocol)
    }

    /// Resident memory at its peak, MiB.
    pub fn peak_mib(&self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.process.id()));
        let status = status.expect("its status");
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let kib = line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
        kib.expect("its peak") / 1024
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
