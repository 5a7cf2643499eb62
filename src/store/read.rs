//! Reading: parts and objects as `Read + Seek`. Each block is checked before a reader returns any of it
//! (I5).

use std::io::{self, Read, Seek, SeekFrom};
use std::sync::Arc;

use super::session::Session;
use super::shared::Shared;
use crate::backend::{BlobReader, HeldObject, Hold};
use crate::process::Process;
use crate::{ContentHash, Error, Key, Object, ObjectPart, Part, PartNumber, Result, Upload};

/// Reads a part. [`PartStore::open_part`](crate::PartStore::open_part) and [`ObjectReader::part`] make it.
///
/// It returns the bytes of the part as it was when opened, also if the part is replaced, aborted or removed
/// in the meantime. A read error may hold an [`Error`], which [`Error::from_io`] gives back.
/// [`Error::DamagedBlob`] names the blob. The reader has one block of 256 KiB in memory, so a small read
/// costs reading its block.
pub struct PartReader {
    process: Process,
    part: Part,
    blob: Box<dyn BlobReader>,
    position: u64,
    /// [I4](crate::rules#i4): the blob stays while it is read.
    hold: Hold,
}

impl PartReader {
    /// Opens a part of an open upload.
    pub(super) fn open(session: &Session, upload: &Upload, number: PartNumber) -> Result<Self> {
        let held = session.catalog.hold_part(upload, number)?;
        Ok(Self {
            process: session.process,
            blob: session.blobs.open(&held.part.content, held.blob)?,
            part: held.part,
            position: 0,
            hold: held.hold,
        })
    }

    /// Returns the part that is read.
    #[must_use]
    pub fn part(&self) -> &Part {
        &self.part
    }

    /// What keeps its blob.
    pub(super) fn hold(&self) -> &Hold {
        &self.hold
    }
}

impl Read for PartReader {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let read = self
            .process
            .check()
            .and_then(|()| self.blob.read_at(self.position, into));
        let len = read.map_err(Error::into_io)?;
        self.position += len as u64;
        Ok(len)
    }
}

impl Seek for PartReader {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.position = position_of(to, self.position, self.part.size)?;
        Ok(self.position)
    }
}

impl std::fmt::Debug for PartReader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PartReader")
            .field("part", &self.part)
            .field("position", &self.position)
            .finish_non_exhaustive()
    }
}

fn position_of(to: SeekFrom, position: u64, size: u64) -> io::Result<u64> {
    let reached = match to {
        SeekFrom::Start(offset) => Some(offset),
        SeekFrom::Current(by) => position.checked_add_signed(by),
        SeekFrom::End(by) => size.checked_add_signed(by),
    };
    reached.ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "a seek before the start"))
}

/// Opens a blob that is held.
fn open_blob(session: &Session, content: &ContentHash, hold: &Hold) -> Result<Box<dyn BlobReader>> {
    let blob = session.catalog.blob(content, hold)?;
    session.blobs.open(content, blob)
}

/// Reads an object: its parts, one after the other.
/// [`PartStore::open_object`](crate::PartStore::open_object) makes it.
///
/// It returns the bytes of the object also if the object is removed in the meantime. Errors and memory are
/// those of [`PartReader`], and 120 bytes for the place of each part.
pub struct ObjectReader {
    shared: Arc<Shared>,
    object: Object,
    parts: Vec<ObjectPart>,
    position: u64,
    /// The part that is being read, by its place in the list.
    current: Option<(usize, Box<dyn BlobReader>)>,
    /// [I4](crate::rules#i4): the blobs stay while the object is read.
    hold: Hold,
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
        Self {
            shared: Arc::clone(shared),
            object: held.object,
            parts: held.parts,
            position: 0,
            current: None,
            hold: held.hold,
        }
    }

    /// Returns the object that is read.
    #[must_use]
    pub fn object(&self) -> &Object {
        &self.object
    }

    /// What keeps its blobs.
    pub(super) fn hold(&self) -> &Hold {
        &self.hold
    }

    /// Returns the parts and their places, in order.
    #[must_use]
    pub fn parts(&self) -> &[ObjectPart] {
        &self.parts
    }

    /// Opens one part by its number (`GET ?partNumber=N`). The part's reader may outlive this one.
    ///
    /// # Errors
    /// - [`Error::NoSuchPart`]: the object has no part with this number.
    /// - [`Error::DamagedBlob`]: the file of its blob is missing.
    /// - [`Error::Closed`]: the store is closed.
    /// - [`Error::Index`], [`Error::Io`]: the index or a system call failed.
    pub fn part(&self, number: PartNumber) -> Result<PartReader> {
        let found = self
            .parts
            .iter()
            .find(|placed| placed.part.number == number);
        let part = found
            .ok_or_else(|| self.object.upload.part_not_found(number))?
            .part
            .clone();
        let session = self.shared.session()?;
        Ok(PartReader {
            process: session.process,
            blob: open_blob(&session, &part.content, &self.hold)?,
            part,
            position: 0,
            hold: self.hold.clone(),
        })
    }

    /// Reads from the part at the position.
    fn read_some(&mut self, into: &mut [u8]) -> Result<usize> {
        self.shared.check_process()?;
        let behind = self
            .parts
            .partition_point(|placed| placed.offset + placed.part.size <= self.position);
        let Some(placed) = self.parts.get(behind) else {
            return Ok(0);
        };
        let within = self.position - placed.offset;
        if let Some((_, blob)) = self.current.as_mut().filter(|(at, _)| *at == behind) {
            return blob.read_at(within, into);
        }
        let mut blob = open_blob(&*self.shared.session()?, &placed.part.content, &self.hold)?;
        let read = blob.read_at(within, into);
        self.current = Some((behind, blob));
        read
    }
}

impl Read for ObjectReader {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        if into.is_empty() {
            return Ok(0);
        }
        let len = self.read_some(into).map_err(Error::into_io)?;
        self.position += len as u64;
        Ok(len)
    }
}

impl Seek for ObjectReader {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.position = position_of(to, self.position, self.object.size)?;
        Ok(self.position)
    }
}

impl std::fmt::Debug for ObjectReader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ObjectReader")
            .field("object", &self.object)
            .field("position", &self.position)
            .finish_non_exhaustive()
    }
}
