//! The file layer: every system call of this crate, so that each durability point can be counted
//! and failed by tests.
//!
//! Only this module names `std::fs` and `rustix`; both reach the kernel through libc. Errors carry
//! the call and the path; `ENOSPC` and `EDQUOT` become [`Error::StorageFull`]. A sync that failed
//! is never tried again: the kernel may have dropped the dirty pages, so a second success proves
//! nothing (I8).

mod composed;

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

pub(crate) use composed::{
    create_dirs, list_if_present, read_if_present, remove_if_present, sync_parent, write_durably,
};

use crate::{Error, Result};

/// The calls whose failure means that bytes may be lost without a trace.
const SYNC_DATA: &str = "fdatasync";
const SYNC_ALL: &str = "fsync";
const SYNC_DIR: &str = "fsync directory";

/// An open file and its path, which its errors name.
#[derive(Debug)]
pub(crate) struct Handle {
    file: File,
    path: PathBuf,
}

impl Handle {
    pub(crate) fn create_new(path: PathBuf) -> Result<Self> {
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create_new(true)
            .open(&path);
        Ok(Self {
            file: file.map_err(at("create", &path))?,
            path,
        })
    }

    /// Makes a file that is written past the page cache, where the file system can do that: whole
    /// and aligned blocks, until [`leave_direct`](Self::leave_direct).
    pub(crate) fn create_direct(path: PathBuf) -> Result<Self> {
        let mut open = OpenOptions::new();
        open.read(true).write(true).create_new(true);
        let direct = rustix::fs::OFlags::DIRECT.bits().cast_signed();
        let file = open.custom_flags(direct).open(&path);
        Ok(Self {
            file: file.map_err(at("create", &path))?,
            path,
        })
    }

    /// What is written from now on goes through the page cache.
    pub(crate) fn leave_direct(&self) -> Result<()> {
        let flags = rustix::fs::fcntl_getfl(&self.file);
        let left = flags.and_then(|flags| {
            rustix::fs::fcntl_setfl(&self.file, flags - rustix::fs::OFlags::DIRECT)
        });
        left.map_err(|errno| at("set the flags of", &self.path)(errno.into()))
    }

    pub(crate) fn open_read(path: PathBuf) -> Result<Self> {
        Ok(Self {
            file: File::open(&path).map_err(at("open", &path))?,
            path,
        })
    }

    pub(crate) fn open_write(path: PathBuf) -> Result<Self> {
        let file = OpenOptions::new().read(true).write(true).open(&path);
        Ok(Self {
            file: file.map_err(at("open", &path))?,
            path,
        })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn len(&self) -> Result<u64> {
        Ok(self.file.metadata().map_err(at("stat", &self.path))?.len())
    }

    pub(crate) fn write_at(&self, bytes: &[u8], offset: u64) -> Result<()> {
        self.file
            .write_all_at(bytes, offset)
            .map_err(at("write", &self.path))
    }

    pub(crate) fn read_at(&self, bytes: &mut [u8], offset: u64) -> Result<()> {
        self.file
            .read_exact_at(bytes, offset)
            .map_err(at("read", &self.path))
    }

    /// Makes the bytes durable, and the length.
    pub(crate) fn sync_data(&self) -> Result<()> {
        let synced = rustix::fs::fdatasync(&self.file);
        synced.map_err(|errno| at(SYNC_DATA, &self.path)(errno.into()))
    }

    pub(crate) fn sync_all(&self) -> Result<()> {
        sync(&self.file).map_err(at(SYNC_ALL, &self.path))
    }

    /// Gives the file `len` bytes of disk, which read as zeros. Where the file system cannot,
    /// writes the zeros.
    pub(crate) fn allocate(&self, len: u64) -> Result<()> {
        let flags = rustix::fs::FallocateFlags::empty();
        match rustix::io::retry_on_intr(|| rustix::fs::fallocate(&self.file, flags, 0, len)) {
            Ok(()) => Ok(()),
            Err(rustix::io::Errno::OPNOTSUPP | rustix::io::Errno::NOSYS) => {
                self.write_zeros(0, len)
            }
            Err(errno) => Err(at("allocate", &self.path)(errno.into())),
        }
    }

    pub(crate) fn write_zeros(&self, from: u64, to: u64) -> Result<()> {
        static ZEROS: [u8; 64 * 1024] = [0; 64 * 1024];
        let mut offset = from;
        while offset < to {
            let len = usize::try_from(to - offset)
                .unwrap_or(ZEROS.len())
                .min(ZEROS.len());
            self.write_at(ZEROS.get(..len).unwrap_or(&ZEROS), offset)?;
            offset += len as u64;
        }
        Ok(())
    }
}

impl Error {
    /// Whether this is a failed sync, after which nothing may be acknowledged (I8).
    pub(crate) fn is_failed_sync(&self) -> bool {
        matches!(self, Self::Io { op, .. } if [SYNC_DATA, SYNC_ALL, SYNC_DIR].contains(op))
    }

