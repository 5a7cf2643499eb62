//! [`whereabouts`]: where the bytes of a hash are, whether they are whole, and which parts have them.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::Path;

use partstore::{
    ContentHash, Error, ObjectReader, PartNumber, PartReader, PartStore, Result, Upload,
};
use serde_json::{Value, json};

use crate::namespaces;

/// Bytes that are read at a time.
const CHUNK: usize = 1 << 17;

/// Where a store keeps its bytes.
#[derive(Clone, Copy, Debug)]
pub enum At<'a> {
    /// The directory of the store.
    Directory(&'a Path),
    /// The address of a cluster's bucket.
    Bucket(&'a str),
}

/// Whether the search goes on.
type Going<'a> = &'a dyn Fn() -> bool;

/// A part that has the bytes: its upload's id and its number find it once, also if the upload ends in the meantime.
type References = BTreeMap<(String, PartNumber), (Upload, &'static str)>;

/// The hash of a blob. `None` if the text is no BLAKE3 hash.
#[must_use]
pub fn parse_hash(text: &str) -> Option<ContentHash> {
    let mut bytes = [0; 32];
    hex::decode_to_slice(text, &mut bytes).ok()?;
    Some(ContentHash::from_bytes(bytes))
}

/// Says where the bytes of a hash are: `file`, its `state`, and the `parts` that have them. `None` if the search was told
/// to end.
///
/// # Cost
/// Looks at all parts: a store has no list of a blob's parts that is kept for this. Reads the bytes once.
///
/// # Errors
/// Those of the store.
pub fn whereabouts(
    store: &PartStore,
    at: At<'_>,
    hash: &ContentHash,
    going: Going<'_>,
) -> Result<Option<Value>> {
    let Some(references) = references(store, hash, going)? else {
        return Ok(None);
    };
    let text = hash.to_string();
    let (file, state) = match at {
        At::Directory(root) => {
            let shard = text.get(..2).unwrap_or_default();
            // Also a file that no row names.
            let path = root.join("blobs").join(shard).join(&text);
            let state = state_of_file(&path, hash, going)?;
            (path.display().to_string(), state)
        }
        At::Bucket(blobs) => {
            let name = store.blob_name(hash)?;
            let at = name.map(|name| format!("{}/{name}", blobs.trim_end_matches('/')));
            let state = state_of_parts(store, at.is_some(), &references, going)?;
            (at.unwrap_or_default(), state)
        }
    };
    let Some(state) = state else {
        return Ok(None);
    };
    // Objects first.
    let (objects, uploads): (Vec<_>, Vec<_>) = references
        .iter()
        .partition(|(_, (_, kind))| *kind == "object");
    let parts = objects.into_iter().chain(uploads).map(as_json);
    let parts = parts.collect::<Vec<_>>();
    Ok(Some(
        json!({ "hash": text, "file": file, "state": state, "parts": parts }),
    ))
}

fn as_json(((id, number), (upload, kind)): (&(String, PartNumber), &(Upload, &str))) -> Value {
    json!({ "namespace": upload.namespace(), "key": upload.key(), "id": id, "part": number.get(), "kind": kind })
}

/// Uploads before objects: one that is completed in the meantime is found as one of both.
fn references(
    store: &PartStore,
    hash: &ContentHash,
    going: Going<'_>,
) -> Result<Option<References>> {
    let mut found = References::new();
    let mut note = |upload: &Upload, number, kind| {
        let id = upload.id().to_string();
        found.insert((id, number), (upload.clone(), kind));
    };
    for namespace in namespaces(store)? {
        for info in unless_gone(store.uploads((namespace.name.as_str(), ""))) {
            let upload = info?.upload;
            for part in unless_gone(store.parts(&upload)) {
                if !going() {
                    return Ok(None);
                }
                let part = part?;
                if part.content == *hash {
                    note(&upload, part.number, "upload");
                }
            }
        }
    }
    for object in store.objects() {
        let upload = object?.upload;
        let opened = match store.open_object(&upload) {
            Err(error) if is_gone(&error) => continue,
            opened => opened?,
        };
        for placed in opened.parts() {
            if !going() {
                return Ok(None);
            }
            let part = placed?.part;
            if part.content == *hash {
                note(&upload, part.number, "object");
            }
        }
    }
    Ok(Some(found))
}

/// Others may end an upload and remove a namespace in the meantime. Neither has parts then.
fn unless_gone<T>(listed: impl Iterator<Item = Result<T>>) -> impl Iterator<Item = Result<T>> {
    listed.take_while(|row| !row.as_ref().is_err_and(is_gone))
}

fn is_gone(error: &Error) -> bool {
    matches!(
        error,
        Error::NoSuchUpload { .. } | Error::NoSuchObject { .. } | Error::NoSuchNamespace { .. }
    )
}

/// `None` if it was told to end.
fn state_of_file(
    path: &Path,
    hash: &ContentHash,
    going: Going<'_>,
) -> Result<Option<&'static str>> {
    let failed = |op| {
        move |source| Error::Io {
            op,
            path: path.to_owned(),
            source,
        }
    };
    let mut file = match File::open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Some("missing")),
        opened => opened.map_err(failed("open"))?,
    };
    let (mut hashed, mut buffer) = (blake3::Hasher::new(), vec![0; CHUNK]);
    while going() {
        let read = file.read(&mut buffer).map_err(failed("read"))?;
        match buffer.get(..read) {
            None | Some([]) => {
                let is_whole = hashed.finalize().as_bytes() == hash.as_bytes();
                return Ok(Some(if is_whole { "whole" } else { "damaged" }));
            }
            Some(bytes) => hashed.update(bytes),
        };
    }
    Ok(None)
}

