//! The store's directory: whether it is one, of which format, and that this process has it alone.

use std::path::Path;

use crate::blob::BlobStore;
use crate::file::{self, Kind, Lock};
use crate::meta::MetaStore;
use crate::options::JournalOptions;
use crate::sabotage::Step;
use crate::{Error, Result};

const FORMAT: u32 = 1;
/// The first line of the `FORMAT` file; the second is the number.
const MAGIC: &str = "partstore format";

/// Whether a store was there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Found {
    Existing,
    Created,
}

/// Locks the directory, makes it a store if it is empty, and refuses anything else. Writes nothing
/// before it is sure.
pub(crate) fn claim(root: &Path, options: &JournalOptions) -> Result<(Lock, Found)> {
    let known = read_format(root)?;
    let lock_file = root.join("LOCK");
    if known == Found::Created {
        // Where there is a LOCK another process may be making the store at this moment: what lies
        // there is looked at under the lock.
        refuse_foreign(root).or_else(|error| lock_file.exists().then_some(()).ok_or(error))?;
        file::create_dirs(root)?;
    }
    let lock = Lock::take(&lock_file)?.ok_or_else(|| Error::StoreLocked {
        path: root.to_owned(),
    })?;
    // Asked again: another process may have made the store before this one had the lock.
    let found = read_format(root)?;
    if found == Found::Created {
        refuse_foreign(root)?;
        create(root, options)?;
    }
    // What made the store may have been killed before this name was durable; all others had to be
    // before it had its FORMAT file.
    file::sync_dir(root)?;
    Ok((lock, found))
}

fn create(root: &Path, options: &JournalOptions) -> Result<()> {
    let format = format!("{MAGIC}\n{FORMAT}\n");
    if Step::StoreBeforeFormat.is_taken() {
        file::write_durably(&root.join("FORMAT"), format.as_bytes())?;
    }
    BlobStore::create(root)?;
    file::create_dir(&root.join("meta"))?;
    MetaStore::create(&root.join("meta"), options)?;
    file::sync_dir(root)?;
    // The directories above may be just as new, whoever made them.
    file::sync_parents(root)?;
    // The last step: without this file all the others are the remains of a creation that did not
    // finish.
    file::write_durably(&root.join("FORMAT"), format.as_bytes())
}

fn read_format(root: &Path) -> Result<Found> {
    let not_a_store = |reason: &str| Error::NotAStore {
        path: root.to_owned(),
        reason: reason.to_owned(),
    };
    let bytes = match file::read_if_present(&root.join("FORMAT")) {
        Ok(Some(bytes)) => bytes,
        Ok(None) => return Ok(Found::Created),
        Err(_) if !root.is_dir() => return Err(not_a_store("it is not a directory")),
        Err(error) => return Err(error),
    };
    let text = String::from_utf8_lossy(&bytes);
    let format = text
        .strip_prefix(MAGIC)
        .and_then(|rest| rest.strip_prefix('\n'))
        .and_then(|rest| rest.trim().parse::<u32>().ok());
    match format {
        Some(FORMAT) => Ok(Found::Existing),
        Some(found) if found > FORMAT => Err(Error::NewerFormat {
            path: root.to_owned(),
            found,
            supported: FORMAT,
        }),
        _ => Err(not_a_store(
            "its FORMAT file is not one of a part store, or is damaged",
        )),
    }
}

/// Without a `FORMAT` file, only what an unfinished creation leaves may lie here: nothing of value
/// can be in it.
fn refuse_foreign(root: &Path) -> Result<()> {
    let not_a_store = |name: &str| Error::NotAStore {
        path: root.to_owned(),
        reason: format!("it holds {name:?}"),
    };
    for (name, kind) in file::list_if_present(root)? {
        let ours = match (name.as_str(), kind) {
            // A file system of its own begins with a lost+found.
            ("LOCK" | "FORMAT.tmp", Kind::File) | ("lost+found", Kind::Directory) => true,
            ("blobs" | "staging", Kind::Directory) => file::list(&root.join(&name))?.is_empty(),
            ("meta", Kind::Directory) => holds_no_records(&root.join(&name))?,
            _ => false,
        };
        if !ours {
            return Err(not_a_store(&name));
        }
    }
    Ok(())
}

/// Whether `meta/` holds at most an empty snapshot directory and the first journal segment, unused.
fn holds_no_records(meta: &Path) -> Result<bool> {
    let names = file::list(meta)?;
    let known = names
        .iter()
        .all(|(name, _)| name == "journal" || name == "snapshot");
    let segments = file::list_if_present(&meta.join("journal"))?;
    let no_snapshot = file::list_if_present(&meta.join("snapshot"))?.is_empty();
    Ok(known && no_snapshot && segments.len() <= 1 && MetaStore::is_unused(meta)?)
}
