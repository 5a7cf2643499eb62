//! [`Lock`]: this process alone has a directory open, and can check that it still does.

use std::fs::File;
use std::io;

use rustix::fs::{FlockOperation, OFlags};
use rustix::io::Errno;

use super::at;
use super::dir::{Dir, FileId, Place};
use crate::Result;
use crate::process::Process;
use crate::sync::Mutex;

/// A directory that this process alone has open, until this is dropped.
///
/// The directory itself is locked, so its name and the names in it may change. A file in it is locked as
/// well, as earlier versions do.
#[derive(Debug)]
pub(crate) struct Lock {
    dir: Dir,
    place: Place,
    file: File,
    id: FileId,
    /// Directories that are the store's as long as they have their names.
    watched: Mutex<Vec<Dir>>,
    process: Process,
}

impl Lock {
    /// Locks the directory, and the file `name` in it, which is made if it does not exist. `None` if
    /// another process has locked either.
    pub(crate) fn take(dir: &Dir, name: &str) -> Result<Option<Self>> {
        let place = dir.at(name);
        if !flock(dir, FlockOperation::NonBlockingLockExclusive)? {
            return Ok(None);
        }
        let lock = Self::take_file(dir, place);
        if !matches!(lock, Ok(Some(_))) {
            unlock(dir);
        }
        lock
    }

    fn take_file(dir: &Dir, place: Place) -> Result<Option<Self>> {
        let path = place.path();
        let file = File::from(place.open_or_create().map_err(at("open", &path))?);
        match file.try_lock() {
            Ok(()) => {}
            Err(std::fs::TryLockError::WouldBlock) => return Ok(None),
            Err(std::fs::TryLockError::Error(source)) => return Err(at("lock", &path)(source)),
        }
        let stat = rustix::fs::fstat(&file).map_err(|errno| at("stat", &path)(errno.into()))?;
        Ok(Some(Self {
            id: FileId::of(&stat),
            dir: dir.clone(),
            place,
            file,
            watched: Mutex::default(),
            process: Process::current(),
        }))
    }

    /// The directory.
    pub(crate) fn dir(&self) -> &Dir {
        &self.dir
    }

    /// From now on [`check`](Self::check) also fails if this directory below the root has lost its name.
    pub(crate) fn watch(&self, dir: &Dir) {
        self.watched.lock().push(dir.clone());
    }

    /// Passes if the directory has the path by which it was opened, and the locked file and all that is
    /// [watched](Self::watch) have their names.
    ///
    /// # Errors
    /// [`Error::Displaced`].
    pub(crate) fn check(&self) -> Result<()> {
        let path = self.dir.path();
        let displaced = |reason: &str| Err(self.dir.displaced(reason.to_owned()));
        match FileId::at_path(path) {
            Ok(id) if id == self.dir.id() => {}
            Ok(_) => return displaced("another directory has its path now"),
            Err(error) if error.is_not_found() || error.is_not_a_directory() => {
                return displaced("it was moved or removed: nothing has its path now");
            }
            Err(error) => return Err(error),
        }
        self.place.check_is(self.id)?;
        let watched = self.watched.lock();
        watched.iter().try_for_each(Dir::check_in_place)
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        if self.process.is_another() {
            return;
        }
        // Closing is not enough, because a child process that is just being started has the descriptors,
        // too.
        let _ = self.file.unlock();
        unlock(&self.dir);
    }
}

/// A directory that others may read and nobody has [locked](Lock), until this is dropped. Nothing is written for it.
#[derive(Debug)]
pub(crate) struct SharedLock {
    dir: Dir,
    file: Option<File>,
    process: Process,
}

impl SharedLock {
    /// Locks the directory, and the file `name` in it if it exists. `None` if a process has locked either for itself.
    pub(crate) fn take(dir: &Dir, name: &str) -> Result<Option<Self>> {
        if !flock(dir, FlockOperation::NonBlockingLockShared)? {
            return Ok(None);
        }
        let mut lock = Self {
            dir: dir.clone(),
            file: None,
            process: Process::current(),
        };
        let place = dir.at(name);
        let file = match place.open(OFlags::RDONLY) {
            Ok(file) => File::from(file),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Some(lock)),
            Err(source) => return Err(at("open", &place.path())(source)),
        };
        match file.try_lock_shared() {
            Ok(()) => lock.file = Some(file),
            Err(std::fs::TryLockError::WouldBlock) => return Ok(None),
            Err(std::fs::TryLockError::Error(source)) => {
                return Err(at("lock", &place.path())(source));
            }
        }
        Ok(Some(lock))
    }

    /// The directory.
    pub(crate) fn dir(&self) -> &Dir {
        &self.dir
    }
}

impl Drop for SharedLock {
    fn drop(&mut self) {
        if self.process.is_another() {
            return;
        }
        if let Some(file) = &self.file {
            let _ = file.unlock();
        }
        unlock(&self.dir);
    }
}

/// `false` if another process has the lock.
fn flock(dir: &Dir, how: FlockOperation) -> Result<bool> {
    match rustix::fs::flock(dir.fd(), how) {
        Ok(()) => Ok(true),
        Err(Errno::WOULDBLOCK) => Ok(false),
        Err(errno) => Err(at("lock", dir.path())(io::Error::from(errno))),
    }
}

fn unlock(dir: &Dir) {
    let _ = rustix::fs::flock(dir.fd(), FlockOperation::Unlock);
}
