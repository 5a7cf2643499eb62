//! [`PartWriter`]: one part's body as a stream.

use std::io::{self, Read, Write};
use std::sync::Arc;

use super::put::{self, Body};
use super::shared::Shared;
#[cfg(doc)]
use crate::MinimumAt;
use crate::blob::StagedBlob;
use crate::digest::BLOCK_LEN;
use crate::ingest::BodyHasher;
use crate::room::{Reservation, UNDECLARED_STEP};
use crate::{Error, Options, Part, PartNumber, PartOptions, Result, Upload};

/// Receives one part's body as a stream. Made by
/// [`PartStore::part_writer`](crate::PartStore::part_writer).
///
/// Nothing is stored before [`finish`](PartWriter::finish) returns `Ok`; dropping the writer leaves
/// nothing. It holds one block of 256 KiB in memory, whatever the body's size, and may be moved to
/// another thread.
#[must_use = "a part is stored by finish"]
pub struct PartWriter {
    shared: Arc<Shared>,
    upload: Upload,
    number: PartNumber,
    options: PartOptions,
    limits: Options,
    staged: StagedBlob,
    room: Reservation,
    hasher: BodyHasher,
    /// The bytes since the last whole block.
    block: Vec<u8>,
    /// Bytes that were offered, also when they were then refused.
    received: u64,
    /// A write failed: what was received since is not known.
    torn: bool,
}

impl PartWriter {
    pub(super) fn open(
        shared: &Arc<Shared>,
        (upload, number): (&Upload, PartNumber),
        options: PartOptions,
    ) -> Result<Self> {
        let engine = shared.engine()?;
        let expected = options.length.unwrap_or(0);
        let room = put::admit(&engine, (upload, number), expected, &options)?;
        Ok(Self {
            shared: Arc::clone(shared),
            upload: upload.clone(),
            number,
            options,
            limits: engine.options.clone(),
            staged: engine.blobs.stage()?,
            room,
            hasher: BodyHasher::new(),
            block: Vec::new(),
            received: 0,
            torn: false,
        })
    }

    /// Bytes received so far.
    #[must_use]
    pub fn received(&self) -> u64 {
        self.received
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
    /// [`Error::IncompleteBody`] when the body is not as long as declared (R8);
    /// [`Error::EntityTooLarge`] when it went over the maximum (R3); [`Error::BadDigest`] when
    /// a declared digest is not the body's (R7); [`Error::EntityTooSmall`] with
    /// [`MinimumAt::Put`]; [`Error::NoSuchUpload`] when the upload was completed or
    /// aborted meanwhile (R10); [`Error::BodyUnreadable`] when an earlier write had failed;
    /// [`Error::StorageFull`]; [`Error::Closed`]; [`Error::Poisoned`]; [`Error::Index`],
    /// [`Error::DamagedRow`], [`Error::Io`].
    pub fn finish(mut self) -> Result<Part> {
        put::check_received(&self.limits, &self.options, self.received)?;
        self.check_untorn()?;
        put::check_length(&self.options, self.received)?;
        let block = std::mem::take(&mut self.block);
        self.take_block(&block)?;
        let digests = self.hasher.finish();
        put::check_digests(&self.options, &digests)?;
        put::check_minimum(&self.limits, self.number, &digests)?;
        let engine = self.shared.engine()?;
        let part = put::store(
            &engine,
            (&self.upload, self.number),
            &digests,
            Body::Staged(self.staged),
        )?;
        self.shared.notice_work(&engine);
        Ok(part)
    }

    /// Reads `body` to its end and writes it.
    ///
    /// # Errors
    /// As for [`finish`](Self::finish); [`Error::BodyUnreadable`] when the reader fails.
    pub(super) fn copy_from(&mut self, body: &mut dyn Read) -> Result<()> {
        let mut block = vec![0; BLOCK_LEN];
        loop {
            let len = match body.read(&mut block) {
                Ok(0) => return Ok(()),
                Ok(len) => len,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(source) => {
                    return Err(Error::BodyUnreadable {
                        received: self.received,
                        source,
                    });
                }
            };
            self.append(block.get(..len).unwrap_or_default())?;
        }
    }

    /// Appends bytes to the body, as [`Write`] does, but fails with an [`Error`].
    ///
    /// # Errors
    /// [`Error::EntityTooLarge`] at the first byte over the maximum (R3); [`Error::IncompleteBody`] at
    /// the first over the declared length (R8); [`Error::StorageFull`]; [`Error::Io`]. After an error
    /// the part can not be finished.
    pub fn append(&mut self, bytes: &[u8]) -> Result<()> {
        self.check_untorn()?;
        let taken = self.take(bytes);
        self.torn = taken.is_err();
        taken
    }

    fn check_untorn(&self) -> Result<()> {
        if !self.torn {
            return Ok(());
        }
        let source = io::Error::other("an earlier write to the part failed");
        Err(Error::BodyUnreadable {
            received: self.received,
            source,
        })
    }

    fn take(&mut self, mut bytes: &[u8]) -> Result<()> {
        self.received += bytes.len() as u64;
        put::check_received(&self.limits, &self.options, self.received)?;
        while !bytes.is_empty() {
            let taken = bytes.len().min(BLOCK_LEN - self.block.len());
            let (now, later) = bytes.split_at(taken);
            bytes = later;
            if taken == BLOCK_LEN {
                // A whole block at once needs no copy.
                self.take_block(now)?;
                continue;
            }
            self.block.extend_from_slice(now);
            if self.block.len() == BLOCK_LEN {
                let mut block = std::mem::take(&mut self.block);
                self.take_block(&block)?;
                block.clear();
                self.block = block;
            }
        }
        Ok(())
    }

    fn take_block(&mut self, block: &[u8]) -> Result<()> {
        let len = block.len() as u64;
        if len == 0 {
            return Ok(());
        }
        if self.room.left() < len {
            self.room.extend(UNDECLARED_STEP)?;
        }
        self.staged.write(block)?;
        self.hasher.update_block(block);
        self.room.written(len);
        Ok(())
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
        let Self {
            upload,
            number,
            received,
            ..
        } = self;
        f.debug_struct("PartWriter")
            .field("upload", upload)
            .field("number", number)
            .field("received", received)
            .finish_non_exhaustive()
    }
}
