//! The file layer: every system call of this crate on files. So tests can count and fail every sync.
//!
//! Below a store everything is reached through [`Dir`], never through a path. Only this module names
//! `std::fs` and `rustix`. Both reach the kernel through libc. Errors carry the call and the path; `ENOSPC`
//! and `EDQUOT` become [`Error::StorageFull`].
//!
//! A sync that failed is never tried again. The kernel may have dropped the dirty pages, so a second
//! success proves nothing. A failed sync poisons the store's [`Health`](crate::local::health::Health). So does a
//! directory that is no longer the store's alone (I8).

#![expect(
    clippy::disallowed_types,
    clippy::disallowed_methods,
    reason = "this is the layer that names them"
)]

mod composed;
mod dir;
mod lock;
mod outside;
mod share;
#[cfg(test)]
mod tests;

use std::fs::File;
use std::io::{self, IoSliceMut};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, FallocateFlags, OFlags, Stat};
use rustix::io::{Errno, ReadWriteFlags};

pub(crate) use composed::{
    copy, copy_tree, copy_tree_that_reads, read_if_present, read_what_reads, remove_if_present,
    remove_tree_if_present, sync_tree, unshare, write_durably,
};
use dir::FileId;
pub(crate) use dir::{Dir, Entry, Kind, Place, create_dirs, sync_parents};
pub(crate) use lock::{Lock, SharedLock};
pub(crate) use outside::{Foreign, Outside};
pub(crate) use share::{is_below, link};

use crate::{Error, Result};

/// The calls whose failure means that bytes may be lost without a trace.
const SYNC_DATA: &str = "fdatasync";
const SYNC_ALL: &str = "fsync";
const SYNC_DIR: &str = "fsync directory";

/// An open file and its place, which its errors name.
#[derive(Debug)]
pub(crate) struct Handle {
    file: File,
    place: Place,
}

impl AsFd for Handle {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}

impl Handle {
    pub(crate) fn create_new(place: &Place) -> Result<Self> {
        Self::opened("create", place, place.create(OFlags::RDWR))
    }

    /// Makes a file that is written past the page cache, if the file system can do that. Writes must then
    /// be whole and aligned blocks, until [`leave_direct`](Self::leave_direct).
    pub(crate) fn create_direct(place: &Place) -> Result<Self> {
        Self::opened("create", place, place.create(OFlags::RDWR | OFlags::DIRECT))
    }

    /// From now on writes use the page cache.
    pub(crate) fn leave_direct(&self) -> Result<()> {
        let flags = rustix::fs::fcntl_getfl(&self.file);
        let left =
            flags.and_then(|flags| rustix::fs::fcntl_setfl(&self.file, flags - OFlags::DIRECT));
        left.map_err(|errno| self.failed("set the flags of")(errno.into()))
    }

    pub(crate) fn open_read(place: &Place) -> Result<Self> {
        Self::opened("open", place, place.open(OFlags::RDONLY))
    }

    /// Opens a file that is read past the page cache, if the file system can do that. Reads must then be
    /// aligned, and go to aligned memory.
    pub(crate) fn open_direct(place: &Place) -> Result<Self> {
        Self::opened("open", place, place.open(OFlags::RDONLY | OFlags::DIRECT))
    }

    pub(crate) fn open_write(place: &Place) -> Result<Self> {
        Self::opened("open", place, place.open(OFlags::RDWR))
    }

    fn opened(op: &'static str, place: &Place, fd: io::Result<OwnedFd>) -> Result<Self> {
        Ok(Self {
            file: fd.map_err(|source| at(op, &place.path())(source))?.into(),
            place: place.clone(),
        })
    }

    /// The place at which it was opened.
    pub(crate) fn place(&self) -> &Place {
        &self.place
    }

    /// Its path, for messages.
    pub(crate) fn path(&self) -> PathBuf {
        self.place.path()
    }

    /// Passes if its place still has this file.
    ///
    /// # Errors
    /// [`Error::Displaced`].
    pub(crate) fn check_in_place(&self) -> Result<()> {
        self.place.check_is(FileId::of(&self.stat()?))
    }

    /// Whether the file has more than one name.
    pub(crate) fn is_shared(&self) -> Result<bool> {
        Ok(self.stat()?.st_nlink > 1)
    }

