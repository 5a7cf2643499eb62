//! [`PartWriter`] and [`ObjectWriter`]: the body of a part, or of a whole object, as a stream.

use std::io::{self, Read, Write};
use std::sync::Arc;

use super::receiving::{Receiving, Target};
use super::shared::Shared;
#[cfg(doc)]
use crate::MinimumAt;
use crate::process::Owned;
use crate::values::part::Slot;
use crate::{Checksums, Error, Key, Object, ObjectOptions, Part, PartOptions, Result};

/// Receives one part's body as a stream. [`PartStore::part_writer`](crate::PartStore::part_writer) makes
/// it.
///
/// Nothing is stored before [`finish`](PartWriter::finish) returns `Ok`. Dropping the writer leaves nothing
/// behind. It has at most 2 MiB of memory, whatever the body's size. All bodies of a store together have at
/// most 192 MiB, and 8 KiB for each beyond some 320. The writer may be moved to another thread.
#[must_use = "a part is stored by finish"]
pub struct PartWriter {
    body: Owned<Receiving>,
}

impl PartWriter {
    pub(super) fn open(shared: &Arc<Shared>, slot: Slot<'_>, options: PartOptions) -> Result<Self> {
        let body = Owned::new(Receiving::part(shared, slot, options)?);
        Ok(Self { body })
    }

    /// Returns how many bytes were received so far.
    #[must_use]
    pub fn received(&self) -> u64 {
        self.body.look().map_or(0, Receiving::received)
    }

    /// Ends the body and stores the part.
    ///
    /// On `Ok` content, name and metadata are durable, and the part is now the one under its number. On
    /// `Err` nothing has changed: the part that had the number before still has it. Only after
    /// [`Error::Poisoned`] and [`Error::Index`] the store must be opened again to know.
    ///
    /// # Cost
    /// Three syncs: the file, its directory and the journal. Concurrent parts share the journal's sync. If
    /// the same bytes are already stored, only the journal is synced.
    ///
    /// # Errors
    /// - [`Error::IncompleteBody`]: the body is not as long as declared ([R8](crate::rules#r8)).
    /// - [`Error::EntityTooLarge`]: the body is above the maximum ([R3](crate::rules#r3)).
    /// - [`Error::BadDigest`]: a declared digest is not the body's ([R7](crate::rules#r7)).
    /// - [`Error::EntityTooSmall`]: the body is below the minimum, with [`MinimumAt::Put`].
    /// - [`Error::NoSuchUpload`]: the upload was completed or aborted in the meantime
    ///   ([R10](crate::rules#r10)).
    /// - The error of an [`append`](Self::append) that had failed, once more.
    /// - [`Error::StorageFull`], [`Error::Poisoned`], [`Error::Damaged`], [`Error::Closed`]: the disk is
    ///   full, or the store has stopped, is damaged or closed.
    /// - [`Error::Index`], [`Error::DamagedRow`], [`Error::Io`]: the index or a system call failed.
    pub fn finish(self) -> Result<Part> {
        self.finish_with(&Checksums::new())
    }

    /// Does what [`finish`](Self::finish) does, and checks what is declared behind the body, as S3's
    /// trailers do. Nothing is replaced before all of it is checked.
    ///
    /// # Errors
    /// As for [`finish`](Self::finish), and [`Error::InvalidArgument`]: a checksum has an algorithm that
    /// was not [computed](PartOptions::compute), or was declared with another value before the body.
    pub fn finish_with(self, declared: &Checksums) -> Result<Part> {
        self.body.take()?.finish_part(declared)
    }

    /// Reads `body` to its end and writes it.
    ///
    /// # Errors
    /// As for [`finish`](Self::finish), and [`Error::BodyUnreadable`] if the reader fails.
    pub(super) fn copy_from(&mut self, body: &mut dyn Read) -> Result<()> {
        self.body.get()?.copy_from(body)
    }

