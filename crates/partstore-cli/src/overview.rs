//! `info`: the store in numbers, and what opening it found.

use std::fmt::Write;

use partstore::{Namespace, PartStore};
use serde_json::{Value, json};

use crate::args::Place;
use crate::failure::{Done, Failure};
use crate::list;
use crate::opening;
use crate::output::{Output, line, size};
use crate::server::Server;

pub fn run(store: &PartStore, place: &Place, out: &mut Output) -> Done {
    let named = opening::named(place)?;
    let stats = store.stats()?;
    let mut namespaces = Vec::new();
    list::each_namespace(store, &mut |namespace| {
        namespaces.push(namespace);
        Ok(())
    })?;
    let place = named.to_string();
    let named = (&*place, named.format());
    let info = partstore_reports::info(named, store.recovery(), &stats, &namespaces);
    tell(&info, out)
}

/// Asks a running server.
pub fn ask(address: &str, out: &mut Output) -> Done {
    tell(&Server::at(address).info()?, out)
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
            format!(
                "{} of the journal's end; never acknowledged, unless something else has damaged the file",
                size(torn)
            ),
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
    describe_json(&partstore_reports::namespace(namespace))
}

/// The same, of its report.
pub fn describe_json(namespace: &Value) -> String {
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
