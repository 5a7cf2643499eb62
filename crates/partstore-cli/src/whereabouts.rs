//! `where`: the file of a blob, whether it has the bytes of its name, and which parts refer to it.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::Path;

use partstore::{ContentHash, Error, PartNumber, PartStore, Upload};
use serde_json::{Value, json};

use crate::args::Place;
use crate::failure::{Done, Failure};
use crate::interrupt;
use crate::list::{each_namespace, parse_hash};
use crate::opening::{self, Named};
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
    let references = references(store, &hash)?;
    let (at, state) = match opening::named(place)? {
        Named::Directory(root) => {
            let shard = text.get(..2).unwrap_or_default();
            // Also a file that no row names.
            let path = root.join("blobs").join(shard).join(&text);
            (path.display().to_string(), state_of_file(&path, &hash)?)
        }
        Named::Cluster { blobs, .. } => {
            let name = store.blob_name(&hash)?;
            let at = name.map(|name| format!("{}/{name}", blobs.trim_end_matches('/')));
            let state = state_of_parts(store, at.is_some(), &references)?;
            (at.unwrap_or_default(), state)
        }
    };
    if state == "missing" && references.is_empty() {
        return Err(Failure::Missing(format!(
            "no blob and no part has the hash {hash}"
        )));
    }
    out.row(
        || {
            let parts = references.iter().map(reference_json).collect::<Vec<_>>();
            json!({ "hash": text, "file": at, "state": state, "parts": parts })
        },
        || {
            let mut lines = vec![format!("{at}: {state}")];
            lines.extend(references.iter().map(reference_line));
            if references.is_empty() {
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

/// The state of bytes in a bucket. Bytes that no part refers to may be removed at any time.
fn state_of_parts(
    store: &PartStore,
    is_known: bool,
    references: &[Reference],
) -> Done<&'static str> {
    let Some(reference) = references.first() else {
        return Ok(if is_known { "not read" } else { "missing" });
    };
    match read(store, reference) {
        Ok(()) => Ok("whole"),
        Err(Failure::Store(Error::DamagedBlob { .. })) => Ok("damaged"),
        Err(error) => Err(error),
    }
}

/// Reads all of a part, which is compared with its checksums.
fn read(store: &PartStore, reference: &Reference) -> Done {
    let (upload, number) = (&reference.upload, reference.number);
    if reference.kind == "upload" {
        return drain(&mut store.open_part(upload, number)?);
    }
    let mut object = store.open_object(upload)?;
    let placed = object.placed_part(number)?;
    object
        .seek(SeekFrom::Start(placed.offset))
        .map_err(of_store)?;
    drain(&mut object.take(placed.part.size))
}

fn drain(from: &mut impl Read) -> Done {
    let drained = io::copy(from, &mut io::sink());
    drained.map(drop).map_err(of_store)
}

fn of_store(error: io::Error) -> Failure {
    match Error::from_io(error) {
        Ok(error) => error.into(),
        Err(error) => Failure::file("read", Path::new("the bucket"))(error),
    }
}

fn state_of_file(path: &Path, hash: &ContentHash) -> Done<&'static str> {
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
