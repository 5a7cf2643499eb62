//! What `partstore --server` asks besides a backup: `GET /info.json`, `POST /verify` and `POST /sweep`. The answers are
//! what the command prints as JSON of a store that it has opened itself.
//!
//! Nothing here removes or changes what somebody refers to, because the admin address asks for no keys.

use std::ops::ControlFlow;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use hyper::StatusCode;
use hyper::http::request::Parts;
use partstore::{
    DamagedBlob, DamagedFile, IndexRecovery, ListNamespaces, Namespace, PartStore, Progress,
    RecoveryReport, Result, Scope, Stats, VerifyReport,
};
use serde_json::{Value, json};

use super::backup::said;
use super::guard::{self, Refusal};
use super::{Admin, Answer, answer, text};

/// The store may be told to close in the meantime.
const MOST_HELD_BACK: Duration = Duration::from_millis(200);

/// `GET /info.json`: the store in numbers, and what opening it found.
pub async fn info(admin: &Admin, request: &Parts) -> Answer {
    if let Err(refusal) = guard::check(request) {
        return refused(refusal);
    }
    let (place, format) = (admin.place.clone(), admin.data.as_deref().and_then(format));
    let asked = admin.ask(move |store| {
        let (stats, namespaces) = (store.stats()?, namespaces(store)?);
        Ok(info_as_json(store.recovery(), &stats, &namespaces))
    });
    match asked.await {
        Ok(mut info) => {
            info["store"] = json!(place);
            info["format"] = json!(format);
            as_answer(&info)
        }
        Err(error) => text(StatusCode::SERVICE_UNAVAILABLE, format!("{error}\n")),
    }
}

/// `POST /verify`: reads everything, or with `scope=metadata` no blob, and with `rate=N` at most so many bytes a second.
pub async fn verify(admin: &Admin, request: &Parts) -> Answer {
    let (scope, rate) = match guard::check(request).and_then(|()| scope_and_rate(request)) {
        Ok(asked) => asked,
        Err(refusal) => return refused(refusal),
    };
    let Ok(_alone) = admin.working.try_lock() else {
        return text(StatusCode::CONFLICT, "a verify or sweep is under way\n");
    };
    let began = Instant::now();
    let hold_back = move |progress: Progress| {
        let earliest = rate.map_or(0, |rate| {
            u128::from(progress.done) * 1_000_000 / u128::from(rate)
        });
        let early = earliest.saturating_sub(began.elapsed().as_micros());
        let early = Duration::from_micros(u64::try_from(early).unwrap_or(u64::MAX));
        thread::sleep(early.min(MOST_HELD_BACK));
        ControlFlow::Continue(())
    };
    let asked = admin.store.verify_with(scope, hold_back).await;
    of_report(asked.map(|report| verify_as_json(&report)))
}

/// `POST /sweep`: removes the bytes of blobs that nothing refers to.
pub async fn sweep(admin: &Admin, request: &Parts) -> Answer {
    if let Err(refusal) = guard::check(request) {
        return refused(refusal);
    }
    let Ok(_alone) = admin.working.try_lock() else {
        return text(StatusCode::CONFLICT, "a verify or sweep is under way\n");
    };
    let asked = admin.store.sweep().await;
    of_report(asked.map(|report| {
        json!({ "removed_blobs": report.blobs, "removed_bytes": report.bytes, "removed_orphans": report.orphans,
            "foreign": report.foreign, "cut_short": report.cut_short })
    }))
}

fn scope_and_rate(request: &Parts) -> std::result::Result<(Scope, Option<u64>), Refusal> {
    let (mut scope, mut rate) = (Scope::Everything, None);
    let query = request.uri.query().unwrap_or_default();
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        match pair.split_once('=') {
            Some(("scope", "everything")) => scope = Scope::Everything,
            Some(("scope", "metadata")) => scope = Scope::Metadata,
            Some(("rate", bytes)) if bytes.parse().is_ok_and(|rate: u64| rate > 0) => {
                rate = bytes.parse().ok();
            }
            _ => {
                let why = "only scope=everything or metadata, and rate=BYTES_PER_SECOND";
                return Err((StatusCode::BAD_REQUEST, why.to_owned()));
            }
        }
    }
    Ok((scope, rate))
}

