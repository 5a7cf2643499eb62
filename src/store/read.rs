//! Reading: parts and objects as `Read + Seek`, and as chunks. Each block is checked before a reader returns
//! any of it (I5).

use std::io::{self, Read, Seek, SeekFrom};
use std::sync::Arc;
#[cfg(not(shuttle))]
use std::{ops::ControlFlow, path::Path};

use bytes::Bytes;

#[cfg(not(shuttle))]
use super::export;
use super::flow::Flow;
use super::places::Places;
use super::session::Session;
use super::shared::Shared;
use crate::backend::{BlobReader, HeldObject, Hold};
use crate::{Error, Key, Object, ObjectPart, Part, PartNumber, Result, Upload};
#[cfg(not(shuttle))]
use crate::{ExportOptions, ExportReport, Progress};

/// Reads a part. [`PartStore::open_part`](crate::PartStore::open_part) and [`ObjectReader::part`] make it.
///
/// It returns the bytes of the part as it was when opened, also if the part is replaced, aborted or removed
/// in the meantime. A read error may hold an [`Error`], which [`Error::from_io`] gives back.
/// [`Error::DamagedBlob`] names the blob.
///
/// # Cost
/// A small read costs reading its block of 32 KiB, which the reader keeps until it is read. (A block has 256 KiB in
/// a part of over 128 MiB, and in what was stored before format 4.) A read of whole blocks is read straight into the
/// caller's memory. After 512 KiB in order the reader reads up to 12 MiB ahead, on other threads. All readers of a
/// store together have 128 MiB. If others have it all, a reader keeps 32 KiB of a block.
///
/// A reader of an object that seeks keeps parts open to which it may come back: 64 for all readers of a store
/// together. Each takes two descriptors.
pub struct PartReader {
    part: Part,
    flow: Flow,
}

impl PartReader {
    /// Opens a part of an open upload.
    pub(super) fn open(shared: &Arc<Shared>, upload: &Upload, number: PartNumber) -> Result<Self> {
        let session = shared.session()?;
        let held = session.catalog.hold_part(upload, number)?;
        let blob = session.blobs.open(&held.part.content, held.blob)?;
        Ok(Self::of(shared, held.part, held.hold, blob))
    }

    fn of(shared: &Arc<Shared>, part: Part, hold: Hold, blob: Box<dyn BlobReader>) -> Self {
        let parts = ObjectPart::all([part.clone()]);
        let flow = Flow::new(shared, Places::new(shared, parts, (1, part.size), hold));
        Self {
            flow: flow.opened(part.content, blob),
            part,
        }
    }

    /// Returns the part that is read.
    #[must_use]
    pub fn part(&self) -> &Part {
        &self.part
    }

    /// Makes a file of the part, and tells `progress` how far it has come, as [`ObjectReader::export`] does.
    ///
    /// # Errors
    /// As for [`ObjectReader::export`].
    #[cfg(not(shuttle))]
    pub fn export(
        &self,
        path: impl AsRef<Path>,
        options: ExportOptions,
        progress: impl FnMut(Progress) -> ControlFlow<()>,
    ) -> Result<ExportReport> {
        export::export(self.flow.places(), path.as_ref(), options, progress)
    }

    /// Returns the next bytes, at most `most`, and not a copy of them. They are empty only at or behind the
    /// end, or if `most` is 0. [`ObjectReader::next_chunk`] has more.
    ///
    /// # Errors
    /// As for [`ObjectReader::next_chunk`].
    pub fn next_chunk(&mut self, most: usize) -> Result<Bytes> {
        self.flow.next_chunk(most)
    }

    /// Sets after how many bytes in order the reader reads ahead. 512 KiB is the default, and 0 is at once.
    /// A server may want more: what a client that takes nothing has on its way takes memory of all readers.
    pub fn reads_ahead_after(&mut self, bytes: u64) {
        self.flow.read_ahead_after(bytes);
    }

    /// What keeps its blob.
    pub(super) fn hold(&self) -> &Hold {
        self.flow.places().hold()
    }
}

impl Read for PartReader {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        self.flow.read(into).map_err(Error::into_io)
    }
}

impl Seek for PartReader {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        seek(&mut self.flow, to, self.part.size)
    }
}

impl std::fmt::Debug for PartReader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PartReader")
            .field("part", &self.part)
            .field("position", &self.flow.position())
            .finish_non_exhaustive()
    }
}

/// Reads an object: its parts, one after the other.
/// [`PartStore::open_object`](crate::PartStore::open_object) makes it.
///
/// It returns the bytes of the object also if the object is removed in the meantime. Errors and costs are
/// those of [`PartReader`]. Whatever the number of parts, it knows some dozens of them at a time, and finds
/// others when it needs them.
pub struct ObjectReader {
    shared: Arc<Shared>,
    object: Object,
    flow: Flow,
}

impl ObjectReader {
    pub(super) fn open(shared: &Arc<Shared>, object: &Upload) -> Result<Self> {
        let held = shared.session()?.catalog.hold_object(object)?;
        Ok(Self::of(shared, held))
    }

    /// Opens the current object of a key.
    pub(super) fn open_key(shared: &Arc<Shared>, key: &Key) -> Result<Self> {
        let held = shared.session()?.catalog.hold_key(key)?;
        Ok(Self::of(shared, held))
    }

    fn of(shared: &Arc<Shared>, held: HeldObject) -> Self {
        let all = (usize::from(held.object.parts), held.object.size);
        Self {
            shared: Arc::clone(shared),
            object: held.object,
            flow: Flow::new(shared, Places::new(shared, held.parts, all, held.hold)),
        }
    }

    /// Returns the object that is read.
    #[must_use]
    pub fn object(&self) -> &Object {
        &self.object
    }

