//! `get` and `export`: an object to stdout or to a file, verified while it is read.

use std::fs;
use std::io::{Seek, SeekFrom};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use partstore::{ExportOptions, Key, ObjectReader, PartStore};
use serde_json::json;

use crate::args::{Export, Get};
use crate::aside::{Aside, refuse_existing};
use crate::failure::{Done, Failure, conclude};
use crate::interrupt;
use crate::list::each_key;
use crate::output::{Output, bar, eprint_line, name, size};
use crate::same::is_same;
use crate::spelling;

/// The most bytes of a step.
const STEP: usize = 2 << 20;

pub fn get(store: &PartStore, get: &Get, out: &mut Output) -> Done {
    let mut object = store.open_key(get.object.key())?;
    let (first, len) = bounds(&object, get.range)?;
    if get.file == Path::new("-") {
        return copy(&mut object, first, len, &mut |bytes| out.bytes(bytes));
    }
    let mut file = Aside::create(&get.file, get.force)?;
    copy(&mut object, first, len, &mut |bytes| file.write(bytes))?;
    file.publish()
}

/// Where to begin and how many bytes there are.
fn bounds(object: &ObjectReader, range: Option<(u64, Option<u64>)>) -> Done<(u64, u64)> {
    let size = object.object().size;
    let Some((first, last)) = range else {
        return Ok((0, size));
    };
    if first >= size {
        return Err(Failure::Usage(format!(
            "the range begins at byte {first}, and the object has {size} bytes"
        )));
    }
    let end = last.map_or(size, |last| size.min(last.saturating_add(1)));
    Ok((first, end - first))
}

fn copy(
    object: &mut ObjectReader,
    first: u64,
    len: u64,
    to: &mut dyn FnMut(&[u8]) -> Done,
) -> Done {
    if first > 0 {
        let sought = object.seek(SeekFrom::Start(first));
        sought.map_err(Failure::file("read", Path::new("the object")))?;
    }
    let mut left = len;
    while left > 0 {
        interrupt::check()?;
        let most = usize::try_from(left).unwrap_or(STEP).min(STEP);
        let chunk = object.next_chunk(most)?;
        left -= chunk.len() as u64;
        to(&chunk)?;
    }
    Ok(())
}

pub fn run(store: &PartStore, export: &Export, out: &mut Output) -> Done {
    match &export.file {
        Some(file) => {
            let key = Key::new(&export.namespace, &export.key);
            let object = store.open_key(&key)?;
            let bar = bar(object.object().size);
            to_file(&object, file, export.force, &|bytes| bar.inc(bytes))?;
            bar.finish_and_clear();
            let bytes = object.object().size;
            out.row(
                || json!({ "namespace": key.namespace(), "key": key.as_str(), "file": file.display().to_string(), "size": bytes }),
                || format!("exported {} to {}, {}", name(&key), file.display(), size(bytes)),
            )
        }
        None => all(store, export, out),
    }
}

/// Makes a file of an object, durably, by a reflink where the file system has them. Each block is checked against its
/// checksum, and each part against its BLAKE3 hash.
fn to_file(object: &ObjectReader, named: &Path, force: bool, progress: &dyn Fn(u64)) -> Done {
    refuse_existing(named, force)?;
    let mut options = ExportOptions::new();
    if force {
        options = options.replace();
    }
    let mut before = 0;
    let report = object.export(named, options, |told| {
        progress(told.done - before);
        before = told.done;
        if interrupt::is_set() {
            ControlFlow::Break(())
        } else {
            ControlFlow::Continue(())
        }
    })?;
    if report.cut_short {
        return Err(Failure::Interrupted);
    }
    Ok(())
}

/// What was done with all keys.
#[derive(Default)]
struct Tally {
    exported: u64,
    bytes: u64,
    present: u64,
    failed: u64,
    damaged: bool,
}

fn all(store: &PartStore, export: &Export, out: &mut Output) -> Done {
    let root = PathBuf::from(&export.key);
    fs::create_dir_all(&root).map_err(Failure::file("create", &root))?;
    let mut tally = Tally::default();
    let bar = bar(store.namespace(&export.namespace)?.usage.bytes);
    each_key(store, &export.namespace, &export.prefix, &mut |entry| {
        let key = Key::new(&export.namespace, entry.key);
        let done = one_of_all(store, &key, &root, export.force, &mut tally, &|bytes| {
            bar.inc(bytes);
        });
        match done {
            // These would meet all others, too.
            Err(failure @ (Failure::Interrupted | Failure::OutputClosed)) => Err(failure),
            Err(failure) if failure.exit_code() == 9 => Err(failure),
            Err(failure) => {
                tally.failed += 1;
                tally.damaged |= failure.exit_code() == 4;
                eprint_line(&format!("{}: {}", name(&key), failure.line()));
                Ok(())
            }
            Ok(()) => Ok(()),
        }
    })?;
    bar.finish_and_clear();
    out.row(
        || json!({ "exported": tally.exported, "bytes": tally.bytes, "present": tally.present, "failed": tally.failed }),
        || {
            let bytes = size(tally.bytes);
            format!("exported {} objects, {bytes}; {} were there; {} failed", tally.exported, tally.present, tally.failed)
        },
    )?;
    conclude(tally.failed, tally.damaged, "objects were not exported")
}

fn one_of_all(
    store: &PartStore,
    key: &Key,
    root: &Path,
    force: bool,
    tally: &mut Tally,
    progress: &dyn Fn(u64),
) -> Done {
    let object = store.open_key(key)?;
    let path = spelling::place(root, key.as_str())?;
    if path.is_file() && is_same(&path, &object)? {
        tally.present += 1;
        progress(object.object().size);
        return Ok(());
    }
    to_file(&object, &path, force, progress)?;
    tally.exported += 1;
    tally.bytes += object.object().size;
    Ok(())
}
