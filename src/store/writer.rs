//! [`PartWriter`]: one part's body as a stream.

use std::io::{self, Read, Write};
use std::sync::Arc;

use super::receiving::Receiving;
use super::shared::Shared;
#[cfg(doc)]
use crate::MinimumAt;
use crate::process::Owned;
use crate::values::part::Slot;
use crate::{Error, Part, PartOptions, Result};

/// Receives one part's body as a stream. Made by
/// [`PartStore::part_writer`](crate::PartStore::part_writer).
///
/// Nothing is stored before [`finish`](PartWriter::finish) returns `Ok`; dropping the writer leaves
/// nothing. It holds at most 2 MiB in memory, whatever the body's size; all bodies of a store together hold
/// 192 MiB, and 8 KiB for each beyond some 320. It may be moved to another thread.
#[must_use = "a part is stored by finish"]
pub struct PartWriter {
    body: Owned<Receiving>,
}

impl PartWriter {
    pub(super) fn open(shared: &Arc<Shared>, slot: Slot<'_>, options: PartOptions) -> Result<Self> {
        let body = Owned::new(Receiving::open(shared, slot, options)?);
        Ok(Self { body })
    }

    /// Bytes received so far.
    #[must_use]
    pub fn received(&self) -> u64 {
        self.body.look().map_or(0, Receiving::received)
    }

    /// Ends the body and stores the part.
    ///
    /// On `Ok` content, name and metadata are durable, and the part is the one under its number. On
    /// `Err` nothing has changed: the part before, if there was one, is still there. (Only after
    /// [`Error::Poisoned`] and [`Error::Index`] it takes opening the store again to know.)
    ///
    /// # Cost
    /// One sync of the file, one of its directory, one of the journal, which concurrent parts
    /// share. If the same bytes are stored already, only the journal's.
    ///
    /// # Errors
    /// [`Error::IncompleteBody`] when the body is not as long as declared ([R8](crate::rules#r8));
    /// [`Error::EntityTooLarge`] when it went over the maximum ([R3](crate::rules#r3)); [`Error::BadDigest`] when
    /// a declared digest is not the body's ([R7](crate::rules#r7)); [`Error::EntityTooSmall`] with
    /// [`MinimumAt::Put`]; [`Error::NoSuchUpload`] when the upload was completed or
    /// aborted in the meantime ([R10](crate::rules#r10)); the same as from an [`append`](Self::append) that had failed;
    /// [`Error::StorageFull`]; [`Error::Closed`]; [`Error::Poisoned`]; [`Error::Damaged`]; [`Error::Index`],
    /// [`Error::DamagedRow`], [`Error::Io`].
    pub fn finish(self) -> Result<Part> {
        self.body.take()?.finish()
    }

    /// Reads `body` to its end and writes it.
    ///
    /// # Errors
    /// As for [`finish`](Self::finish); [`Error::BodyUnreadable`] when the reader fails.
    pub(super) fn copy_from(&mut self, body: &mut dyn Read) -> Result<()> {
        self.body.get()?.copy_from(body)
    }

    /// Appends bytes to the body, as [`Write`] does, but fails with an [`Error`].
    ///
    /// # Errors
    /// [`Error::EntityTooLarge`] at the first byte over the maximum ([R3](crate::rules#r3)); [`Error::IncompleteBody`] at
    /// the first over the declared length ([R8](crate::rules#r8)); [`Error::StorageFull`]; [`Error::Closed`]; [`Error::Io`]. After an error
    /// the part cannot be finished: each further call answers the same again.
    pub fn append(&mut self, bytes: &[u8]) -> Result<()> {
        self.body.get()?.append(bytes)
    }
}

impl Write for PartWriter {
    /// Takes all of `bytes`, or fails. The error holds an [`Error`]: [`Error::from_io`] gives it
    /// back.
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.append(bytes).map_err(Error::into_io)?;
        Ok(bytes.len())
    }

    /// Does nothing: bytes are durable after [`finish`](PartWriter::finish).
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl std::fmt::Debug for PartWriter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PartWriter")
            .field("upload", &self.body.look().map(|body| &body.upload))
            .field("number", &self.body.look().map(|body| body.number))
            .field("received", &self.received())
            .finish_non_exhaustive()
    }
}