    fn failed(&self, op: &'static str) -> impl FnOnce(io::Error) -> Error {
        let path = self.path();
        move |source| at(op, &path)(source)
    }

    fn stat(&self) -> Result<Stat> {
        rustix::fs::fstat(&self.file).map_err(|errno| self.failed("stat")(errno.into()))
    }

    pub(crate) fn len(&self) -> Result<u64> {
        Ok(self.stat()?.st_size.cast_unsigned())
    }

    pub(crate) fn write_at(&self, bytes: &[u8], offset: u64) -> Result<()> {
        self.file
            .write_all_at(bytes, offset)
            .map_err(|source| self.failed("write")(source))
    }

    pub(crate) fn read_at(&self, bytes: &mut [u8], offset: u64) -> Result<()> {
        self.file
            .read_exact_at(bytes, offset)
            .map_err(|source| self.failed("read")(source))
    }

    /// Fills `bytes` if the page cache has them all. `false` if not, or if the kernel cannot tell.
    pub(crate) fn read_cached_at(&self, bytes: &mut [u8], offset: u64) -> Result<bool> {
        let len = bytes.len();
        let into = &mut [IoSliceMut::new(bytes)];
        match rustix::io::preadv2(&self.file, into, offset, ReadWriteFlags::NOWAIT) {
            Ok(read) => Ok(read == len),
            Err(Errno::AGAIN | Errno::OPNOTSUPP | Errno::NOSYS | Errno::INVAL | Errno::INTR) => {
                Ok(false)
            }
            Err(errno) => Err(self.failed("read")(errno.into())),
        }
    }

    /// Makes the bytes and the length durable.
    pub(crate) fn sync_data(&self) -> Result<()> {
        let synced = rustix::fs::fdatasync(&self.file);
        let synced = synced.map_err(|errno| self.failed(SYNC_DATA)(errno.into()));
        self.place.dir().heed(synced)
    }

    pub(crate) fn sync_all(&self) -> Result<()> {
        let synced = sync(&self.file).map_err(|source| self.failed(SYNC_ALL)(source));
        self.place.dir().heed(synced)
    }

    /// Allocates `len` bytes of disk for the file, which read as zeros. If the file system cannot do that,
    /// writes the zeros.
    pub(crate) fn allocate(&self, len: u64) -> Result<()> {
        let flags = FallocateFlags::empty();
        match rustix::io::retry_on_intr(|| rustix::fs::fallocate(&self.file, flags, 0, len)) {
            Ok(()) => Ok(()),
            Err(Errno::OPNOTSUPP | Errno::NOSYS) => self.write_zeros(0, len),
            Err(errno) => Err(self.failed("allocate")(errno.into())),
        }
    }

    /// Frees the disk space of these bytes, which then read as zeros. Fails if the file system cannot do
    /// that.
    pub(crate) fn give_back(&self, from: u64, to: u64) -> Result<()> {
        let flags = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
        let len = to.saturating_sub(from);
        let given = rustix::fs::fallocate(&self.file, flags, from, len);
        given.map_err(|errno| self.failed("give back disk of")(errno.into()))
    }

    /// Allocates disk space for the `len` bytes from `from` on, and leaves the file's length as it is. If
    /// the file system cannot do that, does nothing.
    pub(crate) fn allocate_ahead(&self, from: u64, len: u64) -> Result<()> {
        let flags = FallocateFlags::KEEP_SIZE;
        match rustix::io::retry_on_intr(|| rustix::fs::fallocate(&self.file, flags, from, len)) {
            Ok(()) | Err(Errno::OPNOTSUPP | Errno::NOSYS) => Ok(()),
            Err(errno) => Err(self.failed("allocate")(errno.into())),
        }
    }

    /// How many bytes of disk the file has.
    pub(crate) fn allocated(&self) -> Result<u64> {
        let found = self.file.metadata();
        let found = found.map_err(|source| self.failed("stat")(source))?;
        Ok(found.blocks().saturating_mul(512))
    }