    /// Appends bytes to the body, as [`Write`] does, but returns an [`Error`]. After an error the part
    /// cannot be finished: each further call returns the same error.
    ///
    /// # Errors
    /// - [`Error::EntityTooLarge`]: the body is above the maximum, at the first byte over it
    ///   ([R3](crate::rules#r3)).
    /// - [`Error::IncompleteBody`]: the body is longer than declared, at the first byte over it
    ///   ([R8](crate::rules#r8)).
    /// - [`Error::StorageFull`]: the disk is full.
    /// - [`Error::Closed`]: the store is closed.
    /// - [`Error::Io`]: a system call failed.
    pub fn append(&mut self, bytes: &[u8]) -> Result<()> {
        self.body.get()?.append(bytes)
    }
}

impl Write for PartWriter {
    /// Takes all of `bytes`, or fails. The `io::Error` holds an [`Error`], which [`Error::from_io`] gives
    /// back.
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.append(bytes).map_err(Error::into_io)?;
        Ok(bytes.len())
    }

    /// Does nothing. Bytes are durable after [`finish`](PartWriter::finish).
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl std::fmt::Debug for PartWriter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let body = self.body.look();
        let part = body.and_then(|body| match &body.target {
            Target::Part { upload, number } => Some((upload, number)),
            Target::Object { .. } => None,
        });
        f.debug_struct("PartWriter")
            .field("upload", &part.map(|(upload, _)| upload))
            .field("number", &part.map(|(_, number)| number))
            .field("received", &self.received())
            .finish_non_exhaustive()
    }
}

/// Receives the body of an object as a stream.
/// [`PartStore::object_writer`](crate::PartStore::object_writer) makes it.
///
/// Nothing is stored before [`finish`](ObjectWriter::finish) returns `Ok`. Otherwise it is a
/// [`PartWriter`].
#[must_use = "an object is stored by finish"]
pub struct ObjectWriter {
    body: Owned<Receiving>,
}

impl ObjectWriter {
    pub(super) fn open(shared: &Arc<Shared>, key: Key, options: ObjectOptions) -> Result<Self> {
        let body = Owned::new(Receiving::object(shared, key, options)?);
        Ok(Self { body })
    }

    /// Returns how many bytes were received so far.
    #[must_use]
    pub fn received(&self) -> u64 {
        self.body.look().map_or(0, Receiving::received)
    }

    /// Ends the body. On `Ok` it is the current object of its key, durably, and the object before it is
    /// removed. On `Err` nothing has changed, as for [`PartWriter::finish`].
    ///
    /// # Errors
    /// As for [`PartStore::put_object_with`](crate::PartStore::put_object_with), and the error of an
    /// [`append`](Self::append) that had failed, once more.
    pub fn finish(self) -> Result<Object> {
        self.finish_with(&Checksums::new())
    }

    /// Does what [`finish`](Self::finish) does, and checks what is declared behind the body, as S3's
    /// trailers do.
    ///
    /// # Errors
    /// As for [`finish`](Self::finish), and [`Error::InvalidArgument`]: a checksum has an algorithm that
    /// was not [computed](PartOptions::compute), or was declared with another value before the body.
    pub fn finish_with(self, declared: &Checksums) -> Result<Object> {
        self.body.take()?.finish_object(declared)
    }

    /// Reads `body` to its end and writes it.
    ///
    /// # Errors
    /// As for [`finish`](Self::finish), and [`Error::BodyUnreadable`] if the reader fails.
    pub(super) fn copy_from(&mut self, body: &mut dyn Read) -> Result<()> {
        self.body.get()?.copy_from(body)
    }

    /// Appends bytes to the body. It fails as [`PartWriter::append`] does.
    ///
    /// # Errors
    /// As for [`PartWriter::append`].
    pub fn append(&mut self, bytes: &[u8]) -> Result<()> {
        self.body.get()?.append(bytes)
    }
}

impl Write for ObjectWriter {
    /// Takes all of `bytes`, or fails. The `io::Error` holds an [`Error`], which [`Error::from_io`] gives
    /// back.
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.append(bytes).map_err(Error::into_io)?;
        Ok(bytes.len())
    }

    /// Does nothing. Bytes are durable after [`finish`](ObjectWriter::finish).
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl std::fmt::Debug for ObjectWriter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let key = self.body.look().and_then(|body| match &body.target {
            Target::Object { key, .. } => Some(key),
            Target::Part { .. } => None,
        });
        f.debug_struct("ObjectWriter")
            .field("key", &key)
            .field("received", &self.received())
            .finish_non_exhaustive()
    }
}
