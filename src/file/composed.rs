//! Functions that are made of several calls of the file layer.

use super::{Dir, Handle, Kind, Place, read, remove, remove_dir, rename};
use crate::Result;

/// Reads a file, or nothing where there is none.
pub(crate) fn read_if_present(place: &Place) -> Result<Option<Vec<u8>>> {
    match read(place) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.is_not_found() => Ok(None),
        Err(error) => Err(error),
    }
}

/// Bytes of a file at a time when the disk refuses some of them.
const SECTOR: usize = 4096;

/// Fills `bytes` with those at `offset`; what the disk refuses to give reads as zeros. `false` when some
/// was refused.
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

/// Puts a whole small file in place so that after a crash it is there as given, or not at all.
pub(crate) fn write_durably(place: &Place, bytes: &[u8]) -> Result<()> {
    let staged = place.with_extension("tmp");
    remove_if_present(&staged)?;
    let handle = Handle::create_new(&staged)?;
    handle.write_at(bytes, 0)?;
    handle.sync_all()?;
    rename(&staged, place)?;
    place.dir().sync()
}

/// Removes a file; `false` when there was none. An empty directory in its place goes as well: no store makes
/// one there, a repair of the file system may.
pub(crate) fn remove_if_present(place: &Place) -> Result<bool> {
    match remove(place) {
        Ok(()) => Ok(true),
        Err(error) if error.is_not_found() => Ok(false),
        Err(error) if error.is_a_directory() => remove_dir(place).map(|()| true),
        Err(error) => Err(error),
    }
}

/// Gives the name to a copy of the file, durably, where the file has other names: whoever knows it by one of
/// them keeps it as it is.
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

/// Removes whatever has the name: a directory with all that is in it, anything else itself.
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

/// Copies a directory with all files in it to a place where nothing is; nothing is synced.
pub(crate) fn copy_tree(from: &Dir, to: &Place) -> Result<()> {
    to.dir().create_dir(to.name())?;
    let into = to.dir().dir(to.name())?;
    for entry in from.list()? {
        match entry.kind {
            Kind::Directory => copy_tree(&from.dir(&entry.name)?, &into.at(&entry.name))?,
            Kind::File => copy(&from.at(&entry.name), &into.at(&entry.name))?,
            Kind::Other => {}
        }
    }
    Ok(())
}

fn copy(from: &Place, to: &Place) -> Result<()> {
    let (source, target) = (Handle::open_read(from)?, Handle::create_new(to)?);
    let (mut offset, len) = (0, source.len()?);
    let mut bytes = Vec::new();
    while offset < len {
        let some = COPIED.min(len - offset);
        bytes.resize(usize::try_from(some).unwrap_or_default(), 0);
        source.read_at(&mut bytes, offset)?;
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
