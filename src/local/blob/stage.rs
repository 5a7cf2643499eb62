//! Staged blobs: bodies on their way in. Each step is a type, so no step can be left out: [`StagedBlob`]
//! (being written) → [`DurableBlob`] (synced) → published under its hash.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::BlobFiles;
use crate::buffers::{self, ALIGNMENT};
use crate::local::file::{self, Handle, Place};
use crate::{ContentHash, Event, Result, SyncKind};

/// A file in `staging/` that is being written. Dropping it removes the file (I3).
pub(crate) struct StagedBlob {
    file: StagedFile,
    len: u64,
    /// Whether writes bypass the page cache.
    direct: bool,
}

impl StagedBlob {
    pub(super) fn create(
        store: Arc<BlobFiles>,
        place: &Place,
        create: fn(&Place) -> Result<Handle>,
    ) -> Result<Self> {
        let handle = create(place)?;
        store.staged_now.fetch_add(1, Ordering::Relaxed);
        Ok(Self {
            file: StagedFile {
                store,
                handle,
                published: false,
            },
            len: 0,
            direct: false,
        })
    }

    /// Its bytes are written past the page cache.
    pub(super) fn directly(self) -> Self {
        Self {
            direct: true,
            ..self
        }
    }

    /// Gives it all bytes of a file, and returns how many these are. `None` if the file system does not share them.
    #[cfg(not(shuttle))]
    pub(super) fn shared_with(
        mut self,
        source: std::os::fd::BorrowedFd<'_>,
    ) -> Result<Option<(Self, u64)>> {
        if !self.file.handle.share_bytes_of(source)? {
            return Ok(None);
        }
        self.len = self.file.handle.len()?;
        let len = self.len;
        Ok(Some((self, len)))
    }

    /// Reads what was written, through the page cache.
    pub(crate) fn read_at(&self, position: u64, into: &mut [u8]) -> Result<()> {
        self.file.handle.read_at(into, position)
    }

    /// Whether bytes are written past the page cache as long as they are in [buffers](crate::buffers).
    pub(crate) fn is_direct(&self) -> bool {
        self.direct
    }

    /// Continues through the page cache.
    fn leave_direct(&mut self) -> Result<()> {
        if self.direct {
            self.file.handle.leave_direct()?;
            self.direct = false;
        }
        Ok(())
    }

    /// Appends bytes. The first ones that are not in a buffer, and all behind them, go through the page
    /// cache.
    pub(crate) fn write(&mut self, bytes: &[u8]) -> Result<()> {
        self.file.store.check_process()?;
        if !buffers::is_aligned(bytes) {
            self.leave_direct()?;
        }
        if !self.direct {
            return self.write_next(bytes);
        }
        let (whole, rest) = bytes.split_at(bytes.len() - bytes.len() % ALIGNMENT);
        self.write_next(whole)?;
        if !rest.is_empty() {
            self.leave_direct()?;
        }
        self.write_next(rest)
    }

    fn write_next(&mut self, bytes: &[u8]) -> Result<()> {
        if !bytes.is_empty() {
            self.file.handle.write_at(bytes, self.len)?;
            self.len += bytes.len() as u64;
        }
        Ok(())
    }

    /// Makes the bytes durable.
    pub(crate) fn sync(self) -> Result<DurableBlob> {
        let witness = self.file.store.staging.health().witness();
        let synced = || self.file.handle.sync_data();
        witness.timed(synced, |(), took| Event::sync(SyncKind::Blob, took))?;
        Ok(DurableBlob { file: self.file })
    }
}

/// A staged file whose bytes are durable and whose name is not. Dropping it removes the file.
pub(crate) struct DurableBlob {
    file: StagedFile,
}

impl DurableBlob {
    /// Gives the file its final name, durably. A file that already has the name is replaced.
    ///
    /// The caller holds a pin on `content`, which is the hash of the bytes that were written.
    pub(crate) fn publish(mut self, content: &ContentHash) -> Result<()> {
        self.file.store.publish(self.file.handle.place(), content)?;
        self.file.published = true;
        Ok(())
    }
}

struct StagedFile {
    store: Arc<BlobFiles>,
    handle: Handle,
    published: bool,
}

impl Drop for StagedFile {
    fn drop(&mut self) {
        self.store.staged_now.fetch_sub(1, Ordering::Relaxed);
        if !self.published && self.store.check_process().is_ok() {
            // If it cannot be removed now, it is removed when the store is opened.
            let _ = file::remove_if_present(self.handle.place());
        }
    }
}
