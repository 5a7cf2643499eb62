//! What a part store reports, as JSON: what the command `partstore` prints of a store that it has opened, and what
//! `partstore-server` answers the command. Names of fields stay as they are.

mod listing;
mod refusal;
mod verified;
mod whereabouts;

use std::fs;
use std::path::Path;
use std::time::SystemTime;

use partstore::{
    DamagedFile, IndexRecovery, ListNamespaces, Namespace, PartStore, RecoveryReport, Result,
    Stats, SweepReport,
};
use serde_json::{Value, json};

pub use listing::{Listing, Of, Page};
pub use refusal::{Kind, Refusal, of_cluster};
pub use verified::{Verified, pause};
pub use whereabouts::{At, parse_hash, whereabouts};

/// A store in numbers, and what opening it found. `store` says where it is; a cluster has no format.
#[must_use]
pub fn info(
    (store, format): (&str, Option<u32>),
    recovery: &RecoveryReport,
    stats: &Stats,
    namespaces: &[Namespace],
) -> Value {
    let rebuilt = match &recovery.index {
        IndexRecovery::Rebuilt { reason } => Some(reason),
        _ => None,
    };
    json!({
        "store": store,
        "format": format,
        "open": {
            "index": rebuilt.map_or("trusted", |_| "rebuilt"),
            "rebuilt_because": rebuilt,
            "journal_batches": recovery.journal_batches,
            "torn_bytes": recovery.torn_bytes,
            "repaired": recovery.repaired.iter().map(damaged_file).collect::<Vec<_>>(),
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
        "saved_bytes": saved_bytes(stats),
        "garbage_blobs": stats.garbage,
        "journal_bytes": stats.journal_bytes,
        "free_bytes": stats.free_bytes,
        "damaged_files": stats.damaged_files.len(),
        "namespaces": namespaces.iter().map(namespace).collect::<Vec<_>>(),
    })
}

/// What parts with the same bytes save, less what waits for a sweep.
#[must_use]
pub fn saved_bytes(stats: &Stats) -> u64 {
    stats.part_bytes.saturating_sub(stats.blob_bytes)
}

/// A namespace: what it holds, and what it may hold.
#[must_use]
pub fn namespace(namespace: &Namespace) -> Value {
    let usage = &namespace.usage;
    json!({ "namespace": namespace.name, "created_at": namespace.created_at.map(time), "keys": usage.keys,
        "objects": usage.objects, "bytes": usage.bytes, "open_uploads": usage.open_uploads,
        "quota_bytes": namespace.quota.max_bytes(), "quota_keys": namespace.quota.max_keys() })
}

/// All namespaces, after the default one.
///
/// # Errors
/// Those of the store.
pub fn namespaces(store: &PartStore) -> Result<Vec<Namespace>> {
    let mut found = vec![store.namespace("")?];
    let mut query = ListNamespaces::new();
    loop {
        let page = store.list_namespaces(&query)?;
        found.extend(page.namespaces);
        match page.next {
            Some(next) => query = query.after(next),
            None => return Ok(found),
        }
    }
}

/// What a sweep removed.
#[must_use]
pub fn sweep(report: &SweepReport) -> Value {
    json!({ "removed_blobs": report.blobs, "removed_bytes": report.bytes, "removed_orphans": report.orphans,
        "foreign": report.foreign, "cut_short": report.cut_short })
}

/// A damaged file of the journal or the layers.
#[must_use]
pub fn damaged_file(file: &DamagedFile) -> Value {
    json!({ "path": file.path.display().to_string(), "offset": file.offset, "reason": file.reason })
}

/// RFC 3339, UTC, in whole seconds.
#[must_use]
pub fn time(time: SystemTime) -> String {
    humantime::format_rfc3339_seconds(time).to_string()
}

/// The format that the file `FORMAT` of a store's directory names. `None` if it cannot be told: opening the store then
/// says why.
#[must_use]
pub fn format_of(directory: &Path) -> Option<u32> {
    let text = fs::read_to_string(directory.join("FORMAT")).ok()?;
    let number = text.strip_prefix("partstore format\n")?;
    number.trim_end().parse().ok()
}
