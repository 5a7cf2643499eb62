//! What is composed of single calls of the file layer.

use std::path::Path;

use super::{Handle, Kind, create_dir, is_dir, list, read, remove, rename, sync_dir};
use crate::Result;

/// Reads a file, or nothing where there is none.
pub(crate) fn read_if_present(path: &Path) -> Result<Option<Vec<u8>>> {
    match read(path) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.is_not_found() => Ok(None),
        Err(error) => Err(error),
    }
}

/// Puts a whole small file in place so that after a crash it is there as given, or not at all.
pub(crate) fn write_durably(path: &Path, bytes: &[u8]) -> Result<()> {
    let staged = path.with_extension("tmp");
    remove_if_present(&staged)?;
    let handle = Handle::create_new(staged.clone())?;
    handle.write_at(bytes, 0)?;
    handle.sync_all()?;
    rename(&staged, path)?;
    sync_parent(path)
}

/// Removes a file; `false` when there was none.
pub(crate) fn remove_if_present(path: &Path) -> Result<bool> {
    match remove(path) {
        Ok(()) => Ok(true),
        Err(error) if error.is_not_found() => Ok(false),
        Err(error) => Err(error),
    }
}

/// Makes a directory and its parents, as far as they are not there; nothing is synced.
pub(crate) fn create_dirs(path: &Path) -> Result<()> {
    if is_dir(path) {
        return Ok(());
    }
    if let Some(parent) = path.parent() {
        create_dirs(parent)?;
    }
    create_dir(path)
}

/// Makes the name of `path` durable.
pub(crate) fn sync_parent(path: &Path) -> Result<()> {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => sync_dir(parent),
        _ => sync_dir(Path::new(".")),
    }
}

/// [`list`], or nothing where there is no such directory.
pub(crate) fn list_if_present(path: &Path) -> Result<Vec<(String, Kind)>> {
    match list(path) {
        Err(error) if error.is_not_found() => Ok(Vec::new()),
        other => other,
    }
}
