//! Second files with the bytes of a first one, which the file system makes without copying them.

use std::path::Path;

use rustix::fs::AtFlags;
use rustix::io::Errno;

use super::dir::FileId;
use super::{Dir, Handle, Place, at};
use crate::Result;

impl Handle {
    /// Makes this empty file share all bytes of another one, until either is written to (a reflink). `false`
    /// if the file system cannot do that, or they lie on two of them.
    pub(crate) fn share_bytes_of(&self, source: &Self) -> Result<bool> {
        const CANNOT: [Errno; 8] = [
            Errno::OPNOTSUPP,
            Errno::NOSYS,
            Errno::NOTTY,
            Errno::XDEV,
            Errno::INVAL,
            Errno::BADF,
            Errno::PERM,
            Errno::TXTBSY,
        ];
        match rustix::fs::ioctl_ficlone(&self.file, &source.file) {
            Ok(()) => Ok(true),
            Err(errno) if CANNOT.contains(&errno) => Ok(false),
            Err(errno) => Err(self.failed("share bytes with")(errno.into())),
        }
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
    const CANNOT: [Errno; 5] = [
        Errno::XDEV,
        Errno::PERM,
        Errno::MLINK,
        Errno::OPNOTSUPP,
        Errno::NOSYS,
    ];
    let (old, new) = (from.dir().fd(), to.dir().fd());
    match rustix::fs::linkat(old, from.name(), new, to.name(), AtFlags::empty()) {
        Ok(()) => Ok(true),
        Err(errno) if CANNOT.contains(&errno) => Ok(false),
        Err(errno) => Err(at("link", &to.path())(errno.into())),
    }
}
