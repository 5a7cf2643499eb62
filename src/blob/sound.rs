//! Whether a part may rely on a stored blob. A part whose bytes are already stored is acknowledged because
//! of this answer (I2).

use super::{BlobReader, BlobStore};
use crate::file::Handle;
use crate::going::Going;
use crate::values::digest::BlockCrcs;
use crate::{ContentHash, Error, Result};

pub(super) const LENGTH: &str = "its file has another length";

impl BlobStore {
    /// Whether the blob's file is there, durably, and holds what it should. The first time that this
    /// process asks it syncs and reads the file; later it looks at the length only. A file that cannot be
    /// opened for a reason of its own is not sound: putting the bytes again gives the name to another.
    ///
    /// A part that is acknowledged because its bytes are stored already rests on this answer (I2).
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

    /// Passes when the blob's file is there, durably, and holds what it should: for a part that refers to
    /// it without having its bytes, and cannot write them anew. Reads the file as seldom as
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
            // (If its sync did, the store stops, I8.) Its file is durable and sound. If that is the one
            // that was opened, this makes the name durable; if not, the one that was opened is read, and
            // whichever has the name after a power cut will do.
            self.dir_of(content.prefix())?.sync()?;
        } else if self.sound.lock().contains(content) {
            return Ok(());
        }
        self.rest_on(handle, content, sums)
    }

    /// Makes sure that an answer may rest on this file, and remembers it.
    ///
    /// What a store has published was synced before it had its name. But who restored a file, or copied
    /// the directory, may have left its bytes in the page cache only; and nothing tells such a file.
    fn rest_on(&self, handle: Handle, content: &ContentHash, sums: &BlockCrcs) -> Result<()> {
        // Not the sync of a body: without room, too, a failure is one that nothing may be acknowledged after.
        handle.sync_all()?;
        BlobReader::over(self, handle, *content, sums).check_all(&Going::until(&self.closing))?;
        self.found_sound(content);
        Ok(())
    }

    /// Reads the whole blob and compares each block, and the BLAKE3 hash, with what was stored.
    ///
    /// # Errors
    /// [`Error::DamagedBlob`]; [`Error::Closed`] when it is not to go on; [`Error::Io`].
    pub(crate) fn check(
        &self,
        content: &ContentHash,
        sums: &BlockCrcs,
        going: &Going<'_>,
    ) -> Result<()> {
        BlobReader::over(self, self.open_file(content)?, *content, sums).check_all(going)?;
        self.damaged.lock().remove(content);
        Ok(())
    }

    pub(super) fn found_sound(&self, content: &ContentHash) {
        self.sound.lock().insert(*content);
        self.damaged.lock().remove(content);
    }

    /// Remembers that the blob may not be built upon, and gives the error that names it.
    pub(super) fn found_damage(&self, content: &ContentHash, reason: &str) -> Error {
        self.sound.lock().remove(content);
        self.damaged.lock().insert(*content);
        Error::DamagedBlob {
            hash: *content,
            reason: reason.to_owned(),
        }
    }
}
