//! The store's directory: whether it is a store, which format it has, and that this process alone has it
//! open.

use std::path::Path;

use crate::local::blob::BlobFiles;
use crate::local::file::{self, Dir, Kind, Lock};
use crate::local::meta::MetaStore;
use crate::values::options::{JournalOptions, Making};
use crate::{Error, Options, Result};

pub(crate) const FORMAT: u32 = 4;
/// The first line of the `FORMAT` file. The second line is the number.
const MAGIC: &str = "partstore format";
/// The file of a directory into which a store is being restored. It says from where.
pub(crate) const RESTORING: &str = "RESTORING";

/// Whether a store existed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Found {
    Store,
    /// Of an older format, which this version continues.
    OlderStore,
    Nothing,
}

/// Opens and locks the directory. Makes it a store if it is empty, and refuses anything else. Writes
/// nothing before it is sure.
pub(crate) fn lock_or_create(path: &Path, options: &Options) -> Result<(Lock, Found)> {
    let root = open(path, options)?;
    root.health().observed_by(&options.witness);
    if read_format(&root)? == Found::Nothing {
        refuse_missing(path, options)?;
        // If LOCK exists, another process may be making the store at this moment. So the contents are
        // checked under the lock. It may also have begun while they were looked at.
        let is_being_made = || Ok::<_, Error>(root.at("LOCK").id()?.is_some());
        if !is_being_made()?
            && let Err(refusal) = refuse_foreign(&root)
            && !is_being_made()?
        {
            return Err(refusal);
        }
    }
    let lock = Lock::take(&root, "LOCK")?.ok_or_else(|| Error::StoreLocked {
        path: path.to_owned(),
    })?;
    // Read again, because another process may have made the store before this one had the lock.
    let found = read_format(&root)?;
    if found == Found::Nothing {
        refuse_foreign(&root)?;
        create(&root, &options.journal)?;
    } else if root.at(RESTORING).id()?.is_some() {
        // A kill came between FORMAT, which ends a restore, and the removal of its note.
        file::remove_if_present(&root.at(RESTORING))?;
    }
    // The process that made the store may have been killed before this name was durable. All other names
    // had to be durable before FORMAT was written.
    root.sync()?;
    Ok((lock, found))
}

/// Opens the directory. If it is missing, makes it and the directories above it.
fn open(path: &Path, options: &Options) -> Result<Dir> {
    let opened = match Dir::open(path, options.mode) {
        Err(error) if error.is_not_found() => {
            refuse_missing(path, options)?;
            file::create_dirs(path, options.mode)?;
            Dir::open(path, options.mode)
        }
        opened => opened,
    };
    opened.map_err(|error| of_the_path(path, error))
}

fn of_the_path(path: &Path, error: Error) -> Error {
    if error.is_not_a_directory() {
        not_a_store(path, "it is not a directory".to_owned())
    } else {
        error
    }
}

fn no_store(path: &Path) -> Error {
    Error::NoSuchStore {
        path: path.to_owned(),
    }
}

/// Opens the directory of a store that exists.
///
/// # Errors
/// [`Error::NoSuchStore`], [`Error::NotAStore`], [`Error::NewerFormat`], [`Error::Io`].
#[cfg(not(shuttle))]
pub(crate) fn open_to_read(path: &Path, mode: u32) -> Result<Dir> {
    let root = match Dir::open(path, mode) {
        Err(error) if error.is_not_found() => return Err(no_store(path)),
        opened => opened.map_err(|error| of_the_path(path, error))?,
    };
    if read_format(&root)? == Found::Nothing {
        refuse_foreign(&root)?;
        return Err(no_store(path));
    }
    Ok(root)
}

fn refuse_missing(path: &Path, options: &Options) -> Result<()> {
    match options.making {
        Making::Allowed => Ok(()),
        Making::Refused => Err(no_store(path)),
    }
}

fn create(root: &Dir, options: &JournalOptions) -> Result<()> {
    BlobFiles::create(root)?;
    root.create_dir("meta")?;
    MetaStore::create(&root.dir("meta")?, options)?;
    root.sync()?;
    // The directories above may be just as new, whoever made them.
    file::sync_parents(root.path())?;
    // The last step: without this file all others are the remains of a creation that did not finish.
    write_format(root, FORMAT)
}

