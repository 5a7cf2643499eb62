//! [`LocalBlobs`]: what [`PartStore`](crate::PartStore) asks of files and of the disk.

#[cfg(not(shuttle))]
use std::{ffi::OsStr, os::fd::BorrowedFd, path::Path};

use std::sync::Arc;

use super::blob::{BlobFiles, DurableBlob, StagedBlob};
#[cfg(not(shuttle))]
use super::file::{self, Dir};
use super::room::{Reservation, Room};
use crate::backend::{self, BlobReader, BlobStore, BlobWriter, Location, StoredBlob};
#[cfg(not(shuttle))]
use crate::backend::{Going, Handed};
use crate::{ContentHash, Result, Stats};

/// The files, and the room for them.
pub(super) struct LocalBlobs {
    pub files: Arc<BlobFiles>,
    pub room: Arc<Room>,
    /// The store's directory.
    #[cfg(not(shuttle))]
    pub root: Dir,
}

impl BlobStore for LocalBlobs {
    fn begin(&self) -> Result<Box<dyn BlobWriter>> {
        Ok(Box::new(self.files.stage()?))
    }

    #[cfg(not(shuttle))]
    fn begin_with(&self, file: BorrowedFd<'_>) -> Result<Option<(Box<dyn BlobWriter>, u64)>> {
        let staged = self.files.stage_shared(file)?;
        Ok(staged.map(|(staged, len)| (Box::new(staged) as Box<dyn BlobWriter>, len)))
    }

    fn name_of(&self, content: &ContentHash, _blob: &StoredBlob) -> String {
        let name = content.to_string();
        format!("blobs/{}/{name}", name.get(..2).unwrap_or_default())
    }

    #[cfg(not(shuttle))]
    fn owns_path(&self, path: &Path) -> Result<bool> {
        file::is_below(path, &self.root)
    }

    #[cfg(not(shuttle))]
    fn hand_over(
        &self,
        content: &ContentHash,
        blob: &StoredBlob,
        into: (BorrowedFd<'_>, u64),
        copies: Option<&Going<'_>>,
    ) -> Result<Handed> {
        let len = blob.crcs.size;
        self.files.hand_over(content, len, into, copies)
    }

    #[cfg(not(shuttle))]
    fn link(
        &self,
        content: &ContentHash,
        blob: &StoredBlob,
        name: (BorrowedFd<'_>, &OsStr),
    ) -> Result<bool> {
        self.files.link(content, blob.crcs.size, name)
    }

    fn open(&self, content: &ContentHash, blob: StoredBlob) -> Result<Box<dyn BlobReader>> {
        Ok(Box::new(self.files.open_blob(*content, blob.crcs)?))
    }

    fn is_sound(&self, content: &ContentHash, blob: &StoredBlob) -> Result<bool> {
        self.files.is_sound(content, &blob.crcs)
    }

    fn require_sound(&self, content: &ContentHash, blob: &StoredBlob) -> Result<()> {
        self.files.require_sound(content, &blob.crcs)
    }

    fn check_room(&self, bytes: u64) -> Result<()> {
        self.room.check(bytes)
    }

    fn room(&self) -> Box<dyn backend::Room> {
        Box::new(self.room.reservation())
    }

    fn stats(&self, stats: &mut Stats) -> Result<()> {
        stats.damaged_blobs = self.files.damaged();
        stats.staged_bodies = self.files.staged_bodies();
        stats.reserved_bytes = self.room.reserved();
        stats.free_bytes = self.files.free_space()?;
        stats.direct_writes = self.files.writes_direct();
        Ok(())
    }
}

impl BlobWriter for StagedBlob {
    fn likes_aligned(&self) -> bool {
        self.is_direct()
    }

    fn write(&mut self, bytes: &[u8]) -> Result<()> {
        StagedBlob::write(self, bytes)
    }

    fn read_at(&self, position: u64, into: &mut [u8]) -> Result<()> {
        StagedBlob::read_at(self, position, into)
    }

    fn sync(self: Box<Self>) -> Result<Box<dyn backend::DurableBlob>> {
        Ok(Box::new(StagedBlob::sync(*self)?))
    }
}

impl backend::DurableBlob for DurableBlob {
    fn publish(self: Box<Self>, content: &ContentHash) -> Result<Location> {
        DurableBlob::publish(*self, content)?;
        // The hash says where it is.
        Ok(Location::default())
    }
}

impl backend::Room for Reservation {
    fn receive(&mut self, bytes: u64, rest: Option<u64>) -> Result<()> {
        Reservation::receive(self, bytes, rest)
    }

    fn written(&mut self, bytes: u64) {
        Reservation::written(self, bytes);
    }

    fn cancel(&mut self) {
        Reservation::cancel(self);
    }
}
