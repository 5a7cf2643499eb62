//! [`Receiving`]: a body while it arrives, of a part or of a whole object.

use std::io::{self, Read};
use std::sync::Arc;

use super::put::{self, Body};
use super::session::Session;
use super::shared::Shared;
use super::under_way;
use super::whole;
use crate::backend::{BlobWriter, Room};
use crate::buffers::{Buffer, Buffers};
use crate::ingest::BodyHasher;
use crate::spans::span;
use crate::values::checksum::Algorithms;
use crate::values::part::Slot;
use crate::{
    Checksums, Error, Key, Object, ObjectOptions, Options, Part, PartNumber, PartOptions, Result,
    Upload, rules,
};

/// What the bytes will be.
pub(super) enum Target {
    Part { upload: Upload, number: PartNumber },
    Object { key: Key, options: ObjectOptions },
}

/// What a [`PartWriter`](super::PartWriter) or an [`ObjectWriter`](super::ObjectWriter) has received, and
/// where the bytes are written.
pub(super) struct Receiving {
    shared: Arc<Shared>,
    pub target: Target,
    options: PartOptions,
    limits: Options,
    staged: Box<dyn BlobWriter>,
    room: Box<dyn Room>,
    hasher: BodyHasher,
    buffers: Arc<Buffers>,
    /// The bytes that are not yet written and hashed. A full buffer waits for the next byte, because the
    /// end of a body is hashed while its file is synced.
    buffer: Option<Buffer>,
    /// Bytes that were offered, also if they were then refused.
    received: u64,
    /// Why nothing more is accepted: bytes may be missing between those that were written.
    broken: Option<Error>,
    /// Bytes are being accepted, or a panic interrupted that.
    taking: bool,
    /// That a part of an upload is on its way.
    _under_way: Option<under_way::Body>,
}

impl Receiving {
    /// Begins the body of a part.
    pub(super) fn part(shared: &Arc<Shared>, slot: Slot<'_>, options: PartOptions) -> Result<Self> {
        let session = shared.session()?;
        let under_way = session.under_way.begin(slot.upload.id());
        let wanted = put::admit(&session, slot, &options)?;
        let target = Target::Part {
            upload: slot.upload.clone(),
            number: slot.number,
        };
        let body = Self::open(shared, &session, target, (wanted, options))?;
        Ok(Self {
            _under_way: Some(under_way),
            ..body
        })
    }

    /// Begins the body of an object.
    pub(super) fn object(shared: &Arc<Shared>, key: Key, options: ObjectOptions) -> Result<Self> {
        let session = shared.session()?;
        whole::admit(&session, &key, &options)?;
        let body = options.body;
        let target = Target::Object { key, options };
        Self::open(shared, &session, target, (Algorithms::default(), body))
    }

    fn open(
        shared: &Arc<Shared>,
        session: &Session,
        target: Target,
        (wanted, options): (Algorithms, PartOptions),
    ) -> Result<Self> {
        session.blobs.check_room(options.length.unwrap_or(0))?;
        Ok(Self {
            shared: Arc::clone(shared),
            target,
            hasher: put::hasher(session, wanted, &options),
            options,
            limits: session.options.clone(),
            staged: session.blobs.begin()?,
            room: session.blobs.room(),
            buffers: Arc::clone(&session.buffers),
            buffer: None,
            received: 0,
            broken: None,
            taking: false,
            _under_way: None,
        })
    }

    /// Bytes received so far.
    pub(super) fn received(&self) -> u64 {
        self.received
    }

    /// Does what [`PartWriter::finish_with`](super::PartWriter::finish_with) says.
    pub(super) fn finish_part(mut self, trailer: &Checksums) -> Result<Part> {
        let (upload, number) = match &self.target {
            Target::Part { upload, number } => (upload.clone(), *number),
            Target::Object { .. } => return Err(Error::Closed),
        };
        let _span = span!(DEBUG, "put_part", upload = %upload.id(), number = number.get(), bytes = self.received);
        let arrived = self.limits.witness.begin();
        let shared = Arc::clone(&self.shared);
        shared.check_open()?;
        self.declare(trailer)?;
        rules::check_minimum(&self.limits, number, self.received)?;
        self.write_rest()?;
        let session = shared.session()?;
        let slot = Slot {
            upload: &upload,
            number,
        };
        let body = Body::staged(self.staged, arrived);
        let part = put::store_part(&session, slot, body, self.hasher, &self.options);
        let part = session.settled(part)?;
        shared.notice_work(&session);
        Ok(part)
    }