    /// Shortens the file to this length.
    pub(crate) fn truncate(&self, len: u64) -> Result<()> {
        let cut = self.file.set_len(len);
        cut.map_err(|source| self.failed("truncate")(source))
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
    /// Whether a file that existed does not, or has changed: a checksum or the disk refuses its bytes, or
    /// its name is removed or names something else.
    pub(crate) fn tells_of_damage(&self) -> bool {
        const BY_DISK: [Errno; 5] = [
            Errno::IO,
            Errno::BADMSG,
            Errno::UCLEAN,
            Errno::NODATA,
            Errno::ILSEQ,
        ];
        let Self::Io { op, source, .. } = self else {
            return matches!(self, Self::Damaged { .. });
        };
        let by_disk = |errno: Errno| source.raw_os_error() == Some(errno.raw_os_error());
        let is_read = ["open", "open directory", "stat", "read", "list"].contains(op);
        let is_gone = matches!(
            source.kind(),
            io::ErrorKind::NotFound | io::ErrorKind::UnexpectedEof
        );
        is_read && (is_gone || BY_DISK.into_iter().any(by_disk))
    }

    pub(crate) fn is_not_found(&self) -> bool {
        matches!(self, Self::Io { source, .. } if source.kind() == io::ErrorKind::NotFound)
    }

    /// Whether something else has the name of a directory: a file, or a link.
    pub(crate) fn is_not_a_directory(&self) -> bool {
        let errno = self.errno();
        errno.is_some_and(|errno| [Errno::NOTDIR, Errno::LOOP].contains(&errno))
    }

    /// Whether what has this name could not be opened for a reason of its own, which says nothing about
    /// other files: its permissions, its damage, or that it is not a file.
    pub(crate) fn is_of_the_file(&self, place: &Place) -> bool {
        match self.errno() {
            Some(
                Errno::LOOP
                | Errno::ISDIR
                | Errno::NXIO
                | Errno::NODEV
                | Errno::XDEV
                | Errno::UCLEAN
                | Errno::BADMSG,
            ) => true,
            // If the directory may not be searched, the fault is not the file's.
            Some(Errno::ACCESS | Errno::PERM) => place.id().is_ok(),
            _ => false,
        }
    }

    /// Whether bytes could not be read because the medium has lost them, or the file system found them
    /// damaged.
    pub(crate) fn is_of_the_medium(&self) -> bool {
        let errno = self.errno();
        errno.is_some_and(|errno| [Errno::IO, Errno::UCLEAN, Errno::BADMSG].contains(&errno))
    }

    fn errno(&self) -> Option<Errno> {
        match self {
            Self::Io { source, .. } => Errno::from_io_error(source),
            _ => None,
        }
    }

    /// Whether a directory has the name of a file.
    pub(crate) fn is_a_directory(&self) -> bool {
        matches!(self, Self::Io { source, .. } if source.kind() == io::ErrorKind::IsADirectory)
    }
}

fn at(op: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Error {
    move |source| match source.kind() {
        // I8: names that could not be made durable are a failed sync, whatever the reason. A body that
        // finds no room is not, because its file is removed.
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

/// The absolute path, so that it names the same file after the process has changed its directory.
pub(crate) fn absolute(path: &Path) -> Result<PathBuf> {
    std::path::absolute(path).map_err(at("resolve", path))
}

pub(crate) fn read(place: &Place) -> Result<Vec<u8>> {
    let handle = Handle::open_read(place)?;
    let mut bytes = vec![0; usize::try_from(handle.len()?).unwrap_or(usize::MAX)];
    handle.read_at(&mut bytes, 0)?;
    Ok(bytes)
}

pub(crate) fn rename(from: &Place, to: &Place) -> Result<()> {
    let renamed = rustix::fs::renameat(from.dir().fd(), from.name(), to.dir().fd(), to.name());
    renamed.map_err(|errno| at("rename", &from.path())(errno.into()))
}

/// Removes a name that does not name a directory.
pub(crate) fn remove(place: &Place) -> Result<()> {
    unlink(place, AtFlags::empty())
}

/// Removes an empty directory.
pub(crate) fn remove_dir(place: &Place) -> Result<()> {
    unlink(place, AtFlags::REMOVEDIR)
}

fn unlink(place: &Place, flags: AtFlags) -> Result<()> {
    let removed = rustix::fs::unlinkat(place.dir().fd(), place.name(), flags);
    removed.map_err(|errno| at("remove", &place.path())(errno.into()))
}

/// I8: not std's `sync_all`, which tries again when it is interrupted.
fn sync(file: impl AsFd) -> io::Result<()> {
    Ok(rustix::fs::fsync(file)?)
}
