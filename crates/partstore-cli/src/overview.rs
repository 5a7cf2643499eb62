//! `info`: the store in numbers, and what opening it found.

use std::fmt::Write;

use partstore::{IndexRecovery, Namespace, PartStore, RecoveryReport, Stats};
use serde_json::{Value, json};

use crate::args::Place;
use crate::failure::{Done, Failure};
use crate::list::{self, namespace_json};
use crate::opening::{self, Named};
use crate::output::{Output, line, size};
use crate::server;

pub fn run(store: &PartStore, place: &Place, out: &mut Output) -> Done {
    let named = opening::named(place)?;
    let stats = store.stats()?;
    let mut namespaces = Vec::new();
    list::each_namespace(store, &mut |namespace| {
        namespaces.push(namespace);
        Ok(())
    })?;
    tell(&as_json(named, store.recovery(), &stats, &namespaces), out)
}

/// Asks a running server.
pub fn ask(address: &str, out: &mut Output) -> Done {
    tell(&server::info(address)?, out)
}

fn tell(info: &Value, out: &mut Output) -> Done {
    out.row(|| info.clone(), || as_text(info))?;
    let repaired = info["open"]["repaired"].as_array().map_or(0, Vec::len);
    if repaired == 0 && info["damaged_files"] == json!(0) {
        return Ok(());
    }
    Err(Failure::Damage(
        "damaged files were found; check the disk, and run `partstore verify`".into(),
    ))
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
        "damaged_files": stats.damaged_files.len(),
        "namespaces": namespaces.iter().map(namespace_json).collect::<Vec<_>>(),
    })
}

fn as_text(info: &Value) -> String {
    let mut text = String::new();
    let mut say = |what: &str, value: String| {
        // Writing to a String cannot fail.
        let _ = writeln!(text, "{what:<14}{value}");
    };
    let number = |field: &str| info[field].as_u64().unwrap_or_default();
    let (open, format) = (&info["open"], &info["format"]);
    // A cluster has none.
    let is_directory = !format.is_null();
    say("store", words(&info["store"]));
    if is_directory {
        say("format", format.to_string());
        say(
            "index",
            match open["rebuilt_because"].as_str() {
                None => "as it was closed".into(),
                Some(why) => format!("rebuilt: {why}"),
            },
        );
    }
    if let Some(torn @ 1..) = open["torn_bytes"].as_u64() {
        say(
            "torn write",
            format!("{} of the journal's end, never acknowledged", size(torn)),
        );
    }
    for file in open["repaired"].as_array().into_iter().flatten() {
        let (path, reason) = (words(&file["path"]), words(&file["reason"]));
        say(
            "REPAIRED",
            format!("{path} at byte {}: {reason}", file["offset"]),
        );
    }
    for path in open["foreign"].as_array().into_iter().flatten() {
        say("foreign file", words(path));
    }
    say("uploads", format!("{} open", number("open_uploads")));
    let (objects, keys) = (number("objects"), number("keys"));
    say(
        "objects",
        format!("{objects}, of which {keys} are the current ones of their keys"),
    );
    let (parts, blobs) = (number("parts"), number("blobs"));
    say("parts", format!("{parts}, {}", size(number("part_bytes"))));
    say(
        "blobs",
        format!("{blobs}, {} on disk", size(number("blob_bytes"))),
    );
    say(
        "deduplication",
        format!("saves {}", size(number("saved_bytes"))),
    );
    say(
        "garbage",
        format!("{} blobs wait for a sweep", number("garbage_blobs")),
    );
    if is_directory {
        say("journal", size(number("journal_bytes")));
        say("disk", format!("{} free", size(number("free_bytes"))));
    }
    for namespace in info["namespaces"].as_array().into_iter().flatten() {
        say("namespace", describe_json(namespace));
    }
    text.truncate(text.trim_end().len());
    text
}

fn words(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

/// A namespace in one line.
pub fn describe(namespace: &Namespace) -> String {
    describe_json(&namespace_json(namespace))
}

fn describe_json(namespace: &Value) -> String {
    let number = |field: &str| namespace[field].as_u64().unwrap_or_default();
    let name = match namespace["namespace"].as_str().unwrap_or_default() {
        "" => "(default)".to_owned(),
        name => line(name),
    };
    let limit = |most: Option<String>| most.map_or(String::new(), |most| format!(" of {most}"));
    let most_keys = namespace["quota_keys"]
        .as_u64()
        .map(|keys| keys.to_string());
    let most_bytes = namespace["quota_bytes"].as_u64().map(size);
    format!(
        "{name}: {} keys{}, {}{}, {} objects, {} open uploads",
        number("keys"),
        limit(most_keys),
        size(number("bytes")),
        limit(most_bytes),
        number("objects"),
        number("open_uploads")
    )
}

fn rebuilt(recovery: &RecoveryReport) -> Option<&str> {
    match &recovery.index {
        IndexRecovery::Rebuilt { reason } => Some(reason),
        _ => None,
    }
}
