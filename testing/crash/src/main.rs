//! The crash suite: see `docs/reliability.md`.

mod backups;
mod campaign;
mod explore;
mod faults;
mod fleet;
mod peers;
mod shim;
mod store;
mod subject;
mod work;

use std::io;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::explore::{Budget, Case, Explorer};
use crate::store::{Store, Workload};

/// Records every file-system call of a store and replays crashes that could have been.
#[derive(Parser)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Crashes the store at many moments and checks what is left.
    States(campaign::States),
    /// Takes each class of syncs away: all must be caught.
    Sabotage(campaign::Sabotage),
    /// Judges the recorder by stores of which it is known whether they lose anything.
    Peers(peers::Peers),
    /// Crashes backups and restores at many moments.
    Backups(backups::Backups),
    /// Fails every file-system call in turn, in several ways.
    Faults(faults::Faults),
    /// Runs the crash of a saved failure again.
    Replay { case: PathBuf },
    /// Explores some recordings, as each child process of a campaign does.
    Work(work::Work),
    #[command(hide = true)]
    Peer(peers::Job),
}

fn main() -> ExitCode {
    match run(Arguments::parse().command) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

/// `true` when all is as it should be.
fn run(command: Command) -> io::Result<bool> {
    match command {
        Command::States(arguments) => Ok(campaign::states(&arguments)),
        Command::Sabotage(arguments) => campaign::sabotage(&arguments),
        Command::Peers(arguments) => Ok(peers::peers(&arguments)),
        Command::Backups(arguments) => backups::run(&arguments),
        Command::Faults(arguments) => faults::run(&arguments),
        Command::Replay { case } => replay(&case),
        Command::Work(work) => {
            let done = work.run()?;
            for (name, failure) in &done.failures {
                eprintln!("{name}: {}", failure.reason);
            }
            fleet::answer(&done);
            Ok(done.failures.is_empty())
        }
        Command::Peer(job) => {
            fleet::answer(&job.run()?);
            Ok(true)
        }
    }
}

fn replay(path: &std::path::Path) -> io::Result<bool> {
    let bytes = std::fs::read(path)?;
    let case: Case<store::History> = postcard::from_bytes(&bytes).map_err(io::Error::other)?;
    let explorer = Explorer {
        subject: &Store {
            workload: Workload::Random,
        },
        budget: Budget::Sample(0),
        policies: &[],
        second_every: 1,
        second_step: None,
        without: None,
        first_only: true,
        alive: &mut || {},
        keep: None,
    };
    println!("{:?}, then {:?}", case.failure.crash, case.failure.second);
    println!("it failed with: {}", case.failure.reason);
    match explorer.replay(&case)? {
        Ok(()) => println!("now it passes"),
        Err(reason) => {
            println!("now it fails with: {reason}");
            return Ok(false);
        }
    }
    Ok(true)
}
