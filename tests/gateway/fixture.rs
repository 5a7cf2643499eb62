//! A gateway of its own for each test.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

/// The gateway's binary, built if it is not up to date.
pub fn binary() -> &'static Path {
    static BINARY: OnceLock<PathBuf> = OnceLock::new();
    BINARY.get_or_init(|| {
        // This test is target/PROFILE/deps/gateway-HASH; what is linked together with it has the same profile.
        let test = std::env::current_exe().unwrap();
        let profile = test.parent().and_then(Path::parent).unwrap();
        let mut build = Command::new(env!("CARGO"));
        build.args(["build", "--quiet", "--example", "cos_gateway"]);
        if profile.ends_with("release") {
            build.arg("--release");
        }
        assert!(
            build
                .current_dir(env!("CARGO_MANIFEST_DIR"))
                .status()
                .unwrap()
                .success()
        );
        profile.join("examples/cos_gateway")
    })
}

/// A running gateway. Dropped, it is killed.
pub struct Gateway {
    pub address: SocketAddr,
    process: Child,
    data: TempDir,
    args: Vec<String>,
}

impl Gateway {
    /// Starts one on an empty directory, on a port of the system's choice.
    pub fn start(args: &[&str]) -> Self {
        let data = tempfile::tempdir().unwrap();
        let args: Vec<_> = args.iter().map(ToString::to_string).collect();
        let (process, address) = spawn(data.path(), "127.0.0.1:0", &args);
        Self {
            address,
            process,
            data,
            args,
        }
    }

    /// Starts it again on the same directory and address, after it has ended.
    pub fn restart(&mut self) {
        let listen = self.address.to_string();
        (self.process, self.address) = spawn(self.data.path(), &listen, &self.args);
    }

    /// `kill -9`
    pub fn kill(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }

    pub fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.process), signal).unwrap();
    }

    /// Waits for its end. Gives whether it was a success.
    pub fn wait(&mut self) -> bool {
        self.process.wait().unwrap().success()
    }

    pub fn data(&self) -> &Path {
        self.data.path()
    }

    pub fn pid(&self) -> u32 {
        self.process.id()
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn spawn(data: &Path, listen: &str, args: &[String]) -> (Child, SocketAddr) {
    let mut command = Command::new(binary());
    command
        .arg("--data")
        .arg(data)
        .args(["--listen", listen])
        .args(args);
    let mut process = command
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(process.stdout.take().unwrap())
        .read_line(&mut line)
        .unwrap();
    let address = line
        .trim()
        .strip_prefix("listening on ")
        .unwrap_or_else(|| panic!("it said {line:?}"));
    (process, address.parse().unwrap())
}
