//! [`MarkerFile`]: CLEAN, the file that a clean close leaves and the next open removes.

use crate::Result;
use crate::local::ballast::Ballast;
use crate::local::file::{self, Handle, Place};
use crate::local::format::marker::{Marker, decode, encode, encoded_len};

/// The marker's file.
pub(crate) struct MarkerFile {
    place: Place,
}

impl MarkerFile {
    pub(crate) fn new(place: Place) -> Self {
        Self { place }
    }

    /// Reads the marker. A damaged marker counts as none, and so does something that is not a file.
    pub(crate) fn read(&self) -> Result<Option<Marker>> {
        match file::read_if_present(&self.place) {
            Err(error) if error.is_of_the_file(&self.place) => Ok(None),
            read => Ok(read?.and_then(|bytes| decode(&bytes))),
        }
    }

    /// Removes the marker durably, before anything else is changed. From then on only another clean close
    /// makes the next open a clean one. The directory is synced even if no marker exists: an open that
    /// failed or was killed may have removed it, not durably.
    pub(crate) fn remove(&self) -> Result<()> {
        file::remove_if_present(&self.place)?;
        self.place.dir().sync()
    }

    /// Makes the file to which the next marker is written, so that a close needs no room. If that fails,
    /// the close makes the file.
    pub(crate) fn prepare(&self) -> Result<()> {
        self.staged().map(drop)
    }

    /// Writes the marker so that after a crash it has exactly these bytes, or does not exist.
    pub(crate) fn write(&self, marker: &Marker, ballast: &Ballast) -> Result<()> {
        let handle = ballast.helping(|| {
            let handle = self.staged()?;
            handle.write_at(&encode(marker), 0).map(|()| handle)
        })?;
        handle.sync_all()?;
        ballast.helping(|| file::rename(&self.place.with_extension("tmp"), &self.place))?;
        self.place.dir().sync()
    }

    /// The file that becomes the marker, with all the room that it needs.
    fn staged(&self) -> Result<Handle> {
        let (place, len) = (self.place.with_extension("tmp"), encoded_len());
        match Handle::open_write(&place) {
            Ok(handle) if handle.len()? == len && !handle.is_shared()? => return Ok(handle),
            Err(error) if !error.is_not_found() && !error.is_of_the_file(&place) => {
                return Err(error);
            }
            _ => {}
        }
        file::remove_if_present(&place)?;
        let handle = Handle::create_new(&place)?;
        handle.allocate(len)?;
        Ok(handle)
    }
}
