//! `verify`: reads what is on disk, no faster than asked, and names what is damaged.

use std::ops::ControlFlow;
use std::thread;
use std::time::{Duration, Instant};

use partstore::{PartStore, Progress, Scope, VerifyReport};
use serde_json::{Value, json};

use crate::args::{Place, Verify};
use crate::failure::{Done, Failure};
use crate::interrupt;
use crate::opening::{self, Named};
use crate::output::{Output, bar, damaged_as_json, damaged_as_text, name, size};

/// Reads all, as fast as it can.
pub fn everything(store: &PartStore, place: &Place, out: &mut Output) -> Done {
    let everything = Verify {
        metadata: false,
        rate: None,
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
    let (bar, began) = (bar(0), Instant::now());
    let report = store.verify_with(scope, |progress: Progress| {
        bar.set_length(progress.total);
        bar.set_position(progress.done);
        if let Some(rate) = verify.rate {
            hold_back(progress.done, rate, began);
        }
        if interrupt::is_set() {
            ControlFlow::Break(())
        } else {
            ControlFlow::Continue(())
        }
    })?;
    bar.finish_and_clear();
    out.row(|| as_json(&report), || as_text(&report))?;
    if !report.is_clean() {
        return Err(Failure::Damage(remedy(named, &report)));
    }
    if report.cut_short {
        Err(Failure::Interrupted)
    } else {
        Ok(())
    }
}

/// Sleeps until so many bytes may have been read.
fn hold_back(done: u64, rate: u64, began: Instant) {
    let most = Duration::from_millis(200);
    loop {
        let earliest = u128::from(done) * 1_000_000 / u128::from(rate);
        let early = earliest.saturating_sub(began.elapsed().as_micros());
        if early == 0 || interrupt::is_set() {
            return;
        }
        let early = Duration::from_micros(u64::try_from(early).unwrap_or(u64::MAX));
        thread::sleep(early.min(most));
    }
}

fn remedy(named: Named<'_>, report: &VerifyReport) -> String {
    let mut remedies = Vec::new();
    if let Named::Cluster { .. } = named {
        remedies.push("put the same bytes again to repair a blob, or bring the version back that the bucket had; `partstore where` names it");
        if !report.inconsistent.is_empty() {
            remedies.push("restore the database from a backup, then run `partstore reconcile`");
        }
        return format!("damage was found; {}", remedies.join("; "));
    }
    if !report.damaged.is_empty() {
        remedies
            .push("put the same bytes again to repair a blob, or copy its file back from a backup");
    }
    if !report.files.is_empty() {
        remedies.push("open the store again: its own files are written anew if the index proves what they held");
    }
    if !report.inconsistent.is_empty() {
        remedies.push("remove meta/index and open the store again, which rebuilds it");
    }
    format!("damage was found; {}", remedies.join("; "))
}

fn as_json(report: &VerifyReport) -> Value {
    let damaged = report.damaged.iter().map(|blob| {
        let parts = blob.parts.iter().map(|(upload, number)| {
            json!({ "namespace": upload.namespace(), "key": upload.key(), "id": upload.id().to_string(),
                "part": number.get() })
        });
        json!({ "hash": blob.hash.to_string(), "reason": blob.reason, "parts": parts.collect::<Vec<_>>() })
    });
    let files = report.files.iter().map(damaged_as_json);
    json!({
        "clean": report.is_clean() && !report.cut_short,
        "cut_short": report.cut_short,
        "parts": report.parts,
        "blobs": report.blobs,
        "bytes": report.bytes,
        "damaged_blobs": damaged.collect::<Vec<_>>(),
        "damaged_files": files.collect::<Vec<_>>(),
        "inconsistent": report.inconsistent,
    })
}

fn as_text(report: &VerifyReport) -> String {
    let mut lines = Vec::new();
    for file in &report.files {
        lines.push(format!("damaged file {}", damaged_as_text(file)));
    }
    for blob in &report.damaged {
        lines.push(format!("damaged blob {}: {}", blob.hash, blob.reason));
        for (upload, number) in &blob.parts {
            let name = name(upload.full_key());
            lines.push(format!(
                "  is part {number} of {name}, upload {}",
                upload.id()
            ));
        }
    }
    for line in &report.inconsistent {
        lines.push(format!("inconsistent: {line}"));
    }
    let verdict = match (report.is_clean(), report.cut_short) {
        (false, _) => "DAMAGED",
        (true, true) => "clean so far",
        (true, false) => "clean",
    };
    let read = size(report.bytes);
    lines.push(format!(
        "{verdict}: {} parts, {} blobs, {read} of blobs read",
        report.parts, report.blobs
    ));
    lines.join("\n")
}
