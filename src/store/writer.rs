//! [`PartWriter`]: one part's body as a stream.

use std::io::{self, Read, Write};
use std::sync::Arc;

use bytes::Bytes;

use super::put::{self, Body};
use super::shared::Shared;
#[cfg(doc)]
use crate::MinimumAt;
use crate::blob::StagedBlob;
use crate::buffers::{Buffer, Buffers};
use crate::ingest::BodyHasher;
use crate::room::{Reservation, UNDECLARED_STEP};
use crate::{Error, Options, Part, PartNumber, PartOptions, Result, Upload};

/// Receives one part's body as a stream. Made by
/// [`PartStore::part_writer`](crate::PartStore::part_writer).
///
/// Nothing is stored before [`finish`](PartWriter::finish) returns `Ok`; dropping the writer leaves
/// nothing. It holds at most 2 MiB in memory, whatever the body's size, and 256 KiB when 64 others are at
/// work; it may be moved to another thread.
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
    buffers: Arc<Buffers>,
    /// The bytes that are not written and hashed yet. A full buffer waits for the next byte, since the end
    /// of a body is hashed while its file is synced.
    buffer: Option<Buffer>,
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
            hasher: BodyHasher::new(&engine.lanes),
            buffers: Arc::clone(&engine.buffers),
            buffer: None,
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
        self.shared.check_process()?;
        put::check_received(&self.limits, &self.options, self.received)?;
        self.check_untorn()?;
        put::check_length(&self.options, self.received)?;
        put::check_minimum(&self.limits, self.number, self.received)?;
        if let Some(buffer) = self.buffer.take() {
            self.write_and_hash(&buffer.freeze())?;
        }
        let engine = self.shared.engine()?;
        let part = put::store(
            &engine,
            (&self.upload, self.number),
            self.hasher,
            Body::Staged(self.staged),
            &self.options,
        )?;
        self.shared.notice_work(&engine);
        Ok(part)
    }

    /// Reads `body` to its end and writes it.
    ///
    /// # Errors
    /// As for [`finish`](Self::finish); [`Error::BodyUnreadable`] when the reader fails.
    pub(super) fn copy_from(&mut self, body: &mut dyn Read) -> Result<()> {
        loop {
            let buffer = self.space()?;
            if buffer.as_ref().is_empty() {
                // A reader that claims more than it has read must not get at another body's bytes.
                buffer.space().fill(0);
            }
            let space = buffer.space();
            let most = space.len();
            let len = match body.read(space) {
                Ok(0) => return Ok(()),
                Ok(len) if len <= most => len,
                Ok(_) => {
                    return Err(Error::BodyUnreadable {
                        received: self.received,
                        source: io::Error::other("the reader claims more than it was asked for"),
                    });
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(source) => {
                    return Err(Error::BodyUnreadable {
                        received: self.received,
                        source,
                    });
                }
            };
            buffer.fill(len);
            self.receive(len)?;
        }
    }

    /// Appends bytes to the body, as [`Write`] does, but fails with an [`Error`].
    ///
    /// # Errors
    /// [`Error::EntityTooLarge`] at the first byte over the maximum (R3); [`Error::IncompleteBody`] at
    /// the first over the declared length (R8); [`Error::StorageFull`]; [`Error::Io`]. After an error
    /// the part can not be finished.
    pub fn append(&mut self, bytes: &[u8]) -> Result<()> {
        self.shared.check_process()?;
        self.check_untorn()?;
        // Also when somebody catches a panic.
        self.torn = true;
        self.take(bytes)?;
        self.torn = false;
        Ok(())
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
        self.receive(bytes.len())?;
        while !bytes.is_empty() {
            let taken = self.space()?.take_from(bytes);
            bytes = bytes.split_at(taken).1;
        }
        Ok(())
    }

    fn receive(&mut self, len: usize) -> Result<()> {
        self.received += len as u64;
        put::check_received(&self.limits, &self.options, self.received)
    }

    /// A buffer with space; a full one is written and hashed before.
    fn space(&mut self) -> Result<&mut Buffer> {
        if let Some(full) = self.buffer.take_if(|buffer| buffer.is_full()) {
            self.write_and_hash(&full.freeze())?;
            // The lane thread lets go of the buffer before the next one is taken.
            self.hasher.settle();
        }
        let (buffers, length) = (&self.buffers, self.options.length);
        Ok(self.buffer.get_or_insert_with(|| buffers.take(length)))
    }

    fn write_and_hash(&mut self, chunk: &Bytes) -> Result<()> {
        let len = chunk.len() as u64;
        if self.room.left() < len {
            self.room.extend(UNDECLARED_STEP)?;
        }
        self.hasher.update(chunk);
        self.staged.write(chunk)?;
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
