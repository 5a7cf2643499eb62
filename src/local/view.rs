//! [`View`]: a store that is only read. The copy of its metadata may be changed, so all of the open works on that. Its blobs
//! are read where they are.

use std::path::Path;

use super::directory;
use super::file::{self, Dir, Place, SharedLock};
use super::meta;
use crate::process::Process;
use crate::values::options::Salvaging;
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
        if file::is_below(scratch, &root)? {
            return Err(Error::InvalidArgument {
                argument: "the directory for the copy",
                found: scratch.display().to_string(),
                expected: "outside of the store's directory",
            });
        }
        let copy = Copy::make(scratch, mode)?;
        copy.take(&root)?;
        Ok(Self { copy, source })
    }

    /// The directory of the copy, which is opened as a store.
    pub(crate) fn path(&self) -> &Path {
        self.copy.dir.path()
    }

    /// The store's own directory.
    pub(crate) fn source(&self) -> &Dir {
        self.source.dir()
    }
}

struct Copy {
    place: Place,
    dir: Dir,
    process: Process,
}

impl Copy {
    fn make(scratch: &Path, mode: u32) -> Result<Self> {
        let mut random = [0; 8];
        getrandom::fill(&mut random).map_err(|cause| Error::NoRandomness {
            cause: cause.to_string(),
        })?;
        let name = format!("partstore-view-{}", hex::encode(random));
        // Only this user may see what the store's owner may hide.
        let below = Dir::open(&file::absolute(scratch)?, mode & 0o600)?;
        below.create_dir(&name)?;
        Ok(Self {
            dir: below.dir(&name)?,
            place: below.at(name),
            process: Process::current(),
        })
    }

    /// Copies what an open reads, and nothing else that may lie there.
    fn take(&self, root: &Dir) -> Result<()> {
        let meta = meta::directory(root, Salvaging::Refused)?;
        if meta.at("SALVAGED").id()?.is_some() {
            return Err(Error::Damaged {
                path: meta.at("SALVAGED").path(),
                offset: 0,
                reason: "a salvage was not finished; the next open that may write finishes it"
                    .to_owned(),
            });
        }
        self.dir.create_dir("meta")?;
        let into = self.dir.dir("meta")?;
        let has = |name: &str| Ok::<_, Error>(meta.at(name).id()?.is_some());
        let is_closed = meta::is_closed(&meta)?;
        if has("journal")? {
            // Zeros could pass for the end of a journal whose last batch nobody knows.
            let copy = if is_closed {
                file::copy_tree_that_reads
            } else {
                file::copy_tree
            };
            copy(&meta.dir("journal")?, &into.at("journal"))?;
        }
        // A block of a layer has a checksum, and an index is believed only with proof.
        if has("snapshot")? {
            file::copy_tree_that_reads(&meta.dir("snapshot")?, &into.at("snapshot"))?;
        }
        // What only a clean close proves is made anew without one.
        if is_closed {
            file::copy(&meta.at("CLEAN"), &into.at("CLEAN"))?;
            for index in meta::indexes(&meta)? {
                let from = meta.dir(index.name())?;
                file::copy_tree_that_reads(&from, &into.at(index.name()))?;
            }
        }
        file::copy(&root.at("FORMAT"), &self.dir.at("FORMAT"))
    }
}

impl Drop for Copy {
    fn drop(&mut self) {
        if !self.process.is_another() {
            let _ = file::remove_tree_if_present(&self.place);
        }
    }
}