/// Makes an older store one of this format. From here on older versions refuse it, and rows of the new form
/// may be written. Rows of the old form stay as they are.
pub(crate) fn accept_format(root: &Dir, found: Found) -> Result<()> {
    match found {
        Found::OlderStore => write_format(root, FORMAT),
        Found::Store | Found::Nothing => Ok(()),
    }
}

fn write_format(root: &Dir, format: u32) -> Result<()> {
    let format = format!("{MAGIC}\n{format}\n");
    file::write_durably(&root.at("FORMAT"), format.as_bytes())
}

fn read_format(root: &Dir) -> Result<Found> {
    let Some(bytes) = file::read_if_present(&root.at("FORMAT"))? else {
        return Ok(Found::Nothing);
    };
    let text = String::from_utf8_lossy(&bytes);
    let format = text
        .strip_prefix(MAGIC)
        .and_then(|rest| rest.strip_prefix('\n'))
        .and_then(|rest| rest.trim().parse::<u32>().ok());
    match format {
        Some(FORMAT) => Ok(Found::Store),
        Some(1..FORMAT) => Ok(Found::OlderStore),
        Some(found) if found > FORMAT => Err(Error::NewerFormat {
            path: root.path().to_owned(),
            found,
            supported: FORMAT,
        }),
        _ => Err(not_a_store(
            root.path(),
            "its FORMAT file is not one of a part store, or is damaged".to_owned(),
        )),
    }
}

fn not_a_store(path: &Path, reason: String) -> Error {
    Error::NotAStore {
        path: path.to_owned(),
        reason,
    }
}

/// Passes if a store can be restored to this directory: it is empty, or has what an interrupted restore has left.
///
/// # Errors
/// [`Error::NotAStore`] if it holds anything else.
#[cfg(not(shuttle))]
pub(crate) fn refuse_to_restore(root: &Dir) -> Result<()> {
    if read_format(root)? != Found::Nothing {
        return Err(not_a_store(root.path(), "it is a store already".to_owned()));
    }
    match file::read_if_present(&root.at(RESTORING))? {
        Some(_) => Ok(()),
        None => refuse_foreign(root),
    }
}

/// Notes that a store is being restored to a directory. `note` says which.
///
/// # Errors
/// As for [`refuse_to_restore`].
#[cfg(not(shuttle))]
pub(crate) fn begin_restore(root: &Dir, note: &str) -> Result<()> {
    refuse_to_restore(root)?;
    file::write_durably(&root.at(RESTORING), note.as_bytes())
}

/// Makes the directory a store of this format.
#[cfg(not(shuttle))]
pub(crate) fn end_restore(root: &Dir, format: u32) -> Result<()> {
    write_format(root, format)?;
    file::remove_if_present(&root.at(RESTORING))?;
    root.sync()
}

/// Without a `FORMAT` file, the directory may hold only what an unfinished creation leaves. None of that is
/// of value.
fn refuse_foreign(root: &Dir) -> Result<()> {
    if let Some(note) = file::read_if_present(&root.at(RESTORING))? {
        let note = String::from_utf8_lossy(&note);
        return Err(not_a_store(
            root.path(),
            format!(
                "a restore into it was not finished ({}); run it again",
                note.trim()
            ),
        ));
    }
    for entry in root.list()? {
        let name = entry.name.to_string_lossy().into_owned();
        let ours = match (name.as_str(), entry.kind) {
            // A file system that was made for the store begins with a lost+found.
            ("LOCK" | "FORMAT.tmp" | "RESTORING.tmp", Kind::File)
            | ("lost+found", Kind::Directory) => true,
            ("blobs" | "staging", Kind::Directory) => root.dir(entry.name)?.list()?.is_empty(),
            ("meta", Kind::Directory) => holds_no_records(&root.dir(entry.name)?)?,
            _ => false,
        };
        if !ours {
            return Err(not_a_store(root.path(), format!("it holds {name:?}")));
        }
    }
    Ok(())
}

/// Whether `meta/` holds at most an empty snapshot directory and the first journal segment, unused.
fn holds_no_records(meta: &Dir) -> Result<bool> {
    for entry in meta.list()? {
        let unused = match (entry.name.to_str(), entry.kind) {
            (Some("snapshot"), Kind::Directory) => meta.dir(entry.name)?.list()?.is_empty(),
            (Some("journal"), Kind::Directory) => {
                meta.dir(entry.name)?.list()?.len() <= 1 && MetaStore::is_unused(meta)?
            }
            _ => false,
        };
        if !unused {
            return Ok(false);
        }
    }
    Ok(true)
}
