//! [`Dir`], an open directory, and [`Place`], a name in one.
//!
//! A store is a directory, not a path. It is opened once, and everything below it is reached through
//! descriptors. So a store that is renamed, unmounted lazily or mounted over continues in the directory
//! that it locked. It never touches another one that has taken its path. It follows no symbolic link below
//! the store, and opens nothing that is mounted there.

use std::ffi::{OsStr, OsString};
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::fs::{AtFlags, FileType, IFlags, Mode, OFlags, Stat, StatxFlags};
use rustix::io::Errno;

use super::{SYNC_DIR, at, sync};
use crate::local::health::Health;
use crate::{Error, Event, Result, SyncKind};

/// An open directory. Clones share the descriptor.
#[derive(Clone, Debug)]
pub(crate) struct Dir {
    open: Arc<Open>,
}

#[derive(Debug)]
struct Open {
    fd: OwnedFd,
    /// The path by which it was opened, for messages.
    path: PathBuf,
    id: FileId,
    mount: Mount,
    /// Its name in the directory in which it was opened. The root has none.
    place: Option<Place>,
    /// Permissions of files that are made in it. Those of directories follow from them.
    mode: Mode,
    /// The store's health, shared by all directories below the root.
    health: Arc<Health>,
}

/// A name in a directory, whether it exists or not.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    dir: Dir,
    name: OsString,
}

/// The identity of a file or directory, whatever its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct FileId {
    device: u64,
    inode: u64,
}

impl FileId {
    pub(super) fn of(stat: &Stat) -> Self {
        Self {
            device: stat.st_dev,
            inode: stat.st_ino,
        }
    }

    /// What has this path now.
    pub(super) fn at_path(path: &Path) -> Result<Self> {
        let found = rustix::fs::stat(path);
        Ok(Self::of(
            &found.map_err(|errno| at("stat", path)(errno.into()))?,
        ))
    }

    fn is_beside(self, other: Self) -> bool {
        self.device == other.device
    }
}

/// The mount through which something is reached. Device numbers are not enough, for two reasons. A
/// directory of the same file system may be mounted below the store. And on an overlay a file may have
/// another device number than its directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mount {
    Id(u64),
    /// Before Linux 5.8 no better way exists.
    Device(u64),
}

impl Mount {
    fn of(fd: &OwnedFd, stat: &Stat) -> Self {
        let asked = rustix::fs::statx(fd, c"", AtFlags::EMPTY_PATH, StatxFlags::MNT_ID);
        match asked {
            Ok(found) if found.stx_mask & StatxFlags::MNT_ID.bits() != 0 => {
                Self::Id(found.stx_mnt_id)
            }
            _ => Self::Device(stat.st_dev),
        }
    }
}

/// The kind of a directory entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    /// A regular file.
    File,
    Directory,
    /// A symbolic link, a pipe, a socket or a device.
    Other,
}

impl Kind {
    fn of(kind: FileType) -> Self {
        match kind {
            FileType::RegularFile => Self::File,
            FileType::Directory => Self::Directory,
            _ => Self::Other,
        }
    }
}

/// A name in a directory, and what has it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Entry {
    pub name: OsString,
    pub kind: Kind,
}

/// The number of btrfs in `statfs`.
const BTRFS_SUPER_MAGIC: rustix::fs::FsWord = 0x9123_683e;

const DIRECTORY: OFlags = OFlags::DIRECTORY.union(OFlags::CLOEXEC);

impl Dir {
    /// Opens the directory that `path` names, through symbolic links if it has any. Files below it are made
    /// with the permissions `mode`.
    pub(crate) fn open(path: &Path, mode: u32) -> Result<Self> {
        let fd = retry(|| rustix::fs::open(path, DIRECTORY, Mode::empty()));
        let fd = fd.map_err(at("open directory", path))?;
        let mode = Mode::from_raw_mode(mode);
        Self::new(fd, path.to_owned(), None, (mode, &Arc::default()))
    }

