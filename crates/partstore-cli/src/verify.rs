//! `verify`: reads what is on disk, no faster than asked, and names what is damaged. It can be broken off at any moment,
//! and goes on with a file that says how far it came.

use std::ops::ControlFlow;
use std::thread;
use std::time::{Duration, Instant};

use partstore::{Compared, Key, PartStore, Progress, Scope, VerifyReport};
use partstore_reports::{Verified, pause};
use serde_json::Value;

use crate::args::{Ask, Place, Verify};
use crate::failure::{Done, Failure};
use crate::interrupt;
use crate::opening::{self, Named};
use crate::output::{Output, bar, name, size};
use crate::resume::{Found, Resume};
use crate::server::Server;

/// How often a file says how far a verify has come.
const NOTED: Duration = Duration::from_secs(2);

/// Reads all, as fast as it can.
pub fn everything(store: &PartStore, place: &Place, out: &mut Output) -> Done {
    let everything = Verify {
        metadata: false,
        rate: None,
        resume: None,
        ask: Ask { server: None },
    };
    run(store, place, &everything, out)
}

pub fn run(store: &PartStore, place: &Place, verify: &Verify, out: &mut Output) -> Done {
    let named = opening::named(place)?;
    let scope = if verify.metadata {
        Scope::Metadata
    } else {
        Scope::Everything
    };
    let mut resume = match &verify.resume {
        Some(path) => Some(Resume::open(path, &named.whole(), scope)?),
        None => None,
    };
    let mut found = resume.as_ref().map_or_else(Found::default, Resume::found);
    let bar = bar(0);
    let cut_short = loop {
        let step = step(store, (scope, verify.rate), &bar, &found, resume.as_mut());
        if step.is_err() && !found.verified.is_clean() {
            // What earlier steps have found is said all the same.
            let found = &found.verified;
            out.row(|| found.as_json(true), || as_text(found, true))?;
        }
        let (report, compared) = step?;
        let cut_short = report.cut_short;
        found.add(report, compared);
        if let Some(resume) = &mut resume {
            resume.note(&found, None)?;
        }
        if !cut_short || interrupt::is_set() {
            break cut_short;
        }
    };
    bar.finish_and_clear();
    let found = found.verified;
    out.row(|| found.as_json(cut_short), || as_text(&found, cut_short))?;
    if let (false, Some(resume)) = (cut_short, resume) {
        resume.remove()?;
    }
    if !found.is_clean() {
        return Err(Failure::Damage(remedy(named, &found)));
    }
    if cut_short {
        Err(Failure::Interrupted)
    } else {
        Ok(())
    }
}

/// Has a running server do it.
pub fn ask(verify: &Verify, out: &mut Output) -> Done {
    let address = verify.ask.server.as_deref().unwrap_or_default();
    let report = Server::at(address).verify(verify)?;
    let unread = || Failure::Server(format!("the server at {address} gave another report"));
    let found = Verified::of_json(&report).ok_or_else(unread)?;
    let cut_short = report["cut_short"] == true;
    out.row(|| report.clone(), || as_text(&found, cut_short))?;
    if !found.is_clean() {
        let remedy = "damage was found; put the same bytes again to repair a blob; for the rest, stop the server and run \
                      `partstore verify` on its directory, which says what to do";
        return Err(Failure::Damage(remedy.into()));
    }
    if cut_short {
        Err(Failure::Incomplete(format!(
            "the server at {address} stopped before it had read everything"
        )))
    } else {
        Ok(())
    }
}

/// Verifies on behind what was compared before. If a file is kept, it ends when the report has more than the file says, so
/// that the next note has that, too.
fn step(
    store: &PartStore,
    (scope, rate): (Scope, Option<u64>),
    bar: &indicatif::ProgressBar,
    before: &Found,
    mut resume: Option<&mut Resume>,
) -> Done<(VerifyReport, Option<Compared>)> {
    let (began, mut noted) = (Instant::now(), Instant::now());
    let (mut compared, mut failed) = (None, Ok(()));
    let report = store.verify_behind(scope, before.through.as_ref(), |progress: Progress| {
        bar.set_length(progress.total);
        bar.set_position(progress.done);
        compared = progress.compared;
        if let Some(rate) = rate {
            hold_back(progress.done, rate, began);
        }
        if let (Some(resume), Some(compared)) = (&mut resume, compared)
            && noted.elapsed() >= NOTED
        {
            noted = Instant::now();
            if compared.found > 0 || before.through.is_none() {
                return ControlFlow::Break(());
            }
            failed = resume.note(before, Some(compared));
        }
        if interrupt::is_set() || failed.is_err() {
            ControlFlow::Break(())
        } else {
            ControlFlow::Continue(())
        }
    });
    failed?;
    Ok((report?, compared))
}

fn as_text(verified: &Verified, cut_short: bool) -> String {
    let text = |value: &Value, field: &str| value[field].as_str().unwrap_or_default().to_owned();
    let mut lines = Vec::new();
    for file in &verified.files {
        let (path, reason) = (text(file, "path"), text(file, "reason"));
        lines.push(format!(
            "damaged file {path} at byte {}: {reason}",
            file["offset"]
        ));
    }
    for blob in verified.damaged.values() {
        lines.push(format!(
            "damaged blob {}: {}",
            text(blob, "hash"),
            text(blob, "reason")
        ));
        for part in blob["parts"].as_array().into_iter().flatten() {
            let key = Key::new(text(part, "namespace"), text(part, "key"));
            let (number, name, id) = (&part["part"], name(&key), text(part, "id"));
            lines.push(format!("  is part {number} of {name}, upload {id}"));
        }
    }
    for line in &verified.inconsistent {
        lines.push(format!("inconsistent: {line}"));
    }
    let verdict = match (verified.is_clean(), cut_short) {
        (false, _) => "DAMAGED",
        (true, true) => "clean so far",
        (true, false) => "clean",
    };
    let (parts, blobs, read) = (verified.parts, verified.blobs, size(verified.bytes));
    lines.push(format!(
        "{verdict}: {parts} parts, {blobs} blobs, {read} of blobs read"
    ));
    lines.join("\n")
}

/// Sleeps until so many bytes may have been read.
fn hold_back(done: u64, rate: u64, began: Instant) {
    let most = Duration::from_millis(200);
    loop {
        let early = pause(done, rate, began.elapsed());
        if early.is_zero() || interrupt::is_set() {
            return;
        }
        thread::sleep(early.min(most));
    }
}

fn remedy(named: Named<'_>, found: &Verified) -> String {
    let mut remedies = Vec::new();
    if let Named::Cluster { .. } = named {
        remedies.push("put the same bytes again to repair a blob, or bring the version back that the bucket had; `partstore where` names it");
        if !found.inconsistent.is_empty() {
            remedies.push("restore the database from a backup, then run `partstore reconcile`");
        }
        return format!("damage was found; {}", remedies.join("; "));
    }
    if !found.damaged.is_empty() {
        remedies
            .push("put the same bytes again to repair a blob, or copy its file back from a backup");
    }
    if !found.files.is_empty() {
        remedies.push("open the store again: its own files are written anew if the index proves what they held");
    }
    if !found.inconsistent.is_empty() {
        remedies.push("run `partstore rebuild-index`");
    }
    format!("damage was found; {}", remedies.join("; "))
}
