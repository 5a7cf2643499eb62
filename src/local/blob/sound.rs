//! Whether a part may rely on a stored blob. A part whose bytes are already stored is acknowledged because
//! of this answer (I2).

use super::BlobFiles;
use super::source::{self, BlobFile, LENGTH};
use crate::local::file::Handle;
use crate::values::blocks::BlockCrcs;
use crate::{ContentHash, Error, Event, Result};

impl BlobFiles {
    /// Whether the blob's file exists, durably, and holds what it should. The first time that this process
    /// asks, it syncs and reads the file. Later it checks the length only. A file that cannot be opened for
    /// a reason of its own is not sound: putting the bytes again gives the name to another file.
    ///
    /// I2: a part whose bytes are already stored is acknowledged because of this answer.
    pub(crate) fn is_sound(&self, content: &ContentHash, sums: &BlockCrcs) -> Result<bool> {
        let Ok(handle) = self.find(content)? else {
            return Ok(false);
        };
        if handle.len()? != sums.size || self.unsynced.lock().contains(content) {
            return Ok(false);
        }
        self.make_durable(content.prefix())?;
        if self.sound.lock().contains(content) {
            return Ok(true);
        }
        match self.rest_on(handle, content, sums) {
            Ok(()) => Ok(true),
            Err(Error::DamagedBlob { .. }) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Passes if the blob's file exists, durably, and holds what it should. It is for a part that refers to
    /// the blob without having its bytes, and so cannot write them anew. It reads the file as seldom as
    /// [`is_sound`](Self::is_sound).
    ///
    /// # Errors
    /// [`Error::DamagedBlob`], [`Error::Io`].
    pub(crate) fn require_sound(&self, content: &ContentHash, sums: &BlockCrcs) -> Result<()> {
        let handle = self.open_file(content)?;
        if handle.len()? != sums.size {
            return Err(self.found_damage(content, LENGTH));
        }
        self.make_durable(content.prefix())?;
        if self.unsynced.lock().contains(content) {
            // A put of the same bytes gives the name to another file at this moment, or its rename failed.
            // (If its sync failed, the store stops, I8.) That put's file is durable and sound. If it is the
            // file that was opened here, this sync makes its name durable. If not, the file that was opened
            // is read. If that passes, both are sound, and either may have the name after a power cut.
            self.dir_of(content.prefix())?.sync()?;
        } else if self.sound.lock().contains(content) {
            return Ok(());
        }
        self.rest_on(handle, content, sums)
    }

    /// Makes sure that an answer may rely on this file, and remembers it.
    ///
    /// A store syncs a file before it publishes it. But whoever restored a file, or copied the directory,
    /// may have left its bytes in the page cache only. Such a file looks like any other.
    fn rest_on(&self, handle: Handle, content: &ContentHash, sums: &BlockCrcs) -> Result<()> {
        // This is not the sync of a body. If it fails, even for lack of room, nothing more may be
        // acknowledged.
        handle.sync_all()?;
        let file = BlobFile::new(self, handle, *content);
        source::check_all(file, sums, &mut |_| self.closing.check())?;
        self.found_sound(content);
        Ok(())
    }

    /// Reads the whole blob, and compares each block and the BLAKE3 hash with what was stored. Tells `advance` of
    /// the bytes of each step.
    ///
    /// # Errors
    /// [`Error::DamagedBlob`], [`Error::Io`], and those of `advance`.
    pub(crate) fn check(
        &self,
        content: &ContentHash,
        sums: &BlockCrcs,
        advance: &mut dyn FnMut(u64) -> Result<()>,
    ) -> Result<()> {
        let file = BlobFile::new(self, self.open_file(content)?, *content);
        source::check_all(file, sums, advance)?;
        self.damaged.lock().remove(content);
        Ok(())
    }

    pub(super) fn found_sound(&self, content: &ContentHash) {
        self.sound.lock().insert(*content);
        self.damaged.lock().remove(content);
    }

    /// Remembers that nothing may rely on the blob, and returns the error that names it.
    pub(super) fn found_damage(&self, content: &ContentHash, reason: &str) -> Error {
        self.sound.lock().remove(content);
        let is_news = self.damaged.lock().insert(*content);
        if is_news {
            let witness = self.blobs.health().witness();
            witness.note(|| Event::damaged_blob(*content, reason));
        }
        Error::DamagedBlob {
            hash: *content,
            reason: reason.to_owned(),
        }
    }
}