    fn new(
        fd: OwnedFd,
        path: PathBuf,
        place: Option<Place>,
        (mode, health): (Mode, &Arc<Health>),
    ) -> Result<Self> {
        let stat = rustix::fs::fstat(&fd).map_err(|errno| at("stat", &path)(errno.into()))?;
        let open = Open {
            id: FileId::of(&stat),
            mount: Mount::of(&fd, &stat),
            fd,
            path,
            place,
            mode,
            health: Arc::clone(health),
        };
        Ok(Self {
            open: Arc::new(open),
        })
    }

    /// Opens a directory in this one.
    pub(crate) fn dir(&self, name: impl AsRef<OsStr>) -> Result<Self> {
        let path = self.open.path.join(name.as_ref());
        let flags = DIRECTORY | OFlags::NOFOLLOW;
        let opened = retry(|| rustix::fs::openat(self.fd(), name.as_ref(), flags, Mode::empty()));
        let fd = opened.map_err(at("open directory", &path))?;
        let place = Some(self.at(name.as_ref()));
        let dir = Self::new(fd, path, place, (self.open.mode, &self.open.health))?;
        if dir.open.mount != self.open.mount {
            return Err(at("open directory", dir.path())(Errno::XDEV.into()));
        }
        Ok(dir)
    }

    /// Makes a directory in this one unless the name exists.
    pub(crate) fn create_dir(&self, name: impl AsRef<OsStr>) -> Result<()> {
        let mode = mode_of_directories(self.open.mode);
        match rustix::fs::mkdirat(self.fd(), name.as_ref(), mode) {
            Ok(()) | Err(Errno::EXIST) => Ok(()),
            Err(errno) => {
                let path = self.open.path.join(name.as_ref());
                Err(at("create directory", &path)(errno.into()))
            }
        }
    }

    /// The place of a name in this directory.
    pub(crate) fn at(&self, name: impl Into<OsString>) -> Place {
        Place {
            dir: self.clone(),
            name: name.into(),
        }
    }

    /// The path by which it was opened.
    pub(crate) fn path(&self) -> &Path {
        &self.open.path
    }

    /// The path of the root, in which all were opened.
    fn root(&self) -> PathBuf {
        match &self.open.place {
            Some(place) => place.dir.root(),
            None => self.open.path.clone(),
        }
    }

