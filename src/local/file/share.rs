//! Second files with the bytes of a first one, which the file system makes without copying them.

use std::ffi::OsStr;
use std::os::fd::{AsFd, BorrowedFd};
use std::path::Path;

use rustix::fs::AtFlags;
use rustix::io::Errno;

use super::dir::FileId;
use super::{Dir, Handle, Place, at};
use crate::Result;

/// What the file system answers where it cannot share or copy bytes.
const CANNOT_SHARE: [Errno; 8] = [
    Errno::OPNOTSUPP,
    Errno::NOSYS,
    Errno::NOTTY,
    Errno::XDEV,
    Errno::INVAL,
    Errno::BADF,
    Errno::PERM,
    Errno::TXTBSY,
];

impl Handle {
    /// Makes this empty file share all bytes of another one, until either is written to (a reflink). `false`
    /// if the file system cannot do that, or they lie on two of them.
    pub(crate) fn share_bytes_of(&self, source: impl AsFd) -> Result<bool> {
        self.shared(rustix::fs::ioctl_ficlone(&self.file, source))
    }

    /// Does the same the other way round: that file is empty, and gets the bytes of this one.
    pub(crate) fn share_bytes_with(&self, into: BorrowedFd<'_>) -> Result<bool> {
        self.shared(rustix::fs::ioctl_ficlone(into, &self.file))
    }

    fn shared(&self, shared: rustix::io::Result<()>) -> Result<bool> {
        match shared {
            Ok(()) => Ok(true),
            Err(errno) if CANNOT_SHARE.contains(&errno) => Ok(false),
            Err(errno) => Err(self.failed("share bytes of")(errno.into())),
        }
    }

    /// Has the kernel copy at most `len` bytes from a position on into another file, from `at` on. Returns how many. 0 if
    /// it cannot, or the file ends there.
    pub(crate) fn copy_bytes_into(
        &self,
        position: u64,
        (into, at): (BorrowedFd<'_>, u64),
        len: u64,
    ) -> Result<u64> {
        let (mut from, mut to) = (position, at);
        let len = usize::try_from(len).unwrap_or(usize::MAX);
        match rustix::fs::copy_file_range(&self.file, Some(&mut from), into, Some(&mut to), len) {
            Ok(copied) => Ok(copied as u64),
            Err(errno) if CANNOT_SHARE.contains(&errno) => Ok(0),
            Err(errno) => Err(self.failed("copy bytes of")(errno.into())),
        }
    }

    /// Gives the file a second name. `false` if the file system cannot do that, or the directory lies on another one.
    pub(crate) fn link_into(&self, dir: BorrowedFd<'_>, name: &OsStr) -> Result<bool> {
        link_at(self.place(), dir, name)
    }
}

/// Whether a path is this directory, or is below it, through whatever links. It need not exist.
pub(crate) fn is_below(path: &Path, dir: &Dir) -> Result<bool> {
    let path = super::absolute(path)?;
    let real = path.ancestors().find_map(|known| known.canonicalize().ok());
    let is_dir = |path: &Path| FileId::at_path(path).is_ok_and(|id| id == dir.id());
    Ok(real.is_some_and(|real| real.ancestors().any(is_dir)))
}

/// Gives a file a second name. `false` if the file system cannot do that, or the places lie on two of them.
pub(crate) fn link(from: &Place, to: &Place) -> Result<bool> {
    link_at(from, to.dir().fd(), to.name())
}

fn link_at(from: &Place, dir: BorrowedFd<'_>, name: &OsStr) -> Result<bool> {
    const CANNOT: [Errno; 5] = [
        Errno::XDEV,
        Errno::PERM,
        Errno::MLINK,
        Errno::OPNOTSUPP,
        Errno::NOSYS,
    ];
    match rustix::fs::linkat(from.dir().fd(), from.name(), dir, name, AtFlags::empty()) {
        Ok(()) => Ok(true),
        Err(errno) if CANNOT.contains(&errno) => Ok(false),
        Err(errno) => Err(at("link", &from.path())(errno.into())),
    }
}
