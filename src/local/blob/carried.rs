//! The files of bodies that the journal carries. They are written like others, and not synced: until
//! [`sync_carried`](BlobFiles::sync_carried) has returned, only the journal keeps their bytes.

use std::io::ErrorKind;
use std::sync::atomic::Ordering;

use super::BlobFiles;
use crate::local::file::{self, Handle, Place};
use crate::{ContentHash, Error, Result};

impl BlobFiles {
    /// Whether a sync of the whole file system tells of every write that has failed. Otherwise no file may rest
    /// on one.
    pub(crate) fn can_carry(&self) -> bool {
        self.can_carry
    }

    /// Writes a file under its final name, and syncs nothing. `false` if something has the name: it may be the file of
    /// another put, on which an answer rests already. That must not be replaced by one that is not durable.
    ///
    /// The caller holds a pin on `content`, and the catalog has no row of it. So nobody reads the file until the
    /// caller's batch is appended. If the write fails, part of a file may be left, and a sweep must look at it.
    pub(crate) fn place(&self, content: &ContentHash, bytes: &[u8]) -> Result<bool> {
        self.check_process()?;
        let made = match self.place_in_dir(content) {
            Err(error) if error.is_not_found() => {
                self.blobs.create_dir(hex::encode([content.prefix()]))?;
                self.place_in_dir(content)
            }
            made => made,
        };
        let handle = match made {
            Err(Error::Io { source, .. }) if source.kind() == ErrorKind::AlreadyExists => {
                return Ok(false);
            }
            made => made?,
        };
        handle.write_at(bytes, 0)?;
        // Behind the write, and before the batch is appended: whoever sees the batch syncs the file.
        self.placed.fetch_add(1, Ordering::SeqCst);
        self.found_sound(content);
        Ok(true)
    }

    fn place_in_dir(&self, content: &ContentHash) -> Result<Handle> {
        let dir = self.dir_of(content.prefix())?;
        Handle::create_new(&dir.at(content.to_string()))
    }

    /// Writes the file of a body that the journal carries anew, and syncs nothing. The process that wrote it first may
    /// have been killed, or the file lost to a power cut. What was there is written again even if it looks whole: after a
    /// failed sync the kernel may believe that lost pages are written.
    pub(crate) fn restore(&self, content: &ContentHash, bytes: &[u8]) -> Result<()> {
        if blake3::hash(bytes).as_bytes() != content.as_bytes() {
            return Ok(());
        }
        match self.write_anew(content, bytes) {
            // On a full disk a file that proves itself is enough.
            Err(Error::StorageFull { .. }) if self.prove_file(content)?.is_some() => {}
            written => written?,
        }
        self.placed.fetch_add(1, Ordering::SeqCst);
        self.found_sound(content);
        Ok(())
    }

    fn write_anew(&self, content: &ContentHash, bytes: &[u8]) -> Result<()> {
        self.blobs.create_dir(hex::encode([content.prefix()]))?;
        let place = self.dir_of(content.prefix())?.at(content.to_string());
        match self.find(content)? {
            // In place this needs no room. If it is broken off, the next open writes it again.
            Ok(found) if found.len()? == bytes.len() as u64 && !found.is_shared()? => {
                Handle::open_write(&place)?.write_at(bytes, 0)
            }
            _ => self.replace(&place, bytes),
        }
    }

    fn replace(&self, place: &Place, bytes: &[u8]) -> Result<()> {
        let staged = self.staging.at("restored");
        file::remove_if_present(&staged)?;
        Handle::create_new(&staged)?.write_at(bytes, 0)?;
        match file::rename(&staged, place) {
            Err(error) if error.is_a_directory() => {
                file::remove_dir(place)?;
                file::rename(&staged, place)
            }
            renamed => renamed,
        }
    }

    /// Makes all files durable that were placed or restored so far, with their names: many by one sync of the file
    /// system, which writes them in the order in which they lie on the disk.
    pub(crate) fn sync_carried(&self) -> Result<()> {
        let placed = self.placed.load(Ordering::SeqCst);
        if placed > self.carried_durable.load(Ordering::SeqCst) {
            self.blobs.sync_all_files()?;
            // ext4 without a journal writes names behind the flush of that sync. This is another flush.
            self.blobs.sync()?;
            self.carried_durable.fetch_max(placed, Ordering::SeqCst);
        }
        Ok(())
    }
}
