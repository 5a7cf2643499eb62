//! Reading: parts and objects as `Read + Seek`. Each block is checked before a reader returns any of it
//! (I5).

use std::io::{self, Read, Seek, SeekFrom};
use std::ops::ControlFlow;
use std::sync::Arc;

use super::answers;
use super::current;
use super::engine::Engine;
use super::shared::Shared;
use crate::blob::{BlobReader, BlobStore};
use crate::format::record::UploadState;
use crate::pins::Pinned;
use crate::values::digest::BlockCrcs;
use crate::{ContentHash, Error, Key, Object, ObjectPart, Part, PartNumber, Result, Upload};

/// Reads a part. [`PartStore::open_part`](crate::PartStore::open_part) and [`ObjectReader::part`] make it.
///
/// It returns the bytes of the part as it was when opened, also if the part is replaced, aborted or removed
/// in the meantime. A read error may hold an [`Error`], which [`Error::from_io`] gives back.
/// [`Error::DamagedBlob`] names the blob. The reader has one block of 256 KiB in memory, so a small read
/// costs reading its block.
pub struct PartReader {
    part: Part,
    blob: BlobReader<Arc<BlobStore>>,
    position: u64,
    /// [I4](crate::rules#i4): the blob stays while it is read.
    pinned: Arc<Pinned>,
}

impl PartReader {
    /// Returns the part that is read.
    #[must_use]
    pub fn part(&self) -> &Part {
        &self.part
    }

    /// Whether its pin holds the blob in this store since the store was last opened
    /// ([I4](crate::rules#i4)).
    pub(super) fn is_of(&self, engine: &Engine) -> bool {
        self.pinned.is_of(&engine.pins)
    }
}

impl Read for PartReader {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let len = self
            .blob
            .read_at(self.position, into)
            .map_err(Error::into_io)?;
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

/// Opens a part of an open upload.
pub(super) fn open_part(
    engine: &Engine,
    upload: &Upload,
    number: PartNumber,
) -> Result<PartReader> {
    loop {
        engine.record_if_open(upload)?;
        let record = engine
            .meta
            .part(upload.id(), number)?
            .ok_or_else(|| upload.part_not_found(number))?;
        let pinned = engine.pins.pin(vec![record.content])?;
        // Read again under the pin, because a sweep may have removed the blob of a part that was replaced
        // just before.
        if engine
            .meta
            .part(upload.id(), number)?
            .is_some_and(|now| now.content == record.content)
        {
            let blob = open_blob(engine, record.content)?;
            return Ok(PartReader {
                part: answers::part(number, &record),
                blob,
                position: 0,
                pinned: Arc::new(pinned),
            });
        }
    }
}

/// Opens the blob of a part, which is pinned.
pub(super) fn open_blob(
    engine: &Engine,
    content: ContentHash,
) -> Result<BlobReader<Arc<BlobStore>>> {
    let sums = crcs_of(engine, &content)?;
    engine.blobs.open_blob(content, sums)
}

/// What a blob must hold, if it is pinned and a part refers to it.
pub(super) fn crcs_of(engine: &Engine, content: &ContentHash) -> Result<BlockCrcs> {
    let missing = || Error::DamagedBlob {
        hash: *content,
        reason: "its record is missing".to_owned(),
    };
    engine.meta.blob(content)?.ok_or_else(missing)
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
    current: Option<(usize, BlobReader<Arc<BlobStore>>)>,
    /// [I4](crate::rules#i4): the blobs stay while the object is read.
    pinned: Arc<Pinned>,
}

impl ObjectReader {
    pub(super) fn open(shared: &Arc<Shared>, upload: &Upload) -> Result<Self> {
        let engine = shared.engine()?;
        Self::open_in(shared, &engine, upload)
    }

    /// Opens the current object of a key.
    pub(super) fn open_key(shared: &Arc<Shared>, key: &Key) -> Result<Self> {
        let engine = shared.engine()?;
        current::find(&engine, key, |object| {
            Self::open_in(shared, &engine, object)
        })
    }

    fn open_in(shared: &Arc<Shared>, engine: &Engine, upload: &Upload) -> Result<Self> {
        let (object, parts) = {
            // A completion changes the index row by row. Under the upload's lock, all of its rows are
            // changed, or none.
            let _whole = engine.locks.lock(upload.id())?;
            (
                answers::locked_object(engine, upload)?,
                parts_of(engine, upload)?,
            )
        };
        let pinned = engine
            .pins
            .pin(parts.iter().map(|placed| placed.part.content).collect())?;
        // Read again under the pins, because a sweep may have removed the blobs of an object that was
        // removed just before.
        let still = engine
            .record(upload)?
            .is_some_and(|record| matches!(record.state, UploadState::Completed(_)));
        if !still {
            return Err(upload.object_not_found());
        }
        let (shared, pinned) = (Arc::clone(shared), Arc::new(pinned));
        Ok(Self {
            shared,
            object,
            parts,
            position: 0,
            current: None,
            pinned,
        })
    }

    /// Returns the object that is read.
    #[must_use]
    pub fn object(&self) -> &Object {
        &self.object
    }

    /// Whether its pins hold the blobs in this store since the store was last opened
    /// ([I4](crate::rules#i4)).
    pub(super) fn is_of(&self, engine: &Engine) -> bool {
        self.pinned.is_of(&engine.pins)
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
        let blob = open_blob(&*self.shared.engine()?, part.content)?;
        Ok(PartReader {
            part,
            blob,
            position: 0,
            pinned: Arc::clone(&self.pinned),
        })
    }

    /// Reads from the part at the position.
    fn read_some(&mut self, into: &mut [u8]) -> Result<usize> {
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
        let mut blob = open_blob(&*self.shared.engine()?, placed.part.content)?;
        let read = blob.read_at(within, into);
        self.current = Some((behind, blob));
        read
    }
}

/// The object's parts and where each begins.
fn parts_of(engine: &Engine, upload: &Upload) -> Result<Vec<ObjectPart>> {
    let (mut parts, mut offset) = (Vec::new(), 0);
    engine.meta.parts(upload.id(), 0, &mut |number, part| {
        parts.push(ObjectPart {
            part: answers::part(number, &part),
            offset,
        });
        offset += part.size;
        Ok(ControlFlow::Continue(()))
    })?;
    Ok(parts)
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