    /// Does what [`ObjectWriter::finish_with`](super::ObjectWriter::finish_with) says.
    pub(super) fn finish_object(mut self, trailer: &Checksums) -> Result<Object> {
        let _span = span!(DEBUG, "put_object", bytes = self.received);
        let arrived = self.limits.witness.begin();
        let shared = Arc::clone(&self.shared);
        shared.check_open()?;
        self.declare(trailer)?;
        self.write_rest()?;
        let Target::Object { key, mut options } = self.target else {
            return Err(Error::Closed);
        };
        options.body = self.options;
        let session = shared.session()?;
        let body = Body::staged(self.staged, arrived);
        let object = whole::store(&session, &key, body, self.hasher, &options);
        let object = session.settled(object)?;
        shared.notice_work(&session);
        Ok(object)
    }

    /// The body has ended, and this is declared behind it.
    fn declare(&mut self, trailer: &Checksums) -> Result<()> {
        self.check_whole()?;
        rules::check_length(&self.options, self.received)?;
        rules::check_trailer(&self.options.declared, trailer)?;
        for checksum in trailer.iter() {
            self.options = self.options.checksum(checksum);
        }
        Ok(())
    }

    fn write_rest(&mut self) -> Result<()> {
        match self.buffer.take() {
            Some(buffer) => self.write_and_hash(buffer),
            None => Ok(()),
        }
    }

    /// Reads `body` to its end and writes it.
    ///
    /// # Errors
    /// As for [`PartWriter::finish`](super::PartWriter::finish), and [`Error::BodyUnreadable`] if the
    /// reader fails.
    pub(super) fn copy_from(&mut self, body: &mut dyn Read) -> Result<()> {
        loop {
            self.shared.check_open()?;
            let buffer = self.space()?;
            let window = buffer.window();
            let most = window.len();
            let len = match body.read(window) {
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
            self.hold_room(len, 0)?;
        }
    }

    /// Does what [`PartWriter::append`](super::PartWriter::append) says.
    pub(super) fn append(&mut self, bytes: &[u8]) -> Result<()> {
        self.shared.check_open()?;
        self.check_whole()?;
        // Stays set if somebody catches a panic.
        self.taking = true;
        let buffered = self.buffer(bytes);
        self.taking = false;
        buffered.inspect_err(|error| {
            self.broken = Some(again(error, self.received));
            // A body that cannot be finished keeps no room from others.
            self.room.cancel();
        })
    }

    fn check_whole(&self) -> Result<()> {
        if let Some(error) = &self.broken {
            return Err(again(error, self.received));
        }
        if !self.taking {
            return Ok(());
        }
        Err(Error::BodyUnreadable {
            received: self.received,
            source: io::Error::other("an earlier write to the part failed"),
        })
    }

    fn buffer(&mut self, mut bytes: &[u8]) -> Result<()> {
        self.receive(bytes.len())?;
        while !bytes.is_empty() {
            let taken = self.space()?.fill_from(bytes);
            bytes = bytes.split_at(taken).1;
            self.hold_room(taken, bytes.len())?;
        }
        Ok(())
    }

    fn receive(&mut self, len: usize) -> Result<()> {
        self.received += len as u64;
        rules::check_received(&self.limits, &self.options, self.received)
    }

    /// Reserves room for bytes that are in the buffer, when `pending` of those received are not.
    fn hold_room(&mut self, len: usize, pending: usize) -> Result<()> {
        let rest = |declared: u64| declared.saturating_sub(self.received) + pending as u64;
        let rest = self.options.length.map(rest);
        self.room.receive(len as u64, rest)
    }

    /// Returns a buffer with space. A full one is written and hashed first.
    fn space(&mut self) -> Result<&mut Buffer> {
        if let Some(full) = self.buffer.take_if(|buffer| buffer.is_full()) {
            self.write_and_hash(full)?;
            // The lane thread gives up the buffer before the next one is taken.
            self.hasher.settle();
        }
        let (buffers, length) = (&self.buffers, self.options.length);
        Ok(self
            .buffer
            .get_or_insert_with(|| buffers.buffer_for(length)))
    }

    fn write_and_hash(&mut self, buffer: Buffer) -> Result<()> {
        let chunk = buffer.freeze();
        self.hasher.update(&chunk);
        self.staged.write(&chunk)?;
        self.room.written(chunk.len() as u64);
        Ok(())
    }
}

/// The same error once more: each call on a body that was broken off says why.
fn again(error: &Error, received: u64) -> Error {
    match error.again() {
        Error::Poisoned { cause } => Error::BodyUnreadable {
            received,
            source: io::Error::other(cause),
        },
        again => again,
    }
}
