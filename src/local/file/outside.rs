//! [`Outside`]: a file outside of the store, which gets its name when it is whole.

use std::ffi::OsStr;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process;
use std::sync::atomic::{AtomicU64, Ordering};

use rustix::fs::{AtFlags, RenameFlags};
use rustix::io::Errno;

use super::{SYNC_ALL, SYNC_DIR, at, sync};
use crate::{Error, Result};

/// The end of a name that says that the file is not whole.
const PARTIAL: &str = "partstore-partial";
/// So many characters of the file's name are in that of the partial one: a name has at most 255 bytes.
const SHORT: usize = 40;

/// A file under a temporary name beside its final one: `.NAME.PROCESS.NUMBER.partstore-partial`. It is removed if it
/// does not become whole. What a kill leaves has a name that says what it is.
pub(crate) struct Outside {
    dir: File,
    partial: PathBuf,
    named: PathBuf,
    replaces: bool,
    file: Option<File>,
}

impl Outside {
    /// Prepares a file at this path. Nothing has a name yet. If it `replaces`, it takes the place of what has its name.
    ///
    /// # Errors
    /// [`Error::Io`]: the path has no directory, or it has something and nothing is to be replaced.
    pub(crate) fn at(path: &Path, replaces: bool) -> Result<Self> {
        static NUMBER: AtomicU64 = AtomicU64::new(0);
        let failed = |op, source| Err(at(op, path)(source));
        let Some(name) = path.file_name() else {
            return failed("create", io::ErrorKind::InvalidInput.into());
        };
        if !replaces && fs::symlink_metadata(path).is_ok() {
            return failed("create", io::ErrorKind::AlreadyExists.into());
        }
        let parent = match path.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent,
            _ => Path::new("."),
        };
        let dir = File::open(parent).map_err(at("open", parent))?;
        let short: String = name.to_string_lossy().chars().take(SHORT).collect();
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let partial = format!(".{short}.{}.{number}.{PARTIAL}", process::id());
        Ok(Self {
            dir,
            partial: path.with_file_name(partial),
            named: path.to_owned(),
            replaces,
            file: None,
        })
    }

    /// Makes the file, which is empty.
    pub(crate) fn create(&mut self) -> Result<()> {
        let mut options = OpenOptions::new();
        let created = options.read(true).write(true).create_new(true);
        let file = created.open(&self.partial);
        let file = file.map_err(at("create", &self.partial))?;
        self.file = Some(file);
        Ok(())
    }

    /// Where a link to a file can be made, in place of a new file.
    pub(crate) fn place(&self) -> (BorrowedFd<'_>, &OsStr) {
        let name = self.partial.file_name().unwrap_or_default();
        (self.dir.as_fd(), name)
    }

    /// Says that the link was made.
    pub(crate) fn linked(&mut self) -> Result<()> {
        let file = File::open(&self.partial);
        self.file = Some(file.map_err(at("open", &self.partial))?);
        Ok(())
    }

    fn file(&self) -> Result<&File> {
        self.file.as_ref().ok_or(Error::Closed)
    }

    pub(crate) fn fd(&self) -> Result<BorrowedFd<'_>> {
        Ok(self.file()?.as_fd())
    }

    pub(crate) fn write_at(&self, bytes: &[u8], offset: u64) -> Result<()> {
        let written = self.file()?.write_all_at(bytes, offset);
        written.map_err(at("write", &self.partial))
    }

    pub(crate) fn read_at(&self, bytes: &mut [u8], offset: u64) -> Result<()> {
        let read = self.file()?.read_exact_at(bytes, offset);
        read.map_err(at("read", &self.partial))
    }

    /// Makes it durable under its name.
    pub(crate) fn publish(mut self) -> Result<()> {
        sync(self.file()?).map_err(at(SYNC_ALL, &self.partial))?;
        self.rename().map_err(at("rename", &self.named))?;
        self.file = None;
        sync(&self.dir).map_err(at(SYNC_DIR, &self.named))
    }

    fn rename(&self) -> io::Result<()> {
        let (dir, partial) = self.place();
        let named = self.named.file_name().unwrap_or_default();
        if self.replaces {
            return Ok(rustix::fs::renameat(dir, partial, dir, named)?);
        }
        match rustix::fs::renameat_with(dir, partial, dir, named, RenameFlags::NOREPLACE) {
            // Some file systems cannot promise it.
            Err(Errno::INVAL | Errno::NOSYS | Errno::NOTSUP) => {
                match fs::symlink_metadata(&self.named) {
                    Ok(_) => Err(io::ErrorKind::AlreadyExists.into()),
                    Err(_) => Ok(rustix::fs::renameat(dir, partial, dir, named)?),
                }
            }
            renamed => Ok(renamed?),
        }
    }
}

impl Drop for Outside {
    fn drop(&mut self) {
        if self.file.is_some() {
            let (dir, partial) = self.place();
            // Nobody is left who could be told of a failure.
            let _ = rustix::fs::unlinkat(dir, partial, AtFlags::empty());
        }
    }
}
