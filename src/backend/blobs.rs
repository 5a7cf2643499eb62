//! [`BlobStore`]: keeps bytes.

use std::ffi::OsStr;
use std::os::fd::BorrowedFd;
use std::path::Path;

use super::rows::{Location, StoredBlob};
use crate::going::Going;
use crate::{ContentHash, Result, Stats};

/// Keeps the bytes of blobs. It does not know who refers to them: the [catalog](super::Catalog) does, and
/// with it the engine's own [sweep](super::Catalog::sweep) decides what is removed.
///
/// Each step on the way in is a type, so that none can be left out: [`BlobWriter`] (bytes are written) →
/// [`DurableBlob`] (they are durable, without a name) → published under a [`Location`].
pub trait BlobStore: Send + Sync + 'static {
    /// Begins to write bytes whose hash is not known yet.
    ///
    /// # Errors
    /// [`Error::StorageFull`](crate::Error::StorageFull), [`Error::Io`](crate::Error::Io).
    fn begin(&self) -> Result<Box<dyn BlobWriter>>;

    /// Begins with all bytes of a file, if the file system shares them until either is written to (a reflink). Then it
    /// returns also how many these are. By default it shares none, and the caller writes the bytes.
    ///
    /// # Errors
    /// As for [`begin`](Self::begin).
    fn begin_with(&self, file: BorrowedFd<'_>) -> Result<Option<(Box<dyn BlobWriter>, u64)>> {
        let _ = file;
        Ok(None)
    }

    /// Has the file system put the bytes of a blob into a file, from a position on. At position 0 the file is empty.
    /// With `copies` the kernel may also copy what it cannot share, and `copies` is asked between its steps. The caller
    /// holds the blob, and checks the bytes. By default nothing is put, and the caller writes them.
    ///
    /// # Errors
    /// [`Error::DamagedBlob`](crate::Error::DamagedBlob) if it is missing. [`Error::Closed`](crate::Error::Closed) if
    /// `copies` says no. [`Error::StorageFull`](crate::Error::StorageFull), [`Error::Io`](crate::Error::Io).
    fn hand_over(
        &self,
        content: &ContentHash,
        blob: &StoredBlob,
        into: (BorrowedFd<'_>, u64),
        copies: Option<&Going<'_>>,
    ) -> Result<Handed> {
        let _ = (content, blob, into, copies);
        Ok(Handed::Nothing)
    }

    /// Gives the file of a blob a second name, in a directory. The caller holds the blob, and checks the bytes. `false`
    /// if it has no file, the file has more or fewer bytes, or it cannot have that name. That is the default.
    ///
    /// # Errors
    /// As for [`hand_over`](Self::hand_over).
    fn link(
        &self,
        content: &ContentHash,
        blob: &StoredBlob,
        name: (BorrowedFd<'_>, &OsStr),
    ) -> Result<bool> {
        let _ = (content, blob, name);
        Ok(false)
    }

    /// Opens a blob for reading. The caller holds it.
    ///
    /// # Errors
    /// [`Error::DamagedBlob`](crate::Error::DamagedBlob) if it is missing or too short.
    fn open(&self, content: &ContentHash, blob: StoredBlob) -> Result<Box<dyn BlobReader>>;

    /// Says where a blob's bytes are, for people: a path below the store's directory, or a name below the bucket's prefix. By
    /// default it is the hash.
    fn name_of(&self, content: &ContentHash, blob: &StoredBlob) -> String {
        let _ = blob;
        content.to_string()
    }

    /// Says whether a path is the store's own directory, or is below it. By default it is not: an engine may have none.
    ///
    /// # Errors
    /// [`Error::Io`](crate::Error::Io).
    fn owns_path(&self, path: &Path) -> Result<bool> {
        let _ = path;
        Ok(false)
    }

    /// Says whether a part may rely on a blob that the caller holds: that it is there, durable, and holds
    /// what it should ([I2](crate::rules#i2)). An engine may remember the answer, and check only the size
    /// later.
    ///
    /// # Errors
    /// Any but [`Error::DamagedBlob`](crate::Error::DamagedBlob), for which the answer is `false`.
    fn is_sound(&self, content: &ContentHash, blob: &StoredBlob) -> Result<bool>;

    /// Passes if a part may rely on a blob that the caller holds. It is for a caller who does not have the
    /// bytes to write them anew.
    ///
    /// # Errors
    /// [`Error::DamagedBlob`](crate::Error::DamagedBlob).
    fn require_sound(&self, content: &ContentHash, blob: &StoredBlob) -> Result<()>;

    /// Passes if so many bytes have room now. Reserves nothing. By default it passes.
    ///
    /// # Errors
    /// [`Error::StorageFull`](crate::Error::StorageFull).
    fn check_room(&self, bytes: u64) -> Result<()> {
        let _ = bytes;
        Ok(())
    }

    /// Makes a reservation for one body that holds nothing yet. By default room has no limit.
    fn room(&self) -> Box<dyn Room> {
        Box::new(Unlimited)
    }

    /// Fills in what it knows of the store's numbers.
    ///
    /// # Errors
    /// [`Error::Io`](crate::Error::Io).
    fn stats(&self, stats: &mut Stats) -> Result<()>;
}

/// How the bytes of a blob came into a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Handed {
    /// They did not.
    Nothing,
    /// The file system shares them.
    Shared,
    /// The kernel copied them. Some file systems then share what they can.
    Copied,
}

