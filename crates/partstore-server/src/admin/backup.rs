//! `POST /backup`: has the store take a backup, below the directory that `--backups` names.

use std::ops::ControlFlow;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use hyper::StatusCode;
use hyper::http::request::Parts;
use partstore::{BackupReport, Error, Transfer};
use percent_encoding::percent_decode_str;
use serde_json::{Value, json};

use super::guard::{self, Refusal};
use super::{Admin, Answer, answer, text};

/// Takes a backup, and answers when it is done. If the client leaves, the backup ends and makes no state. The next one goes
/// on from there.
pub async fn back_up(admin: &Admin, request: &Parts) -> Answer {
    let (into, transfer) = match asked(admin.backups.as_deref(), request) {
        Ok(asked) => asked,
        Err((status, why)) => return text(status, format!("{why}\n")),
    };
    let Ok(alone) = Arc::clone(&admin.backing_up).try_lock_owned() else {
        return text(StatusCode::CONFLICT, "a backup is being taken\n");
    };
    let going = move |_| {
        // Until the end of the call, which may come after that of its future.
        let _ = &alone;
        ControlFlow::Continue(())
    };
    tracing::info!(into = %into.display(), ?transfer, "a backup begins");
    match admin.store.back_up_with(into, transfer, going).await {
        Ok(report) => {
            let damaged = report.damaged.len();
            let (state, blobs, new) = (report.state, report.blobs, report.brought.blobs());
            tracing::info!(state, blobs, new, damaged, "a backup was taken");
            let report = as_json(&report).to_string();
            answer(StatusCode::OK, "application/json", report)
        }
        Err(error) => {
            let status = match error {
                Error::StoreLocked { .. } => StatusCode::CONFLICT,
                Error::NotAStore { .. } | Error::NewerFormat { .. } | Error::NoBackup => {
                    StatusCode::BAD_REQUEST
                }
                Error::StorageFull { .. } => StatusCode::INSUFFICIENT_STORAGE,
                _ => StatusCode::INTERNAL_SERVER_ERROR,
            };
            let said = said(&error);
            tracing::warn!(error = said, "no backup was taken");
            text(status, format!("{said}\n"))
        }
    }
}

/// The error with its causes, in one line.
pub fn said(error: &Error) -> String {
    let causes = std::iter::successors(Some(error as &dyn std::error::Error), |error| {
        error.source()
    });
    let causes: Vec<String> = causes.map(ToString::to_string).collect();
    causes.join(": ")
}

/// Where the backup shall be, and how files get there.
fn asked(allowed: Option<&Path>, request: &Parts) -> Result<(PathBuf, Transfer), Refusal> {
    let refuse = |status, why: &str| Err((status, why.to_owned()));
    let Some(allowed) = allowed else {
        return refuse(
            StatusCode::NOT_FOUND,
            "this server takes no backups; start it with --backups DIR",
        );
    };
    guard::check(request)?;
    let (mut into, mut transfer) = (None, Transfer::default());
    for pair in request.uri.query().unwrap_or_default().split('&') {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        let Ok(value) = percent_decode_str(value).decode_utf8() else {
            return refuse(StatusCode::BAD_REQUEST, "a parameter is not UTF-8");
        };
        match (name, &*value) {
            ("into", path) => into = Some(PathBuf::from(path)),
            ("transfer", "fastest") => transfer = Transfer::Fastest,
            ("transfer", "apart") => transfer = Transfer::Apart,
            ("transfer", "copy") => transfer = Transfer::Copy,
            _ => {
                return refuse(
                    StatusCode::BAD_REQUEST,
                    "only into=PATH and transfer=fastest, apart or copy",
                );
            }
        }
    }
    match into {
        Some(into) if is_below(&into, allowed) => Ok((into, transfer)),
        _ => refuse(
            StatusCode::FORBIDDEN,
            &format!(
                "into= must be a path below {}, or this itself",
                allowed.display()
            ),
        ),
    }
}

/// Whether a path is that directory, or lies below it. Links in it are whoever's who made them.
fn is_below(path: &Path, allowed: &Path) -> bool {
    let goes_up = path.components().any(|part| part == Component::ParentDir);
    path.is_absolute() && !goes_up && path.starts_with(allowed)
}

fn as_json(report: &BackupReport) -> Value {
    let damaged = report
        .damaged
        .iter()
        .map(|blob| json!({ "hash": blob.hash.to_string(), "reason": blob.reason }));
    let brought = report.brought;
    json!({
        "state": report.state,
        "batch": report.batch,
        "blobs": report.blobs,
        "bytes": report.bytes,
        "present": report.present,
        "brought": { "shared": brought.shared, "linked": brought.linked, "copied": brought.copied },
        "damaged_blobs": damaged.collect::<Vec<_>>(),
        "cut_short": report.cut_short,
    })
}