    pub(super) fn fd(&self) -> BorrowedFd<'_> {
        self.open.fd.as_fd()
    }

    pub(super) fn id(&self) -> FileId {
        self.open.id
    }

    /// A path that is valid as long as the directory is open, even if its name changes. It is for a library
    /// that takes paths only. If no `/proc` is mounted, it is the path by which the directory was opened.
    pub(crate) fn lasting_path(&self) -> PathBuf {
        let through_fd = PathBuf::from(format!("/proc/self/fd/{}", self.open.fd.as_raw_fd()));
        match FileId::at_path(&through_fd) {
            Ok(id) if id == self.open.id => through_fd,
            _ => self.open.path.clone(),
        }
    }

    /// The entries, in the order of their names.
    pub(crate) fn list(&self) -> Result<Vec<Entry>> {
        let failed = |errno: Errno| at("list", &self.open.path)(errno.into());
        let mut entries = Vec::new();
        for entry in rustix::fs::Dir::read_from(self.fd()).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            let name = OsStr::from_bytes(entry.file_name().to_bytes());
            if name == "." || name == ".." {
                continue;
            }
            let kind = match entry.file_type() {
                FileType::Unknown => self.kind_of(name),
                known => Ok(Kind::of(known)),
            };
            entries.push(Entry {
                name: name.to_owned(),
                kind: kind.map_err(failed)?,
            });
        }
        entries.sort();
        Ok(entries)
    }

    /// What has the name.
    fn kind_of(&self, name: &OsStr) -> Result<Kind, Errno> {
        let stat = rustix::fs::statat(self.fd(), name, AtFlags::SYMLINK_NOFOLLOW)?;
        Ok(Kind::of(FileType::from_raw_mode(stat.st_mode)))
    }

    /// Makes the names in the directory durable.
    pub(crate) fn sync(&self) -> Result<()> {
        let witness = self.open.health.witness();
        let synced = || self.heed(sync(self.fd()).map_err(at(SYNC_DIR, &self.open.path)));
        witness.timed(synced, |(), took| Event::sync(SyncKind::Directory, took))
    }

    /// Whether the store may still acknowledge.
    pub(crate) fn health(&self) -> &Arc<Health> {
        &self.open.health
    }

    /// Returns the result of a sync. If the sync failed, it also poisons the store. Bytes that found no
    /// room are only refused.
    pub(super) fn heed(&self, synced: Result<()>) -> Result<()> {
        synced.inspect_err(|error| {
            if !matches!(error, Error::StorageFull { .. }) {
                self.open.health.poison(error);
            }
        })
    }

    /// The error of a directory that is no longer the store's alone. It poisons the store.
    pub(super) fn displaced(&self, reason: String) -> Error {
        let path = self.root();
        let error = Error::Displaced { path, reason };
        self.open.health.poison(&error);
        error
    }

    /// Makes the whole file system write out what it holds back, and free the room of removed files.
    /// Nothing of the store becomes durable by this; [`sync`](Self::sync) does that.
    pub(crate) fn sync_file_system(&self) -> Result<()> {
        let synced = rustix::fs::syncfs(self.fd());
        synced.map_err(|errno| at("syncfs", &self.open.path)(errno.into()))
    }

    /// Makes btrfs write files that are made in here in place from now on. So their allocated space is
    /// enough. Other file systems write in place anyway.
    pub(crate) fn write_in_place(&self) {
        let is_btrfs =
            rustix::fs::fstatfs(self.fd()).is_ok_and(|stat| stat.f_type == BTRFS_SUPER_MAGIC);
        if !is_btrfs {
            return;
        }
        // If this fails, files are written elsewhere, and full disks are met later.
        let _ = rustix::fs::ioctl_getflags(self.fd())
            .and_then(|flags| rustix::fs::ioctl_setflags(self.fd(), flags | IFlags::NOCOW));
    }

    /// Passes if its name still names this directory.
    ///
    /// # Errors
    /// [`Error::Displaced`].
    pub(super) fn check_in_place(&self) -> Result<()> {
        match &self.open.place {
            Some(place) => place.check_is(self.open.id),
            None => Ok(()),
        }
    }

    /// How many bytes this user may still write to its file system.
    pub(crate) fn free_space(&self) -> Result<u64> {
        let stat = rustix::fs::fstatvfs(self.fd());
        let stat = stat.map_err(|errno| at("statvfs", &self.open.path)(errno.into()))?;
        Ok(stat.f_bavail.saturating_mul(stat.f_frsize))
    }
}

impl Place {
    pub(crate) fn dir(&self) -> &Dir {
        &self.dir
    }

    pub(crate) fn name(&self) -> &OsStr {
        &self.name
    }

    /// For messages.
    pub(crate) fn path(&self) -> PathBuf {
        self.dir.open.path.join(&self.name)
    }

    /// The same place, with another extension.
    pub(crate) fn with_extension(&self, extension: &str) -> Self {
        self.dir.at(Path::new(&self.name).with_extension(extension))
    }

