//! `where`: the file of a blob, whether it has the bytes of its name, and which parts refer to it.

use partstore::{Key, PartStore};
use partstore_reports::At;
use serde_json::Value;

use crate::args::Place;
use crate::failure::{Done, Failure};
use crate::interrupt;
use crate::list::parse_hash;
use crate::opening::{self, Named};
use crate::output::{Output, name};
use crate::server::Server;

pub fn run(store: &PartStore, place: &Place, hash: &str, out: &mut Output) -> Done {
    let hash = parse_hash(hash)?;
    let at = match opening::named(place)? {
        Named::Directory(root) => At::Directory(root),
        Named::Cluster { blobs, .. } => At::Bucket(blobs),
    };
    let found = partstore_reports::whereabouts(store, at, &hash, &|| !interrupt::is_set())?;
    tell(&found.ok_or(Failure::Interrupted)?, out)
}

/// Asks a running server.
pub fn ask(address: &str, hash: &str, out: &mut Output) -> Done {
    tell(&Server::at(address).locate(&parse_hash(hash)?)?, out)
}

fn tell(found: &Value, out: &mut Output) -> Done {
    let (state, parts) = (text(found, "state"), found["parts"].as_array());
    if state == "missing" && parts.is_some_and(Vec::is_empty) {
        return Err(Failure::Missing(format!(
            "no blob and no part has the hash {}",
            text(found, "hash")
        )));
    }
    out.row(
        || found.clone(),
        || {
            let mut lines = vec![format!("{}: {state}", text(found, "file"))];
            lines.extend(parts.into_iter().flatten().map(reference));
            if lines.len() == 1 {
                lines.push("no part refers to it; `partstore sweep` removes it".into());
            }
            lines.join("\n")
        },
    )?;
    match state {
        "whole" | "not read" => Ok(()),
        _ => Err(Failure::Damage(format!(
            "the blob is {state}; put the same bytes again, or copy its file back from a backup"
        ))),
    }
}

fn reference(part: &Value) -> String {
    let (number, kind, id) = (&part["part"], text(part, "kind"), text(part, "id"));
    let name = name(&Key::new(text(part, "namespace"), text(part, "key")));
    format!("  part {number} of the {kind} {name}, id {id}")
}

fn text<'a>(of: &'a Value, field: &str) -> &'a str {
    of[field].as_str().unwrap_or_default()
}
