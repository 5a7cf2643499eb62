//! `info`: the store in numbers, and what opening it found.

use std::fmt::Write;

use partstore::{IndexRecovery, Namespace, PartStore, RecoveryReport, Stats};
use serde_json::{Value, json};

use crate::args::Place;
use crate::failure::{Done, Failure};
use crate::list::{self, namespace_json};
use crate::opening::{self, Named};
use crate::output::{Output, line, size};

pub fn run(store: &PartStore, place: &Place, out: &mut Output) -> Done {
    let named = opening::named(place)?;
    let stats = store.stats()?;
    let mut namespaces = Vec::new();
    list::each_namespace(store, &mut |namespace| {
        namespaces.push(namespace);
        Ok(())
    })?;
    out.row(
        || as_json(named, store.recovery(), &stats, &namespaces),
        || as_text(named, store.recovery(), &stats, &namespaces),
    )?;
    let damaged = store.recovery().repaired.len() + stats.damaged_files.len();
    match damaged {
        0 => Ok(()),
        _ => Err(Failure::Damage(
            "damaged files were found; check the disk, and run `partstore verify`".into(),
        )),
    }
}

fn as_json(
    named: Named<'_>,
    recovery: &RecoveryReport,
    stats: &Stats,
    namespaces: &[Namespace],
) -> Value {
    let repaired = recovery.repaired.iter().map(|file| {
        json!({ "path": file.path.display().to_string(), "offset": file.offset, "reason": file.reason })
    });
    json!({
        "store": named.to_string(),
        "format": named.format(),
        "open": {
            "index": rebuilt(recovery).map_or("trusted", |_| "rebuilt"),
            "rebuilt_because": rebuilt(recovery),
            "journal_batches": recovery.journal_batches,
            "torn_bytes": recovery.torn_bytes,
            "repaired": repaired.collect::<Vec<_>>(),
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
        "saved_bytes": stats.part_bytes.saturating_sub(stats.blob_bytes),
        "garbage_blobs": stats.garbage,
        "journal_bytes": stats.journal_bytes,
        "free_bytes": stats.free_bytes,
        "namespaces": namespaces.iter().map(namespace_json).collect::<Vec<_>>(),
    })
}

fn as_text(
    named: Named<'_>,
    recovery: &RecoveryReport,
    stats: &Stats,
    namespaces: &[Namespace],
) -> String {
    let mut text = String::new();
    let mut say = |what: &str, value: String| {
        // Writing to a String cannot fail.
        let _ = writeln!(text, "{what:<14}{value}");
    };
    say("store", named.to_string());
    if let Named::Directory(_) = named {
        let format = named.format().map(|format| format.to_string());
        say("format", format.unwrap_or("?".into()));
        say(
            "index",
            rebuilt(recovery).map_or("as it was closed".into(), |why| format!("rebuilt: {why}")),
        );
    }
    if recovery.torn_bytes > 0 {
        say(
            "torn write",
            format!(
                "{} of the journal's end, never acknowledged",
                size(recovery.torn_bytes)
            ),
        );
    }
    for file in &recovery.repaired {
        say(
            "REPAIRED",
            format!(
                "{} at byte {}: {}",
                file.path.display(),
                file.offset,
                file.reason
            ),
        );
    }
    for path in &recovery.foreign {
        say("foreign file", path.display().to_string());
    }
    say("uploads", format!("{} open", stats.open_uploads));
    say(
        "objects",
        format!(
            "{}, of which {} are the current ones of their keys",
            stats.objects, stats.keys
        ),
    );
    say(
        "parts",
        format!("{}, {}", stats.parts, size(stats.part_bytes)),
    );
    say(
        "blobs",
        format!("{}, {} on disk", stats.blobs, size(stats.blob_bytes)),
    );
    say(
        "deduplication",
        format!(
            "saves {}",
            size(stats.part_bytes.saturating_sub(stats.blob_bytes))
        ),
    );
    say(
        "garbage",
        format!("{} blobs wait for a sweep", stats.garbage),
    );
    if let Named::Directory(_) = named {
        say("journal", size(stats.journal_bytes));
        say("disk", format!("{} free", size(stats.free_bytes)));
    }
    for namespace in namespaces {
        say("namespace", describe(namespace));
    }
    text.truncate(text.trim_end().len());
    text
}

/// A namespace in one line.
pub fn describe(namespace: &Namespace) -> String {
    let name = match namespace.name.as_str() {
        "" => "(default)".to_owned(),
        name => line(name),
    };
    let usage = &namespace.usage;
    let limit = |most: Option<String>| most.map_or(String::new(), |most| format!(" of {most}"));
    format!(
        "{name}: {} keys{}, {}{}, {} objects, {} open uploads",
        usage.keys,
        limit(namespace.quota.max_keys().map(|keys| keys.to_string())),
        size(usage.bytes),
        limit(namespace.quota.max_bytes().map(size)),
        usage.objects,
        usage.open_uploads
    )
}

fn rebuilt(recovery: &RecoveryReport) -> Option<&str> {
    match &recovery.index {
        IndexRecovery::Rebuilt { reason } => Some(reason),
        _ => None,
    }
}
