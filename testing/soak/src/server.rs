//! [`Server`]: the binary as a process that is killed and started again, and the command beside it.

use std::fs::OpenOptions;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::Failure;
use crate::client::{KEY_ID, SECRET};

/// No start and no end takes longer. The run may stand still in the meantime.
const LONG: Duration = Duration::from_mins(15);

/// What is run, and where.
pub struct Programs {
    pub server: PathBuf,
    pub command: PathBuf,
    /// The store.
    pub data: PathBuf,
    pub backups: PathBuf,
    pub log: PathBuf,
    pub ports: Ports,
}

#[derive(Clone, Copy)]
pub struct Ports {
    pub s3: u16,
    pub cos: u16,
    pub admin: u16,
}

impl Ports {
    /// Three in a row that nobody has. They lie below those that the system gives to outgoing connections, so that nobody
    /// gets one while no server runs.
    pub fn choose() -> Result<Self, Failure> {
        let is_free = |port| TcpListener::bind(("127.0.0.1", port)).is_ok();
        let mut tried = (0..1000).map(|_| fastrand::u16(10_000..30_000));
        let first = tried.find(|first| (*first..first + 3).all(is_free));
        let first = first.ok_or("no port is free")?;
        Ok(Self {
            s3: first,
            cos: first + 1,
            admin: first + 2,
        })
    }
}

pub struct Server {
    programs: Programs,
    process: Mutex<Option<Child>>,
}

impl Server {
    pub fn new(programs: Programs) -> Self {
        Self {
            programs,
            process: Mutex::new(None),
        }
    }

    pub fn ports(&self) -> Ports {
        self.programs.ports
    }

    pub fn data(&self) -> &Path {
        &self.programs.data
    }

    /// Starts it, and does not wait until it answers.
    pub fn spawn(&self) -> Result<(), Failure> {
        let Ports { s3, cos, admin } = self.programs.ports;
        let log = OpenOptions::new()
            .create(true)
            .append(true)
            .open(&self.programs.log)?;
        let mut command = Command::new(&self.programs.server);
        command
            .args(["--log", "info,access=off", "--data"])
            .arg(&self.programs.data)
            .arg("--backups")
            .arg(&self.programs.backups)
            .args(["--s3", &format!("127.0.0.1:{s3}")])
            .args(["--cos", &format!("127.0.0.1:{cos}")])
            .args(["--admin", &format!("127.0.0.1:{admin}")])
            .env("PARTSTORE_SECRET_ID", KEY_ID)
            .env("PARTSTORE_SECRET_KEY", SECRET)
            .stdout(Stdio::null())
            .stderr(log);
        *self.process.lock() = Some(command.spawn()?);
        Ok(())
    }

    /// Starts it, and returns when it answers.
    pub fn start(&self) -> Result<(), Failure> {
        self.spawn()?;
        let began = Instant::now();
        while self.status().is_err() {
            if !self.is_alive() {
                return Err("the server does not start; see its log".into());
            }
            if began.elapsed() > LONG {
                return Err("the server does not answer".into());
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(())
    }

    pub fn is_alive(&self) -> bool {
        let mut process = self.process.lock();
        process
            .as_mut()
            .is_some_and(|process| matches!(process.try_wait(), Ok(None)))
    }

    pub fn pid(&self) -> Option<u32> {
        self.process.lock().as_ref().map(Child::id)
    }

    /// Sends a signal that ends it, and waits for the end. Gives whether it was a success.
    pub fn end(&self, signal: Signal) -> Result<bool, Failure> {
        let mut held = self.process.lock();
        let Some(process) = held.as_mut() else {
            return Ok(true);
        };
        // One that has ended by itself is an error here.
        kill_process(Pid::from_child(process), signal)?;
        let status = process.wait()?;
        *held = None;
        Ok(status.success())
    }

    /// What it says of its store.
    pub fn status(&self) -> Result<Value, Failure> {
        let address = format!("http://{}/status.json", self.admin());
        let text = ureq::get(address).call()?.body_mut().read_to_string()?;
        Ok(serde_json::from_str(&text)?)
    }

    /// Runs the command, and gives its exit code and what it said.
    pub fn command(&self, args: &[&str]) -> Result<(i32, String), Failure> {
        let mut command = Command::new(&self.programs.command);
        let output = command.arg("--json").args(args).output()?;
        let said = [output.stdout, output.stderr].concat();
        let said = String::from_utf8_lossy(&said).into_owned();
        Ok((output.status.code().unwrap_or(-1), said))
    }

    /// The same on the store. No server may have it open.
    pub fn on_store(&self, args: &[&str]) -> Result<(i32, String), Failure> {
        let data = self.programs.data.display().to_string();
        self.command(&[&["--store", &data], args].concat())
    }

    /// Has the server take a backup, and keeps two. Gives the exit code, and what was said.
    pub fn back_up(&self) -> Result<(i32, String), Failure> {
        let (admin, into) = (self.admin(), self.backups());
        self.command(&["backup", &into, "--server", &admin, "--keep", "2"])
    }

    /// Asks the server by the command, and gives the exit code, and what was said.
    pub fn ask(&self, what: &str) -> Result<(i32, String), Failure> {
        self.command(&[what, "--server", &self.admin()])
    }

    fn admin(&self) -> String {
        format!("127.0.0.1:{}", self.programs.ports.admin)
    }

    pub fn backups(&self) -> String {
        self.programs.backups.display().to_string()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.end(Signal::KILL);
    }
}
