//! `backup`, `restore` and `backups`: copies of a store as of one moment, and stores made of them.

use std::ops::ControlFlow;
use std::path::Path;

use indicatif::ProgressBar;
use partstore::{
    BackupReport, BackupState, Backups, Brought, DamagedBlob, Error, PartStore, Progress,
    RestoreReport,
};
use partstore_reports::time;
use serde_json::{Value, json};

use crate::args::{Backup, ListBackups, Place, Restore};
use crate::failure::{Done, Failure};
use crate::output::{Output, bar, size};
use crate::server::Server;
use crate::{interrupt, opening, output, verify};

/// Takes a backup of a directory that nobody else has open.
pub fn run_here(place: &Place, backup: &Backup, out: &mut Output) -> Done {
    opening::directory(place)?;
    crate::on(place, false, |store| run(store, backup, out))
}

fn run(store: &PartStore, backup: &Backup, out: &mut Output) -> Done {
    let bar = bar(0);
    let taken = store.back_up_with(&backup.into, backup.transfer.into(), |progress| {
        follow(&bar, progress)
    });
    bar.finish_and_clear();
    let report = taken.map_err(|error| of_backup(error, &backup.into))?;
    tell_backup(&as_json(&report), out)?;
    keep(backup, out)
}

/// Of the two directories, the one that was refused is that of the backups: the store is open.
fn of_backup(error: Error, into: &Path) -> Failure {
    let refused = match &error {
        Error::StoreLocked { .. } | Error::NotAStore { .. } | Error::NewerFormat { .. } => true,
        Error::Io { path, .. } => path.starts_with(into),
        _ => false,
    };
    if refused {
        return Failure::Backups(error);
    }
    error.into()
}

/// Has a running server take it.
pub fn run_on_server(address: &str, backup: &Backup, out: &mut Output) -> Done {
    let into = std::path::absolute(&backup.into)
        .map_err(Failure::file("resolve the path", &backup.into))?;
    let report = Server::at(address).back_up(&into, backup.transfer.name())?;
    tell_backup(&report, out)?;
    if backup.keep().is_some() && !is_here(&report, &into) {
        return Err(Failure::Usage(format!(
            "the server's backup is not the one at {} on this machine, so nothing was removed; run `partstore backups {} --keep` \
             on the server's machine",
            into.display(),
            into.display()
        )));
    }
    keep(backup, out)
}

/// Whether the state that a server has made is in this directory, and not in one of another machine.
fn is_here(report: &Value, into: &Path) -> bool {
    let states = Backups::open(into).and_then(|backups| backups.states());
    let is_it = |state: &BackupState| {
        report["state"] == json!(state.number) && report["batch"] == json!(state.batch)
    };
    states.is_ok_and(|states| states.iter().any(is_it))
}

fn keep(backup: &Backup, out: &mut Output) -> Done {
    match backup.keep() {
        None => Ok(()),
        Some(keep) => prune(&open(&backup.into)?, keep, out),
    }
}

/// Opens a directory of backups. What it refuses is said of backups, and not of a store.
fn open(path: &Path) -> Done<Backups> {
    Backups::open(path).map_err(Failure::Backups)
}

/// Makes a store of a state.
pub fn restore(place: &Place, restore: &Restore, out: &mut Output) -> Done {
    let to = opening::directory(place)?;
    let backups = open(&restore.from)?;
    let bar = bar(0);
    let restored = backups.restore_with(restore.state, to, restore.transfer.into(), |progress| {
        follow(&bar, progress)
    });
    bar.finish_and_clear();
    let report = restored.map_err(|error| match error {
        Error::NotAStore { path, reason } => Failure::Refused(format!(
            "{} cannot become the restored store: {reason}; name a new or an empty directory",
            path.display()
        )),
        error => error.into(),
    })?;
    drop(backups);
    out.row(
        || restored_as_json(&report),
        || restored_as_text(&report, to),
    )?;
    if report.cut_short {
        return Err(Failure::Interrupted);
    }
    if restore.no_verify {
        return damage(&report.damaged);
    }
    let store = opening::open(place, false)?;
    let verified = verify::everything(&store, place, out);
    let closed = store.close().map_err(Failure::from);
    verified.and(closed)
}

/// Lists the states, after the old ones were removed.
pub fn list(list: &ListBackups, out: &mut Output) -> Done {
    let backups = open(&list.backups)?;
    if let Some(keep) = list.keep() {
        return prune(&backups, keep, out);
    }
    if list.verify {
        return check(&backups, out);
    }
    for state in backups.states()? {
        out.row(|| state_as_json(&state), || state_as_text(&state))?;
    }
    Ok(())
}

/// Reads all that is there.
fn check(backups: &Backups, out: &mut Output) -> Done {
    let bar = bar(0);
    let verified = backups.verify_with(|progress| follow(&bar, progress));
    bar.finish_and_clear();
    let report = verified?;
    let files = || report.files.iter();
    out.row(
        || {
            json!({ "states": report.states, "blobs": report.blobs, "bytes": report.bytes, "cut_short": report.cut_short,
                "damaged_files": files().map(partstore_reports::damaged_file).collect::<Vec<_>>(),
                "damaged_blobs": damaged_as_json(&report.damaged) })
        },
        || {
            let mut lines = damaged_as_text(&damaged_as_json(&report.damaged));
            lines.extend(files().map(|file| format!("damaged: {}", output::damaged_as_text(file))));
            let (states, blobs, bytes) = (report.states, report.blobs, size(report.bytes));
            lines.push(format!("{states} states; {blobs} blobs, {bytes}, have their bytes"));
            lines.join("\n")
        },
    )?;
    if report.cut_short {
        return Err(Failure::Interrupted);
    }
    if report.is_clean() {
        return Ok(());
    }
    Err(Failure::Damage(
        "the backups are damaged; the next backup brings the blobs that the store still has, and `--keep` removes states".into(),
    ))
}

