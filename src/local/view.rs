//! [`View`]: a store that is only read. The copy of its metadata may be changed, so all of the open works on that. Its blobs
//! are read where they are.

use std::path::{Path, PathBuf};

use super::directory;
use super::file::{self, Dir, Kind, SharedLock};
use crate::process::Process;
use crate::{Error, Result};

/// A copy of a store's metadata, removed when this is dropped.
pub(crate) struct View {
    copy: Copy,
    /// No server opens the store while it is held.
    source: SharedLock,
}

impl View {
    /// Copies the metadata of the store at `path` to a new directory below `scratch`. Nothing of the store is changed.
    ///
    /// # Errors
    /// [`Error::NoSuchStore`], [`Error::NotAStore`], [`Error::NewerFormat`]; [`Error::StoreLocked`] if a process has it open
    /// for more than reading; [`Error::StorageFull`] below `scratch`; [`Error::Io`].
    pub(crate) fn make(path: &Path, scratch: &Path, mode: u32) -> Result<Self> {
        let root = directory::open_to_read(path, mode)?;
        let source = SharedLock::take(&root, "LOCK")?.ok_or_else(|| Error::StoreLocked {
            path: path.to_owned(),
        })?;
        let copy = Copy::make(scratch)?;
        let into = Dir::open(&copy.path, mode)?;
        let meta = root.dir("meta")?;
        into.create_dir("meta")?;
        for entry in meta.list()? {
            let (from, to) = (meta.at(&entry.name), into.dir("meta")?.at(&entry.name));
            match entry.kind {
                Kind::Directory if is_read(&entry.name.to_string_lossy()) => {
                    file::copy_tree(&meta.dir(&entry.name)?, &to)?;
                }
                Kind::File if is_read(&entry.name.to_string_lossy()) => file::copy(&from, &to)?,
                _ => {}
            }
        }
        file::copy(&root.at("FORMAT"), &into.at("FORMAT"))?;
        Ok(Self { copy, source })
    }

    /// The directory of the copy, which is opened as a store.
    pub(crate) fn path(&self) -> &Path {
        &self.copy.path
    }

    /// The store's own directory.
    pub(crate) fn source(&self) -> &Dir {
        self.source.dir()
    }
}

/// Whether an open reads this file or directory of `meta/`. The index is made anew, and room is not kept.
fn is_read(name: &str) -> bool {
    let others = ["index", "ballast", "salvaged-"];
    !others.iter().any(|other| name.starts_with(other))
}

struct Copy {
    path: PathBuf,
    process: Process,
}

impl Copy {
    fn make(scratch: &Path) -> Result<Self> {
        let mut random = [0; 8];
        getrandom::fill(&mut random).map_err(|cause| Error::NoRandomness {
            cause: cause.to_string(),
        })?;
        let name = format!("partstore-view-{}", hex::encode(random));
        let path = file::absolute(scratch)?.join(name);
        // Only its owner may see what the store's owner may hide.
        file::create_dirs(&path, 0o600)?;
        Ok(Self {
            path,
            process: Process::current(),
        })
    }
}

impl Drop for Copy {
    fn drop(&mut self) {
        if !self.process.is_another() {
            let _ = file::remove_tree_at(&self.path);
        }
    }
}