    pub(crate) fn is_not_found(&self) -> bool {
        matches!(self, Self::Io { source, .. } if source.kind() == io::ErrorKind::NotFound)
    }
}

fn at(op: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Error {
    move |source| match source.kind() {
        // Names that could not be made durable are a failed sync whatever the reason (I8). A body
        // that does not fit is not: its file is thrown away.
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded
            if op != SYNC_DIR && op != SYNC_ALL =>
        {
            Error::StorageFull {
                path: path.to_owned(),
                needed: 0,
                available: 0,
            }
        }
        _ => Error::Io {
            op,
            path: path.to_owned(),
            source,
        },
    }
}

/// A lock file that this process has alone, until this is dropped.
#[derive(Debug)]
pub(crate) struct Lock {
    file: File,
}

impl Lock {
    /// Takes the lock; makes the file if there is none. `None` when somebody else has it.
    pub(crate) fn take(path: &Path) -> Result<Option<Self>> {
        let mut open = OpenOptions::new();
        open.read(true).write(true).create(true).truncate(false);
        let file = open.open(path).map_err(at("open", path))?;
        match file.try_lock() {
            Ok(()) => Ok(Some(Self { file })),
            Err(fs::TryLockError::WouldBlock) => Ok(None),
            Err(fs::TryLockError::Error(source)) => Err(at("lock", path)(source)),
        }
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        // Closing is not enough: a child process that is just being started holds the file, too.
        let _ = self.file.unlock();
    }
}

/// The path from the root: what it names must not change when the process changes its directory.
pub(crate) fn absolute(path: &Path) -> Result<PathBuf> {
    std::path::absolute(path).map_err(at("resolve", path))
}

pub(crate) fn read(path: &Path) -> Result<Vec<u8>> {
    fs::read(path).map_err(at("read", path))
}

pub(crate) fn rename(from: &Path, to: &Path) -> Result<()> {
    fs::rename(from, to).map_err(at("rename", from))
}

pub(crate) fn remove(path: &Path) -> Result<()> {
    fs::remove_file(path).map_err(at("remove", path))
}

pub(crate) fn remove_tree_if_present(path: &Path) -> Result<()> {
    match fs::remove_dir_all(path) {
        Err(source) if source.kind() == io::ErrorKind::NotADirectory => remove(path),
        Err(source) if source.kind() != io::ErrorKind::NotFound => Err(at("remove", path)(source)),
        _ => Ok(()),
    }
}

pub(crate) fn is_dir(path: &Path) -> bool {
    path.is_dir()
}

/// Makes a directory unless it exists.
pub(crate) fn create_dir(path: &Path) -> Result<()> {
    match fs::create_dir(path) {
        Err(source) if source.kind() != io::ErrorKind::AlreadyExists => {
            Err(at("create directory", path)(source))
        }
        _ => Ok(()),
    }
}

/// Makes the names in a directory durable.
pub(crate) fn sync_dir(path: &Path) -> Result<()> {
    let directory = File::open(path).map_err(at("open", path))?;
    sync(&directory).map_err(at(SYNC_DIR, path))
}

/// Not std's `sync_all`, which tries again when it is interrupted (I8).
fn sync(file: &File) -> io::Result<()> {
    Ok(rustix::fs::fsync(file)?)
}

/// Makes the name of a directory durable, and those of the directories above it on the same file
/// system. One that this user may not read is left to whoever made it.
pub(crate) fn sync_parents(path: &Path) -> Result<()> {
    let path = path.canonicalize().map_err(at("resolve", path))?;
    let device = |path: &Path| path.metadata().ok().map(|found| found.dev());
    let here = device(&path);
    for parent in path.ancestors().skip(1) {
        if device(parent) != here {
            break;
        }
        match sync_dir(parent) {
            Err(Error::Io { source, .. }) if source.kind() == io::ErrorKind::PermissionDenied => {}
            synced => synced?,
        }
    }
    Ok(())
}

/// Makes everything below a directory durable.
pub(crate) fn sync_tree(path: &Path) -> Result<()> {
    for (name, kind) in list(path)? {
        let child = path.join(name);
        match kind {
            Kind::Directory => sync_tree(&child)?,
            Kind::File => Handle::open_read(child)?.sync_all()?,
        }
    }
    sync_dir(path)
}

/// What a directory entry is. Whatever is not a directory counts as a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    File,
    Directory,
}

/// The entries of a directory, in the order of their names; names that are not UTF-8 read with
/// `U+FFFD`.
pub(crate) fn list(path: &Path) -> Result<Vec<(String, Kind)>> {
    let mut entries = Vec::new();
    for entry in fs::read_dir(path).map_err(at("list", path))? {
        let entry = entry.map_err(at("list", path))?;
        let is_dir = entry.file_type().map_err(at("stat", path))?.is_dir();
        let kind = if is_dir { Kind::Directory } else { Kind::File };
        entries.push((entry.file_name().to_string_lossy().into_owned(), kind));
    }
    entries.sort();
    Ok(entries)
}

/// Bytes that this user may still write to the file system that holds `path`.
pub(crate) fn free_space(path: &Path) -> Result<u64> {
    let stat = rustix::fs::statvfs(path).map_err(|errno| at("statvfs", path)(errno.into()))?;
    Ok(stat.f_bavail.saturating_mul(stat.f_frsize))
}
