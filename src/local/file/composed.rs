//! Functions that are made of several calls of the file layer.

use super::{Dir, Handle, Kind, Place, read, remove, remove_dir, rename};
use crate::Result;

/// Reads a file. `None` if it does not exist.
pub(crate) fn read_if_present(place: &Place) -> Result<Option<Vec<u8>>> {
    match read(place) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.is_not_found() => Ok(None),
        Err(error) => Err(error),
    }
}

/// How many bytes are read at a time when the disk refuses some of them.
const SECTOR: usize = 4096;

/// Fills `bytes` with those at `offset`. Bytes that the disk refuses become zeros. `false` if some were
/// refused.
pub(crate) fn read_what_reads(handle: &Handle, bytes: &mut [u8], offset: u64) -> bool {
    if handle.read_at(bytes, offset).is_ok() {
        return true;
    }
    let mut all = true;
    for (at, sector) in (offset..).step_by(SECTOR).zip(bytes.chunks_mut(SECTOR)) {
        if handle.read_at(sector, at).is_err() {
            sector.fill(0);
            all = false;
        }
    }
    all
}

/// Writes a small file so that after a crash it has exactly these bytes, or does not exist.
pub(crate) fn write_durably(place: &Place, bytes: &[u8]) -> Result<()> {
    let staged = place.with_extension("tmp");
    remove_if_present(&staged)?;
    let handle = Handle::create_new(&staged)?;
    handle.write_at(bytes, 0)?;
    handle.sync_all()?;
    rename(&staged, place)?;
    place.dir().sync()
}

/// Removes a file. `false` if it did not exist. An empty directory with that name is removed, too: no store
/// makes one there, but a repair of the file system may.
pub(crate) fn remove_if_present(place: &Place) -> Result<bool> {
    match remove(place) {
        Ok(()) => Ok(true),
        Err(error) if error.is_not_found() => Ok(false),
        Err(error) if error.is_a_directory() => remove_dir(place).map(|()| true),
        Err(error) => Err(error),
    }
}

/// If the file has other names, gives this name to a copy of it, durably. The file stays as it is under its
/// other names.
pub(crate) fn unshare(place: &Place) -> Result<()> {
    if !Handle::open_read(place)?.is_shared()? {
        return Ok(());
    }
    let staged = place.with_extension("tmp");
    remove_if_present(&staged)?;
    copy(place, &staged)?;
    Handle::open_write(&staged)?.sync_all()?;
    rename(&staged, place)?;
    place.dir().sync()
}

/// Removes whatever has the name: a directory with everything in it, or anything else.
pub(crate) fn remove_tree_if_present(place: &Place) -> Result<()> {
    let inside = match place.dir().dir(place.name()) {
        Err(error) if error.is_not_found() => return Ok(()),
        Err(error) if error.is_not_a_directory() => return remove(place),
        opened => opened?,
    };
    for entry in inside.list()? {
        remove_tree_if_present(&inside.at(entry.name))?;
    }
    remove_dir(place)
}

/// How much is copied at a time, bytes.
const COPIED: u64 = 1024 * 1024;

/// How bytes of a file are read: into a buffer, from a place on.
type ReadAt = fn(&Handle, &mut [u8], u64) -> Result<()>;

/// Copies a directory with all files in it to a place that does not exist. Nothing is synced.
pub(crate) fn copy_tree(from: &Dir, to: &Place) -> Result<()> {
    copy_tree_by(Handle::read_at, from, to)
}

/// Does the same. Bytes that the disk refuses become zeros: only for files that show by themselves what is damaged.
#[cfg(not(shuttle))]
pub(crate) fn copy_tree_that_reads(from: &Dir, to: &Place) -> Result<()> {
    let read: ReadAt = |handle, bytes, offset| match handle.read_at(bytes, offset) {
        Err(error) if error.is_of_the_medium() => {
            read_what_reads(handle, bytes, offset);
            Ok(())
        }
        read => read,
    };
    copy_tree_by(read, from, to)
}

fn copy_tree_by(read: ReadAt, from: &Dir, to: &Place) -> Result<()> {
    to.dir().create_dir(to.name())?;
    let into = to.dir().dir(to.name())?;
    for entry in from.list()? {
        let (source, target) = (from.at(&entry.name), into.at(&entry.name));
        match entry.kind {
            Kind::Directory => copy_tree_by(read, &from.dir(&entry.name)?, &target)?,
            Kind::File => copy_by(read, &source, &target)?,
            Kind::Other => {}
        }
    }
    Ok(())
}

/// Copies a file to a place that does not exist. Nothing is synced.
pub(crate) fn copy(from: &Place, to: &Place) -> Result<()> {
    copy_by(Handle::read_at, from, to)
}

fn copy_by(read: ReadAt, from: &Place, to: &Place) -> Result<()> {
    let (source, target) = (Handle::open_read(from)?, Handle::create_new(to)?);
    let (mut offset, len) = (0, source.len()?);
    let mut bytes = Vec::new();
    while offset < len {
        let some = COPIED.min(len - offset);
        bytes.resize(usize::try_from(some).unwrap_or_default(), 0);
        read(&source, &mut bytes, offset)?;
        target.write_at(&bytes, offset)?;
        offset += some;
    }
    Ok(())
}

/// Makes everything in a directory durable.
pub(crate) fn sync_tree(dir: &Dir) -> Result<()> {
    for entry in dir.list()? {
        match entry.kind {
            Kind::Directory => sync_tree(&dir.dir(entry.name)?)?,
            Kind::File => Handle::open_read(&dir.at(entry.name))?.sync_all()?,
            Kind::Other => {}
        }
    }
    dir.sync()
}
