//! `just soak HOURS`: `partstore-server` on a small disk of its own, clients of both protocols, `kill -9`, full disks,
//! backups and their verification together. The clients know what was acknowledged, and compare.
//!
//! In the first half servers are killed and stopped. In the second half one server lives, so that what grows is seen:
//! [`judge`] compares its levels at quiet moments. At the end everything is removed, and nothing may be kept.

#![expect(
    clippy::cast_precision_loss,
    reason = "figures are for a picture; none has 52 bits"
)]

mod client;
mod content;
mod disk;
mod disturb;
mod judge;
mod picture;
mod sample;
mod server;
mod shared;
mod worker;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use clap::Parser;
use rustix::process::Signal;

use client::{Call, Client, Protocol};
use disk::Disk;
use disturb::Disturber;
use sample::Sampler;
use server::{Ports, Programs, Server};
use shared::Shared;
use worker::Worker;

type Failure = Box<dyn std::error::Error + Send + Sync>;

/// Server, clients, kills, full disks and backups together
#[derive(Debug, Parser)]
struct Soak {
    /// How long. May be a fraction
    hours: f64,
    /// The directory that gets soak.csv, soak.png and the server's log
    #[arg(long, default_value = "target/soak")]
    out: PathBuf,
    /// Where the disk, or the store without one, is made
    #[arg(long)]
    dir: Option<PathBuf>,
    /// The directory with the programs `partstore-server` and `partstore`
    #[arg(long, default_value = "target/release")]
    programs: PathBuf,
    /// Clients of each protocol
    #[arg(long, default_value_t = 4)]
    clients: usize,
    /// The disk, MiB
    #[arg(long, default_value_t = 1536)]
    disk: u64,
    /// What is random begins with this
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

fn main() -> ExitCode {
    match Soak::parse().run() {
        Ok(0) => ExitCode::SUCCESS,
        Ok(violations) => {
            eprintln!("FAILED: {violations} violations");
            ExitCode::FAILURE
        }
        Err(error) => {
            eprintln!("FAILED: {error}");
            ExitCode::FAILURE
        }
    }
}

impl Soak {
    fn run(&self) -> Result<usize, Failure> {
        std::fs::create_dir_all(&self.out)?;
        let below = self.dir.clone().unwrap_or_else(std::env::temp_dir);
        // Dropped from below: the server ends before its disk is unmounted.
        let disk = Disk::make(&below, self.disk << 20)?;
        let server = Server::new(self.programs(disk.path())?);
        println!(
            "the store is at {}, {}",
            disk.path().display(),
            if disk.is_own() {
                "a disk of its own"
            } else {
                "which is never filled: root, with mkfs.ext4, can mount a disk"
            }
        );
        let shared = Shared::new(self.clients * 2);
        server.start()?;
        shared.is_up();
        Self::client(&server, Protocol::S3)?.send(Call::MakeBucket, b"")?;
        let length = Duration::from_secs_f64(self.hours * 3600.0);
        let mut sampler = Sampler::new(&self.out.join("soak.csv"))?;
        let ended = self.with_clients((&shared, &server, &disk), length, &mut sampler);
        picture::draw(&sampler.samples, &self.out.join("soak.png"))?;
        ended?;
        let acknowledged = shared.acknowledged.load(Ordering::SeqCst);
        println!(
            "{acknowledged} acknowledged changes; see {}",
            self.out.display()
        );
        Ok(shared.violations())
    }

    fn programs(&self, disk: &Path) -> Result<Programs, Failure> {
        Ok(Programs {
            server: self.programs.join("partstore-server"),
            command: self.programs.join("partstore"),
            data: disk.join("store"),
            backups: disk.join("backups"),
            log: self.out.join("server.log"),
            ports: Ports::choose()?,
        })
    }

    fn client(server: &Server, protocol: Protocol) -> Result<Client, Failure> {
        let ports = server.ports();
        let port = match protocol {
            Protocol::S3 => ports.s3,
            Protocol::Cos => ports.cos,
        };
        Client::new(protocol, port)
    }

    fn with_clients(
        &self,
        (shared, server, disk): (&Shared, &Server, &Disk),
        length: Duration,
        sampler: &mut Sampler,
    ) -> Result<(), Failure> {
        let mut workers = Vec::new();
        for number in 0..self.clients * 2 {
            let protocol = [Protocol::S3, Protocol::Cos][number % 2];
            let client = Self::client(server, protocol)?;
            workers.push(Worker::new(shared, client, number, self.seed));
        }
        let is_over = AtomicBool::new(false);
        let every = (length / 1500).max(Duration::from_secs(1));
        std::thread::scope(|scope| {
            for worker in workers {
                scope.spawn(|| worker.run());
            }
            let measuring = scope.spawn(|| {
                while !is_over.load(Ordering::SeqCst) {
                    if let Err(error) = sampler.sample(shared, server, disk) {
                        shared.violation(format!("no sample: {error}"));
                    }
                    std::thread::sleep(every);
                }
            });
            let disturber = Disturber::new((shared, server, disk), length, self.seed);
            let ended = disturber.and_then(Disturber::run);
            if let Err(error) = &ended {
                // The clients wait for a server, which does not come back.
                eprintln!("FAILED after {:.0} s: {error}", shared.seconds());
                let _ = server.end(Signal::KILL);
                disk.give_back();
                std::process::exit(1);
            }
            is_over.store(true, Ordering::SeqCst);
            let _ = measuring.join();
            ended
        })
    }
}