/// The state of bytes in a bucket. Bytes that no part refers to may be removed at any time.
fn state_of_parts(
    store: &PartStore,
    is_known: bool,
    references: &References,
    going: Going<'_>,
) -> Result<Option<&'static str>> {
    for ((_, number), (upload, kind)) in references {
        let read = match *kind {
            "upload" => read_part(store.open_part(upload, *number), going),
            _ => read_of_object(store.open_object(upload), *number, going),
        };
        match read {
            Ok(true) => return Ok(Some("whole")),
            Ok(false) => return Ok(None),
            Err(Error::DamagedBlob { .. }) => return Ok(Some("damaged")),
            // Another part may have the bytes.
            Err(error) if is_gone(&error) || matches!(error, Error::NoSuchPart { .. }) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(Some(if is_known { "not read" } else { "missing" }))
}

/// Reads all of a part, which is compared with its checksums. `false` if it was told to end.
fn read_part(opened: Result<PartReader>, going: Going<'_>) -> Result<bool> {
    let mut part = opened?;
    while going() {
        if part.next_chunk(CHUNK)?.is_empty() {
            return Ok(true);
        }
    }
    Ok(false)
}

fn read_of_object(
    opened: Result<ObjectReader>,
    number: PartNumber,
    going: Going<'_>,
) -> Result<bool> {
    let mut object = opened?;
    let placed = object.placed_part(number)?;
    let sought = object.seek(SeekFrom::Start(placed.offset));
    sought.map_err(of_store)?;
    let mut left = placed.part.size;
    while going() {
        let most = usize::try_from(left).unwrap_or(CHUNK).min(CHUNK);
        let chunk = object.next_chunk(most)?;
        left -= chunk.len() as u64;
        if left == 0 || chunk.is_empty() {
            return Ok(true);
        }
    }
    Ok(false)
}

/// A reader's error is the store's.
fn of_store(error: io::Error) -> Error {
    Error::from_io(error).unwrap_or_else(|source| Error::Io {
        op: "read",
        path: "the bucket".into(),
        source,
    })
}