fn refused((status, why): Refusal) -> Answer {
    text(status, format!("{why}\n"))
}

fn of_report(report: Result<Value>) -> Answer {
    match report {
        Ok(report) => as_answer(&report),
        Err(error) => {
            let said = said(&error);
            text(StatusCode::INTERNAL_SERVER_ERROR, format!("{said}\n"))
        }
    }
}

fn as_answer(value: &Value) -> Answer {
    answer(StatusCode::OK, "application/json", value.to_string())
}

/// The format that the file `FORMAT` names.
fn format(data: &Path) -> Option<u32> {
    let text = std::fs::read_to_string(data.join("FORMAT")).ok()?;
    let number = text.strip_prefix("partstore format\n")?;
    number.trim_end().parse().ok()
}

/// All of them, after the default one.
fn namespaces(store: &PartStore) -> Result<Vec<Namespace>> {
    let mut found = vec![store.namespace("")?];
    let mut query = ListNamespaces::new();
    loop {
        let page = store.list_namespaces(&query)?;
        found.extend(page.namespaces);
        match page.next {
            Some(next) => query = ListNamespaces::new().after(next),
            None => return Ok(found),
        }
    }
}

fn info_as_json(recovery: &RecoveryReport, stats: &Stats, namespaces: &[Namespace]) -> Value {
    let rebuilt = match &recovery.index {
        IndexRecovery::Rebuilt { reason } => Some(reason),
        _ => None,
    };
    json!({
        "open": {
            "index": rebuilt.map_or("trusted", |_| "rebuilt"),
            "rebuilt_because": rebuilt,
            "journal_batches": recovery.journal_batches,
            "torn_bytes": recovery.torn_bytes,
            "repaired": recovery.repaired.iter().map(file_as_json).collect::<Vec<_>>(),
            "foreign": recovery.foreign.iter().map(|path| path.display().to_string()).collect::<Vec<_>>(),
            "milliseconds": u64::try_from(recovery.elapsed.as_millis()).unwrap_or(u64::MAX),
        },
        "open_uploads": stats.open_uploads,
        "objects": stats.objects,
        "keys": stats.keys,
        "parts": stats.parts,
        "part_bytes": stats.part_bytes,
        "blobs": stats.blobs,
        "blob_bytes": stats.blob_bytes,
        "saved_bytes": super::saved_bytes(stats),
        "garbage_blobs": stats.garbage,
        "journal_bytes": stats.journal_bytes,
        "free_bytes": stats.free_bytes,
        "damaged_files": stats.damaged_files.len(),
        "namespaces": namespaces.iter().map(namespace_as_json).collect::<Vec<_>>(),
    })
}

fn namespace_as_json(namespace: &Namespace) -> Value {
    let usage = &namespace.usage;
    let created = namespace
        .created_at
        .map(|time| humantime::format_rfc3339_seconds(time).to_string());
    json!({ "namespace": namespace.name, "created_at": created, "keys": usage.keys, "objects": usage.objects,
        "bytes": usage.bytes, "open_uploads": usage.open_uploads, "quota_bytes": namespace.quota.max_bytes(),
        "quota_keys": namespace.quota.max_keys() })
}

fn verify_as_json(report: &VerifyReport) -> Value {
    json!({
        "clean": report.is_clean() && !report.cut_short,
        "cut_short": report.cut_short,
        "parts": report.parts,
        "blobs": report.blobs,
        "bytes": report.bytes,
        "damaged_blobs": report.damaged.iter().map(blob_as_json).collect::<Vec<_>>(),
        "damaged_files": report.files.iter().map(file_as_json).collect::<Vec<_>>(),
        "inconsistent": report.inconsistent,
    })
}

fn blob_as_json(blob: &DamagedBlob) -> Value {
    let parts = blob.parts.iter().map(|(upload, number)| {
        json!({ "namespace": upload.namespace(), "key": upload.key(), "id": upload.id().to_string(),
            "part": number.get() })
    });
    json!({ "hash": blob.hash.to_string(), "reason": blob.reason, "parts": parts.collect::<Vec<_>>() })
}

fn file_as_json(file: &DamagedFile) -> Value {
    json!({ "path": file.path.display().to_string(), "offset": file.offset, "reason": file.reason })
}