fn prune(backups: &Backups, keep: usize, out: &mut Output) -> Done {
    let report = backups.keep_newest_with(keep, |_| goes_on())?;
    out.row(
        || {
            json!({ "removed_states": report.states, "removed_blobs": report.blobs,
                "removed_bytes": report.bytes, "cut_short": report.cut_short })
        },
        || {
            let bytes = size(report.bytes);
            format!(
                "removed {} states, and {} blobs, {bytes}, that no other state has",
                report.states, report.blobs
            )
        },
    )?;
    if report.cut_short {
        return Err(Failure::Interrupted);
    }
    Ok(())
}

fn follow(bar: &ProgressBar, progress: Progress) -> ControlFlow<()> {
    bar.set_length(progress.total);
    bar.set_position(progress.done);
    goes_on()
}

fn goes_on() -> ControlFlow<()> {
    if interrupt::is_set() {
        ControlFlow::Break(())
    } else {
        ControlFlow::Continue(())
    }
}

/// Prints what a backup did, and fails if it is not all that it should be. The server answers in the same form.
fn tell_backup(report: &Value, out: &mut Output) -> Done {
    out.row(|| report.clone(), || as_text(report))?;
    if report["cut_short"] == json!(true) {
        return Err(Failure::Interrupted);
    }
    match report["damaged_blobs"].as_array().map_or(0, Vec::len) {
        0 => Ok(()),
        damaged => Err(Failure::Damage(format!(
            "the backup lacks {damaged} damaged blobs; `partstore where HASH` says whose they are; put the same bytes again, \
             and take another backup"
        ))),
    }
}

fn damage(damaged: &[DamagedBlob]) -> Done {
    match damaged.len() {
        0 => Ok(()),
        damaged => Err(Failure::Damage(format!(
            "the store lacks {damaged} blobs that are damaged in the backup; `partstore where HASH` says whose they are"
        ))),
    }
}

fn as_json(report: &BackupReport) -> Value {
    json!({
        "state": report.state,
        "batch": report.batch,
        "blobs": report.blobs,
        "bytes": report.bytes,
        "present": report.present,
        "brought": brought_as_json(report.brought),
        "damaged_blobs": damaged_as_json(&report.damaged),
        "cut_short": report.cut_short,
    })
}

fn as_text(report: &Value) -> String {
    let number = |field: &Value| field.as_u64().unwrap_or(0);
    let brought = &report["brought"];
    let [shared, linked, copied] = ["shared", "linked", "copied"].map(|way| number(&brought[way]));
    let mut lines = damaged_as_text(&report["damaged_blobs"]);
    lines.push(match number(&report["state"]) {
        0 => "no state was made; the next backup goes on from here".to_owned(),
        state => format!(
            "state {state}: {} blobs, {}",
            number(&report["blobs"]),
            size(number(&report["bytes"]))
        ),
    });
    lines.push(format!(
        "{} were there, {shared} share their bytes with the store, {linked} are linked, {copied} were copied",
        number(&report["present"])
    ));
    lines.join("\n")
}

fn restored_as_json(report: &RestoreReport) -> Value {
    json!({
        "state": report.state,
        "batch": report.batch,
        "blobs": report.blobs,
        "bytes": report.bytes,
        "present": report.present,
        "brought": brought_as_json(report.brought),
        "damaged_blobs": damaged_as_json(&report.damaged),
        "cut_short": report.cut_short,
    })
}

fn restored_as_text(report: &RestoreReport, to: &Path) -> String {
    let mut lines = damaged_as_text(&damaged_as_json(&report.damaged));
    let (blobs, bytes, to) = (report.blobs, size(report.bytes), to.display());
    lines.push(if report.cut_short {
        format!("{to} is no store yet; the same command goes on")
    } else {
        format!("{to} is state {}: {blobs} blobs, {bytes}", report.state)
    });
    lines.join("\n")
}

fn brought_as_json(brought: Brought) -> Value {
    json!({ "shared": brought.shared, "linked": brought.linked, "copied": brought.copied })
}

fn damaged_as_json(damaged: &[DamagedBlob]) -> Value {
    let damaged = damaged
        .iter()
        .map(|blob| json!({ "hash": blob.hash.to_string(), "reason": blob.reason }));
    damaged.collect()
}

fn damaged_as_text(damaged: &Value) -> Vec<String> {
    let blobs = damaged.as_array().into_iter().flatten();
    let text = |field: &Value| field.as_str().unwrap_or_default().to_owned();
    blobs
        .map(|blob| {
            format!(
                "damaged blob {}: {}",
                text(&blob["hash"]),
                text(&blob["reason"])
            )
        })
        .collect()
}

fn state_as_json(state: &BackupState) -> Value {
    json!({ "state": state.number, "taken": time(state.taken), "batch": state.batch, "parts": state.parts,
        "blobs": state.blobs, "bytes": state.bytes })
}

fn state_as_text(state: &BackupState) -> String {
    let (number, taken, bytes) = (state.number, time(state.taken), size(state.bytes));
    format!(
        "{number:>8}  {taken}  {} parts, {} blobs, {bytes}",
        state.parts, state.blobs
    )
}
