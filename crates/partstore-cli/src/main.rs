//! `partstore`: looks into a store, checks it, cleans it up, and copies objects in and out.
//!
//! The store is a directory of the embedded engine, which no other process may have open in the meantime, or a cluster.
//! Each command is a module: what it prints goes through [`output::Output`], why it fails is a [`failure::Failure`].

mod args;
mod aside;
mod backup;
mod export;
mod failure;
mod generated;
mod import;
mod interrupt;
mod list;
mod migrate;
mod opening;
mod output;
mod overview;
mod put;
mod resume;
mod salvage;
mod same;
mod server;
mod spelling;
mod upkeep;
mod verify;
mod whereabouts;

use std::io::Write;
use std::process::ExitCode;

use partstore::PartStore;

use args::{Args, Ask, Command, Place};
use failure::{Done, Failure};
use output::Output;

fn main() -> ExitCode {
    let args = Args::read();
    let done = interrupt::listen().and_then(|()| run(&args));
    interrupt::remove_directories();
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => fail(&failure),
    }
}

/// Says on stderr what happened, if anything is left to say.
fn fail(failure: &Failure) -> ExitCode {
    let line = failure.line();
    if !line.is_empty() {
        // Nobody is left to be told.
        let _ = writeln!(std::io::stderr(), "partstore: {line}");
    }
    ExitCode::from(failure.exit_code())
}

fn run(args: &Args) -> Done {
    let mut out = Output::new(args.json);
    let done = command(args, &mut out);
    let done = done.map_err(|failure| failure.beside_server(args.command.beside_server()));
    // Also what was found before a failure.
    let flushed = out.flush();
    done.and(flushed)
}

fn command(args: &Args, out: &mut Output) -> Done {
    match &args.command {
        Command::Completions { shell } => generated::completions(*shell, out),
        Command::Man { dir } => generated::man(dir.as_deref(), out),
        Command::Salvage { yes } => salvage::run(&args.place, *yes, out),
        Command::RebuildIndex => salvage::rebuild_index(&args.place, out),
        Command::Restore(_) | Command::Backups(_) if args.place.read_only => {
            opening::refuse_read_only(&args.place, "this command has no use for --read-only")
        }
        Command::Restore(restore) => backup::restore(&args.place, restore, out),
        Command::Backups(list) => backup::list(list, out),
        Command::Backup(backup) => match &backup.server {
            Some(address) => backup::run_on_server(address, backup, out),
            None => backup::run_here(&args.place, backup, out),
        },
        Command::Info(Ask {
            server: Some(address),
        }) => overview::ask(address, out),
        Command::Ls {
            server: Some(address),
            what,
        } => list::ask(address, what.as_ref(), out),
        Command::Where {
            hash,
            ask: Ask {
                server: Some(address),
            },
        } => whereabouts::ask(address, hash, out),
        Command::Verify(verify) if verify.ask.server.is_some() => verify::ask(verify, out),
        Command::Sweep(sweep) => {
            if let Some(address) = &sweep.ask.server {
                return upkeep::ask_to_sweep(address, out);
            }
            let store = opening::open_to_sweep(&args.place, sweep.keep_removed)?;
            finish(&store, |store| upkeep::sweep(store, out))
        }
        Command::Migrate(migrate) => migrate::run(&args.place, migrate, out),
        Command::Reconcile { yes } => upkeep::reconcile(&args.place, *yes, out),
        Command::Put(put) => on(&args.place, put.create, |store| put::run(store, put, out)),
        Command::Import(import) => on(&args.place, import.create, |store| {
            import::run(store, import, out)
        }),
        command => on(&args.place, false, |store| {
            on_store(command, &args.place, store, out)
        }),
    }
}

fn on_store(command: &Command, place: &Place, store: &PartStore, out: &mut Output) -> Done {
    match command {
        Command::Info(_) => overview::run(store, place, out),
        Command::Ls { what, .. } => list::run(store, what.as_ref(), out),
        Command::Verify(verify) => verify::run(store, place, verify, out),
        Command::Expire(expire) => upkeep::expire(store, expire, out),
        Command::Quota(quota) => upkeep::quota(store, quota, out),
        Command::Rm { object } => upkeep::remove(store, object, out),
        Command::Abort { object, id } => upkeep::abort(store, object, id, out),
        Command::Get(get) => export::get(store, get, out),
        Command::Export(export) => export::run(store, export, out),
        Command::Where { hash, .. } => whereabouts::run(store, place, hash, out),
        // The others need no store, or open it in a way of their own.
        _ => Ok(()),
    }
}

/// Opens the store, runs a command on it, and closes it. A store that does not close is a failure, even when the
/// command succeeded.
fn on(place: &Place, create: bool, command: impl FnOnce(&PartStore) -> Done) -> Done {
    finish(&opening::open(place, create)?, command)
}

fn finish(store: &PartStore, command: impl FnOnce(&PartStore) -> Done) -> Done {
    let done = command(store);
    let closed = store.close().map_err(Failure::from);
    done.and(closed)
}