/// Bytes on their way in. Dropping it leaves nothing behind ([I3](crate::rules#i3)).
pub trait BlobWriter: Send + Sync {
    /// Whether pieces that begin in memory at a multiple of 4,096 bytes are written faster, so that it pays
    /// to copy bytes to such a place.
    fn likes_aligned(&self) -> bool {
        false
    }

    /// Appends bytes.
    ///
    /// # Errors
    /// [`Error::StorageFull`](crate::Error::StorageFull), [`Error::Io`](crate::Error::Io).
    fn write(&mut self, bytes: &[u8]) -> Result<()>;

    /// Reads bytes with which it [began](BlobStore::begin_with). No other writer is asked for them.
    ///
    /// # Errors
    /// [`Error::Io`](crate::Error::Io).
    fn read_at(&self, position: u64, into: &mut [u8]) -> Result<()> {
        let _ = (position, into);
        Err(crate::Error::Closed)
    }

    /// Makes the bytes durable.
    ///
    /// # Errors
    /// [`Error::Io`](crate::Error::Io).
    fn sync(self: Box<Self>) -> Result<Box<dyn DurableBlob>>;
}

/// Bytes that are durable, and have no name. Dropping it leaves nothing behind for longer than until the
/// next sweep.
pub trait DurableBlob: Send + Sync {
    /// Gives the bytes their name, durably, and returns where they lie. The caller holds `content`, which is
    /// their hash. If a blob of this hash is stored already, readers of it go on.
    ///
    /// # Errors
    /// [`Error::Io`](crate::Error::Io). The caller then tells the [catalog](super::Catalog::uncommitted).
    fn publish(self: Box<Self>, content: &ContentHash) -> Result<Location>;
}

/// Reads a blob at any place. Each byte has been checked against the CRC of its block
/// ([I5](crate::rules#i5)); [`Verified`](super::Verified) does that for any source.
pub trait BlobReader: Send + Sync {
    /// Copies bytes from `position` on, and returns how many. 0 only at or behind the end, or if `into` is
    /// empty. After an error `into` has no byte of a damaged block.
    ///
    /// # Errors
    /// [`Error::DamagedBlob`](crate::Error::DamagedBlob), [`Error::Io`](crate::Error::Io).
    fn read_at(&mut self, position: u64, into: &mut [u8]) -> Result<usize>;

    /// Returns the length of its blocks, bytes: so much is read for one byte. [`LONG_BLOCK`](super::LONG_BLOCK) is a
    /// multiple of it, and the default.
    fn block_len(&self) -> usize {
        super::LONG_BLOCK
    }

    /// Copies whole blocks from `position` on, which is where a block begins, as long as they are in memory
    /// and nobody has to wait for them. Returns how many bytes it copied. By default none is in memory.
    ///
    /// # Errors
    /// As for [`read_at`](Self::read_at).
    fn read_cached(&mut self, position: u64, into: &mut [u8]) -> Result<usize> {
        let _ = (position, into);
        Ok(0)
    }

    /// Makes a second reader of the same blob. It reads long pieces on another thread, also for a while
    /// after the hold has ended. By default it makes none, and nothing is read ahead.
    ///
    /// # Errors
    /// [`Error::Io`](crate::Error::Io).
    fn ahead(&self) -> Result<Option<Box<dyn BlobReader>>> {
        Ok(None)
    }
}

/// Room for one body, which grows as bytes arrive. Dropping it gives back what was not written.
pub trait Room: Send + Sync {
    /// Reserves room for `bytes` that have arrived, and, if it likes, for some of those that will come:
    /// `rest` of them, if that is known.
    ///
    /// # Errors
    /// [`Error::StorageFull`](crate::Error::StorageFull).
    fn receive(&mut self, bytes: u64, rest: Option<u64>) -> Result<()>;

    /// Says that received bytes were written, or need not be.
    fn written(&mut self, bytes: u64);

    /// Gives back what is not written.
    fn cancel(&mut self);
}

/// Room without a limit.
#[derive(Clone, Copy, Debug)]
pub struct Unlimited;

impl Room for Unlimited {
    fn receive(&mut self, _bytes: u64, _rest: Option<u64>) -> Result<()> {
        Ok(())
    }

    fn written(&mut self, _bytes: u64) {}

    fn cancel(&mut self) {}
}
