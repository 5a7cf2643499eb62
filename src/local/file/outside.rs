//! [`Outside`]: a file outside of the store, which gets its name when it is whole. [`Foreign`]: a file of the caller.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{self, Read};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, CWD, Mode, OFlags, RenameFlags};
use rustix::io::Errno;

use super::{SYNC_ALL, SYNC_DIR, at, sync};
use crate::{Error, Result};

/// The end of a name that says that the file is not whole.
const PARTIAL: &str = "partstore-partial";
/// So many characters of the file's name are in that of the partial one: a name has at most 255 bytes.
const SHORT: usize = 40;

/// A file under a temporary name beside its final one: `.NAME.RANDOM.partstore-partial`. It is removed if it does not
/// become whole. What a kill leaves has a name that says what it is.
pub(crate) struct Outside {
    dir: File,
    partial: OsString,
    name: OsString,
    /// For messages.
    named: PathBuf,
    replaces: bool,
    /// Whether the temporary name has been given.
    is_made: bool,
    file: Option<File>,
}

impl Outside {
    /// Prepares a file at this path. Nothing has a name yet. If it `replaces`, it takes the place of what has its name.
    ///
    /// # Errors
    /// [`Error::Io`]: the path has no directory, or it has something and nothing is to be replaced.
    pub(crate) fn at(path: &Path, replaces: bool) -> Result<Self> {
        let failed = |source: io::Error| at("create", path)(source);
        let name = path.file_name();
        let name = name.ok_or_else(|| failed(io::ErrorKind::InvalidInput.into()))?;
        let parent = match path.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent,
            _ => Path::new("."),
        };
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let dir = rustix::fs::openat(CWD, parent, flags, Mode::empty());
        let dir: File = dir
            .map_err(|errno| at("open", parent)(errno.into()))?
            .into();
        if !replaces && exists(&dir, name).map_err(failed)? {
            return Err(failed(io::ErrorKind::AlreadyExists.into()));
        }
        let mut random = [0; 8];
        getrandom::fill(&mut random).map_err(|cause| Error::NoRandomness {
            cause: cause.to_string(),
        })?;
        let short: String = name.to_string_lossy().chars().take(SHORT).collect();
        Ok(Self {
            dir,
            partial: format!(".{short}.{}.{PARTIAL}", hex::encode(random)).into(),
            name: name.to_owned(),
            named: path.to_owned(),
            replaces,
            is_made: false,
            file: None,
        })
    }

    /// Makes the file, which is empty.
    pub(crate) fn create(&mut self) -> Result<()> {
        self.open("create", OFlags::RDWR | OFlags::CREATE | OFlags::EXCL)
    }

    /// Where a link to a file can be made, in place of a new file.
    pub(crate) fn place(&self) -> (BorrowedFd<'_>, &OsStr) {
        (self.dir.as_fd(), &self.partial)
    }

    /// Says that the link was made.
    pub(crate) fn linked(&mut self) -> Result<()> {
        self.is_made = true;
        self.open("open", OFlags::RDONLY)
    }

    /// Removes what was made.
    pub(crate) fn discard(&mut self) {
        if std::mem::take(&mut self.is_made) {
            self.file = None;
            // Nobody is left who could be told of a failure.
            let _ = rustix::fs::unlinkat(&self.dir, &self.partial, AtFlags::empty());
        }
    }

    fn open(&mut self, op: &'static str, flags: OFlags) -> Result<()> {
        let mode = Mode::from_raw_mode(0o666);
        let flags = flags | OFlags::CLOEXEC | OFlags::NOFOLLOW;
        let file = rustix::fs::openat(&self.dir, &self.partial, flags, mode);
        let file = file.map_err(|errno| self.failed(op)(errno.into()))?;
        self.is_made = true;
        self.file = Some(file.into());
        Ok(())
    }

    fn failed(&self, op: &'static str) -> impl FnOnce(io::Error) -> Error {
        let partial = self.named.with_file_name(&self.partial);
        move |source| at(op, &partial)(source)
    }

    fn file(&self) -> Result<&File> {
        self.file.as_ref().ok_or(Error::Closed)
    }

    pub(crate) fn fd(&self) -> Result<BorrowedFd<'_>> {
        Ok(self.file()?.as_fd())
    }

    pub(crate) fn write_at(&self, bytes: &[u8], offset: u64) -> Result<()> {
        let written = self.file()?.write_all_at(bytes, offset);
        written.map_err(self.failed("write"))
    }

    pub(crate) fn read_at(&self, bytes: &mut [u8], offset: u64) -> Result<()> {
        let read = self.file()?.read_exact_at(bytes, offset);
        read.map_err(self.failed("read"))
    }

    /// Makes it durable under its name.
    pub(crate) fn publish(mut self) -> Result<()> {
        sync(self.file()?).map_err(|source| match source.kind() {
            // Of another disk than the store's.
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Error::StorageFull {
                path: self.named.clone(),
                needed: 0,
                available: 0,
            },
            _ => self.failed(SYNC_ALL)(source),
        })?;
        self.rename().map_err(at("rename", &self.named))?;
        // The kernel renames nothing if both names were links to one file.
        self.discard();
        sync(&self.dir).map_err(at(SYNC_DIR, &self.named))
    }

    fn rename(&self) -> io::Result<()> {
        let (dir, partial, name) = (&self.dir, &self.partial, &self.name);
        if self.replaces {
            return Ok(rustix::fs::renameat(dir, partial, dir, name)?);
        }
        match rustix::fs::renameat_with(dir, partial, dir, name, RenameFlags::NOREPLACE) {
            // Some file systems cannot promise it. A link never replaces anything.
            Err(Errno::INVAL | Errno::NOSYS | Errno::NOTSUP) => {}
            renamed => return Ok(renamed?),
        }
        match rustix::fs::linkat(dir, partial, dir, name, AtFlags::empty()) {
            Err(Errno::PERM | Errno::NOSYS | Errno::NOTSUP) if exists(dir, name)? => {
                Err(io::ErrorKind::AlreadyExists.into())
            }
            Err(Errno::PERM | Errno::NOSYS | Errno::NOTSUP) => {
                Ok(rustix::fs::renameat(dir, partial, dir, name)?)
            }
            linked => Ok(linked?),
        }
    }
}

fn exists(dir: &File, name: &OsStr) -> io::Result<bool> {
    match rustix::fs::statat(dir, name, AtFlags::SYMLINK_NOFOLLOW) {
        Err(Errno::NOENT) => Ok(false),
        found => Ok(found.map(|_| true)?),
    }
}

impl Drop for Outside {
    fn drop(&mut self) {
        self.discard();
    }
}

/// Reads a file of the caller from its first byte on. Its position stays where it is.
pub(crate) struct Foreign<'a> {
    file: BorrowedFd<'a>,
    position: u64,
}

impl<'a> Foreign<'a> {
    pub(crate) fn new(file: BorrowedFd<'a>) -> Self {
        Self { file, position: 0 }
    }
}

impl Read for Foreign<'_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let read = rustix::io::pread(self.file, into, self.position)?;
        self.position += read as u64;
        Ok(read)
    }
}