    /// What has the name now. `None` if nothing has.
    pub(crate) fn id(&self) -> Result<Option<FileId>> {
        match rustix::fs::statat(self.dir.fd(), &self.name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) => Ok(Some(FileId::of(&stat))),
            Err(Errno::NOENT) => Ok(None),
            Err(errno) => Err(at("stat", &self.path())(errno.into())),
        }
    }

    /// Passes if the name names this.
    ///
    /// # Errors
    /// [`Error::Displaced`].
    pub(super) fn check_is(&self, id: FileId) -> Result<()> {
        let reason = match self.id()? {
            Some(found) if found == id => return Ok(()),
            Some(_) => "something else has taken the place of",
            None => "nothing is left in the place of",
        };
        let root = self.dir.root();
        let path = self.path();
        let name = path.strip_prefix(&root).unwrap_or(&path);
        let reason = format!("{reason} {}", name.display());
        Err(self.dir.displaced(reason))
    }

    /// Opens what has the name, if it is a regular file. Opens nothing that is mounted there.
    pub(super) fn open(&self, flags: OFlags) -> io::Result<OwnedFd> {
        let fd = self.open_unless_pipe(flags)?;
        let stat = rustix::fs::fstat(&fd)?;
        match Kind::of(FileType::from_raw_mode(stat.st_mode)) {
            Kind::File if Mount::of(&fd, &stat) == self.dir.open.mount => Ok(fd),
            Kind::File => Err(Errno::XDEV.into()),
            Kind::Directory => Err(Errno::ISDIR.into()),
            Kind::Other => Err(Errno::NXIO.into()),
        }
    }

    /// Makes a file. It must not exist yet.
    pub(super) fn create(&self, flags: OFlags) -> io::Result<OwnedFd> {
        self.open_any(flags | OFlags::CREATE | OFlags::EXCL)
    }

    /// Opens the file, or makes it.
    pub(super) fn open_or_create(&self) -> io::Result<OwnedFd> {
        self.open_any(OFlags::RDWR | OFlags::CREATE)
    }

    /// Opens the file, but does not wait for a pipe. It does wait for the holder of a lease (`F_SETLEASE`)
    /// to give it up.
    fn open_unless_pipe(&self, flags: OFlags) -> io::Result<OwnedFd> {
        match self.open_any(flags | OFlags::NONBLOCK) {
            Err(error)
                if error.kind() == io::ErrorKind::WouldBlock
                    && self.dir.kind_of(&self.name)? == Kind::File =>
            {
                self.open_any(flags)
            }
            opened => opened,
        }
    }

    fn open_any(&self, flags: OFlags) -> io::Result<OwnedFd> {
        let flags = flags | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let mode = self.dir.open.mode;
        retry(|| rustix::fs::openat(self.dir.fd(), &self.name, flags, mode))
    }
}

fn retry<T>(call: impl FnMut() -> Result<T, Errno>) -> io::Result<T> {
    Ok(rustix::io::retry_on_intr(call)?)
}

/// Who may read files may also search the directories that hold them.
fn mode_of_directories(files: Mode) -> Mode {
    let search = |read: Mode, search: Mode| {
        if files.contains(read) {
            search
        } else {
            Mode::empty()
        }
    };
    files
        | search(Mode::RUSR, Mode::XUSR)
        | search(Mode::RGRP, Mode::XGRP)
        | search(Mode::ROTH, Mode::XOTH)
}

/// Makes a directory and its parents, as far as they do not exist. Nothing is synced.
pub(crate) fn create_dirs(path: &Path, mode: u32) -> Result<()> {
    if path.is_dir() {
        return Ok(());
    }
    if let Some(parent) = path.parent() {
        create_dirs(parent, mode)?;
    }
    match rustix::fs::mkdir(path, mode_of_directories(Mode::from_raw_mode(mode))) {
        Ok(()) | Err(Errno::EXIST) => Ok(()),
        Err(errno) => Err(at("create directory", path)(errno.into())),
    }
}

/// Makes the name of a directory durable, and the names of the directories above it on the same file
/// system. If this user may not read one of them, it is left to whoever made it.
pub(crate) fn sync_parents(path: &Path) -> Result<()> {
    let path = path.canonicalize().map_err(at("resolve", path))?;
    let here = FileId::at_path(&path)?;
    for parent in path.ancestors().skip(1) {
        if !FileId::at_path(parent).is_ok_and(|id| id.is_beside(here)) {
            break;
        }
        match Dir::open(parent, 0) {
            Err(Error::Io { source, .. }) if source.kind() == io::ErrorKind::PermissionDenied => {}
            opened => opened?.sync()?,
        }
    }
    Ok(())
}
