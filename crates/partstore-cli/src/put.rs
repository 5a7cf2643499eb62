//! `put`: a file or stdin becomes the object of a key.

use std::fs::File;
use std::io::{self, Cursor, Read};
use std::path::Path;

use partstore::{
    CompleteOptions, CompletedPart, Condition, Error, Key, Object, ObjectOptions, PartNumber,
    PartOptions, PartStore, Quota,
};
use serde_json::json;

use crate::args::Put;
use crate::failure::{Done, Failure};
use crate::interrupt;
use crate::output::{Output, name, size};

/// What is put in one piece. Longer bodies become parts of this length: so 10,000 of them are 10 TiB.
const PIECE: u64 = 1 << 30;
/// How much of a body of unknown length is read before it is put in parts.
const PEEKED: u64 = 4 << 20;

pub fn run(store: &PartStore, put: &Put, out: &mut Output) -> Done {
    let key = put.object.key();
    if put.create {
        create_namespace(store, key.namespace())?;
    }
    let object = match put.file.as_path() {
        path if path == Path::new("-") => {
            body(store, &key, &mut Heeding(io::stdin().lock()), None)?
        }
        path => file(store, &key, path)?,
    };
    out.row(
        || {
            json!({ "namespace": key.namespace(), "key": key.as_str(), "id": object.upload.id().to_string(),
                "size": object.size, "etag": object.etag.to_string(), "parts": object.parts })
        },
        || format!("put {}: {}, ETag {}", name(&key), size(object.size), object.etag),
    )
}

/// Makes a namespace, unless it exists.
pub fn create_namespace(store: &PartStore, name: &str) -> Done {
    if name.is_empty() {
        return Ok(());
    }
    match store.create_namespace(name, Quota::new()) {
        Err(Error::NamespaceExists { .. }) | Ok(()) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// Puts a file.
pub fn file(store: &PartStore, key: &Key, path: &Path) -> Done<Object> {
    let opened = File::open(path).map_err(Failure::file("open", path))?;
    let metadata = opened.metadata().map_err(Failure::file("read", path))?;
    if metadata.is_dir() {
        return Err(Failure::Usage(format!(
            "{} is a directory; `partstore import` takes one",
            path.display()
        )));
    }
    // What is no regular file says nothing of its length.
    let length = metadata.is_file().then_some(metadata.len());
    body(store, key, &mut Heeding(opened), length)
}

/// Puts a body whose length may be known.
fn body(store: &PartStore, key: &Key, from: &mut impl Read, length: Option<u64>) -> Done<Object> {
    let known = match length {
        Some(length) => ObjectOptions::new().body(PartOptions::new().content_length(length)),
        None => ObjectOptions::new(),
    };
    match length {
        Some(length) if length <= PIECE => Ok(store.put_object_from(key, from, known)?),
        Some(_) => in_parts(store, key, from),
        None => {
            let mut begin = Vec::new();
            let read = from.take(PEEKED).read_to_end(&mut begin);
            read.map_err(|error| unread(Path::new("the body"), error))?;
            if (begin.len() as u64) < PEEKED {
                Ok(store.put_object_with(key, begin, &known)?)
            } else {
                in_parts(store, key, &mut Cursor::new(begin).chain(from))
            }
        }
    }
}

fn unread(what: &Path, error: io::Error) -> Failure {
    if interrupt::is_set() {
        Failure::Interrupted
    } else {
        Failure::file("read", what)(error)
    }
}

/// Puts a body as parts, and completes the upload. Whatever fails, the upload is aborted.
fn in_parts(store: &PartStore, key: &Key, from: &mut impl Read) -> Done<Object> {
    let upload = store.initiate_upload(key)?;
    let done = parts(store, &upload, from).and_then(|parts| {
        let current = CompleteOptions::new().make_current(Condition::Always);
        Ok(store.complete_upload_with(&upload, &parts, &current)?)
    });
    if done.is_err() {
        // What made the put fail may keep this from succeeding, too: `expire` does it later.
        let _ = store.abort_upload(&upload);
    }
    done
}

fn parts(
    store: &PartStore,
    upload: &partstore::Upload,
    from: &mut impl Read,
) -> Done<Vec<CompletedPart>> {
    let mut parts = Vec::new();
    for number in 1.. {
        let number = PartNumber::new(number)?;
        let part = store.put_part_from(
            upload,
            number,
            from.by_ref().take(PIECE),
            PartOptions::new(),
        )?;
        let last = part.size < PIECE;
        // A body that ends with a piece has no empty part behind it.
        if part.size > 0 || parts.is_empty() {
            parts.push(CompletedPart::from(&part));
        }
        if last {
            break;
        }
    }
    Ok(parts)
}

/// A reader that fails once a signal has come.
struct Heeding<R>(R);

impl<R: Read> Read for Heeding<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        if interrupt::is_set() {
            return Err(io::Error::other("interrupted"));
        }
        self.0.read(into)
    }
}
