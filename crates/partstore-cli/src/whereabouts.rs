//! `where`: the file of a blob, whether it has the bytes of its name, and which parts refer to it.

use std::fs::File;
use std::io;
use std::path::Path;

use partstore::{ContentHash, PartNumber, PartStore, Upload};
use serde_json::{Value, json};

use crate::args::Place;
use crate::failure::{Done, Failure};
use crate::interrupt;
use crate::list::{each_namespace, parse_hash};
use crate::opening;
use crate::output::{Output, name};
use crate::same::hash_of;

/// A part that has the bytes.
struct Reference {
    upload: Upload,
    number: PartNumber,
    kind: &'static str,
}

pub fn run(store: &PartStore, place: &Place, hash: &str, out: &mut Output) -> Done {
    let hash = parse_hash(hash)?;
    let text = hash.to_string();
    let shard = text.get(..2).unwrap_or_default();
    let path = opening::path(place)?.join("blobs").join(shard).join(&text);
    let state = state(&path, &hash)?;
    let references = references(store, &hash)?;
    if state == "missing" && references.is_empty() {
        return Err(Failure::Missing(format!(
            "no blob and no part has the hash {hash}"
        )));
    }
    out.row(
        || {
            let parts = references.iter().map(reference_json).collect::<Vec<_>>();
            json!({ "hash": text, "file": path.display().to_string(), "state": state, "parts": parts })
        },
        || {
            let mut lines = vec![format!("{}: {state}", path.display())];
            lines.extend(references.iter().map(reference_line));
            if references.is_empty() {
                lines.push("no part refers to it; `partstore sweep` removes it".into());
            }
            lines.join("\n")
        },
    )?;
    match state {
        "whole" => Ok(()),
        _ => Err(Failure::Damage(format!(
            "the blob is {state}; put the same bytes again, or copy its file back from a backup"
        ))),
    }
}

fn state(path: &Path, hash: &ContentHash) -> Done<&'static str> {
    let mut file = match File::open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok("missing"),
        opened => opened.map_err(Failure::file("open", path))?,
    };
    if hash_of(&mut file, path)?.as_bytes() == hash.as_bytes() {
        Ok("whole")
    } else {
        Ok("damaged")
    }
}

/// Looks at all parts: the store has no list of a blob's parts that is kept for this.
fn references(store: &PartStore, hash: &ContentHash) -> Done<Vec<Reference>> {
    let mut found = Vec::new();
    let mut note = |upload: &Upload, number, kind| {
        let upload = upload.clone();
        found.push(Reference {
            upload,
            number,
            kind,
        });
    };
    for object in store.objects() {
        interrupt::check()?;
        let object = object?;
        for placed in store.open_object(&object.upload)?.parts() {
            let placed = placed?;
            if placed.part.content == *hash {
                note(&object.upload, placed.part.number, "object");
            }
        }
    }
    each_namespace(store, &mut |namespace| {
        for info in store.uploads((namespace.name.as_str(), "")) {
            interrupt::check()?;
            let upload = info?.upload;
            for part in store.parts(&upload) {
                let part = part?;
                if part.content == *hash {
                    note(&upload, part.number, "upload");
                }
            }
        }
        Ok(())
    })?;
    Ok(found)
}

fn reference_json(reference: &Reference) -> Value {
    let upload = &reference.upload;
    json!({ "namespace": upload.namespace(), "key": upload.key(), "id": upload.id().to_string(),
        "part": reference.number.get(), "kind": reference.kind })
}

fn reference_line(reference: &Reference) -> String {
    let upload = &reference.upload;
    let (number, name) = (reference.number, name(upload.full_key()));
    format!(
        "  part {number} of the {} {name}, id {}",
        reference.kind,
        upload.id()
    )
}
