//! [`BlobStore`]: keeps bytes.

use super::rows::{Location, StoredBlob};
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

    /// Opens a blob for reading. The caller holds it.
    ///
    /// # Errors
    /// [`Error::DamagedBlob`](crate::Error::DamagedBlob) if it is missing or too short.
    fn open(&self, content: &ContentHash, blob: StoredBlob) -> Result<Box<dyn BlobReader>>;

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