    /// Sets after how many bytes in order the reader reads ahead, as
    /// [`PartReader::reads_ahead_after`] does.
    pub fn reads_ahead_after(&mut self, bytes: u64) {
        self.flow.read_ahead_after(bytes);
    }

    /// What keeps its blobs.
    pub(super) fn hold(&self) -> &Hold {
        self.flow.places().hold()
    }

    /// Returns the parts and their places, in order. It finds them as they are asked for, some dozens at a
    /// time. After an error the iterator ends.
    ///
    /// # Errors
    /// - [`Error::Closed`]: the store is closed.
    /// - [`Error::Index`], [`Error::DamagedRow`]: the index failed, or a row of it is damaged.
    pub fn parts(&self) -> impl Iterator<Item = Result<ObjectPart>> {
        self.flow.places().all()
    }

    /// The same, within a call that has the session.
    pub(super) fn parts_in(&self, session: &Session) -> impl Iterator<Item = Result<ObjectPart>> {
        self.flow.places().all_in(session)
    }

    /// Returns the part that has the byte at this offset. `None` at or behind the end.
    ///
    /// # Errors
    /// As for [`parts`](Self::parts).
    pub fn part_at(&self, offset: u64) -> Result<Option<ObjectPart>> {
        self.flow.places().with_byte(offset)
    }

    /// Returns a part with its place, by its number.
    ///
    /// # Errors
    /// - [`Error::NoSuchPart`]: the object has no part with this number.
    /// - As for [`parts`](Self::parts).
    pub fn placed_part(&self, number: PartNumber) -> Result<ObjectPart> {
        let found = self.flow.places().with_number(number)?;
        found.ok_or_else(|| self.object.upload.part_not_found(number))
    }

    /// Returns the next bytes, at most `most`, and not a copy of them. They are empty only at or behind the
    /// end, or if `most` is 0.
    ///
    /// A chunk ends at the latest with its part. How long it is otherwise may differ from call to call: a
    /// piece of 256 KiB at first, up to 2 MiB later. It keeps the memory that it lies in, which is that of
    /// the readers. So drop it when its bytes are used.
    ///
    /// [`Read`], [`Seek`] and this go on from the same position.
    ///
    /// ```
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let dir = tempfile::tempdir()?;
    /// # let store = partstore::PartStore::open(dir.path().join("data"))?;
    /// let object = store.put_object("bucket/hello", "hello")?;
    /// let mut reader = store.open_object(&object.upload)?;
    /// let mut len = 0;
    /// loop {
    ///     let chunk = reader.next_chunk(usize::MAX)?;
    ///     if chunk.is_empty() {
    ///         break;
    ///     }
    ///     len += chunk.len();
    /// }
    /// assert_eq!(len, 5);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// The position stays where it was.
    /// - [`Error::DamagedBlob`]: the block at the position does not hold what was stored, or the file of its
    ///   blob is missing.
    /// - [`Error::Closed`]: the store is closed.
    /// - [`Error::Index`], [`Error::Io`]: the index or a system call failed.
    pub fn next_chunk(&mut self, most: usize) -> Result<Bytes> {
        self.flow.next_chunk(most)
    }

    /// Makes a file of the whole object, as [`PartStore::export_object`](crate::PartStore::export_object) does, and tells
    /// `progress` how far it has come. It counts bytes, and is called at least once for 2 MiB that are read, and for 64 MiB
    /// that the kernel copies. If it returns `Break`, the
    /// export ends early, the report says so, and there is no file.
    ///
    /// # Errors
    /// - As for [`PartStore::export_object`](crate::PartStore::export_object).
    /// - [`Error::Closed`]: the store is closed, or was closed in the meantime.
    #[cfg(not(shuttle))]
    pub fn export(
        &self,
        path: impl AsRef<Path>,
        options: ExportOptions,
        progress: impl FnMut(Progress) -> ControlFlow<()>,
    ) -> Result<ExportReport> {
        export::export(self.flow.places(), path.as_ref(), options, progress)
    }

    /// Opens one part by its number (`GET ?partNumber=N`). The part's reader may outlive this one.
    ///
    /// # Errors
    /// - [`Error::NoSuchPart`]: the object has no part with this number.
    /// - [`Error::DamagedBlob`]: the file of its blob is missing.
    /// - [`Error::Closed`]: the store is closed.
    /// - [`Error::Index`], [`Error::Io`]: the index or a system call failed.
    pub fn part(&self, number: PartNumber) -> Result<PartReader> {
        let part = self.placed_part(number)?.part;
        let session = self.shared.session()?;
        let blob = session.catalog.blob(&part.content, self.hold())?;
        let blob = session.blobs.open(&part.content, blob)?;
        Ok(PartReader::of(
            &self.shared,
            part,
            self.hold().clone(),
            blob,
        ))
    }
}

impl Read for ObjectReader {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        self.flow.read(into).map_err(Error::into_io)
    }
}

impl Seek for ObjectReader {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        seek(&mut self.flow, to, self.object.size)
    }
}

impl std::fmt::Debug for ObjectReader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ObjectReader")
            .field("object", &self.object)
            .field("position", &self.flow.position())
            .finish_non_exhaustive()
    }
}

fn seek(flow: &mut Flow, to: SeekFrom, size: u64) -> io::Result<u64> {
    let reached = match to {
        SeekFrom::Start(offset) => Some(offset),
        SeekFrom::Current(by) => flow.position().checked_add_signed(by),
        SeekFrom::End(by) => size.checked_add_signed(by),
    };
    let refused = || io::Error::new(io::ErrorKind::InvalidInput, "a seek before the start");
    flow.seek(reached.ok_or_else(refused)?);
    Ok(flow.position())
}
