//! Putting a part: admit, receive, check, publish, commit, wait. The order of these steps is the
//! store's promise.

use std::io::{self, Read, Write};
use std::sync::Arc;

use super::engine::Engine;
use super::shared::Shared;
use crate::blob::StagedBlob;
use crate::digest::BLOCK_LEN;
use crate::ingest::{BodyHasher, Digests};
use crate::meta::{Change, Claim, PartRecord};
use crate::room::{Reservation, UNDECLARED_STEP};
use crate::{Error, MinimumAt, Options, Part, PartNumber, PartOptions, Result, Upload, clock};

/// Where a body's bytes are when their digests are known.
enum Body<'a> {
    Staged(StagedBlob),
    Memory(&'a [u8]),
}

/// Puts a body that is in memory. Its digests are taken before anything is written, so that a
/// refused body and one whose bytes are stored already cost no write.
pub(super) fn put_bytes(
    engine: &Engine,
    (upload, number): (&Upload, PartNumber),
    body: &[u8],
    options: &PartOptions,
) -> Result<Part> {
    let len = body.len() as u64;
    let mut room = admit(
        engine,
        upload,
        options.length.unwrap_or(len).max(len),
        options,
    )?;
    check_received(&engine.options, options, len)?;
    check_length(options, len)?;
    let digests = Digests::of(body);
    check_digests(options, &digests)?;
    check_minimum(&engine.options, number, &digests)?;
    let part = store(engine, (upload, number), &digests, Body::Memory(body))?;
    room.written(len);
    Ok(part)
}

/// The checks before a body is invited (R3, R6, R9, R10a): a server calls this before it sends `100
/// Continue`.
fn admit(
    engine: &Engine,
    upload: &Upload,
    expected: u64,
    options: &PartOptions,
) -> Result<Reservation> {
    let maximum = engine.options.max_part_size;
    if let Some(proposed) = options.length.filter(|declared| *declared > maximum) {
        return Err(Error::EntityTooLarge { proposed, maximum });
    }
    engine.meta.check()?;
    engine.open_record(upload)?;
    engine.room.reserve(expected.min(maximum))
}

/// R3 and R8 while the body streams: stop at the first byte too many.
fn check_received(limits: &Options, options: &PartOptions, received: u64) -> Result<()> {
    let maximum = limits.max_part_size;
    if received > maximum {
        return Err(Error::EntityTooLarge {
            proposed: received,
            maximum,
        });
    }
    match options.length {
        Some(declared) if received > declared => Err(Error::IncompleteBody { declared, received }),
        _ => Ok(()),
    }
}

/// R8 at the end of the body.
fn check_length(options: &PartOptions, received: u64) -> Result<()> {
    match options.length {
        Some(declared) if received != declared => Err(Error::IncompleteBody { declared, received }),
        _ => Ok(()),
    }
}

/// R7, and the other digests that a client may declare.
fn check_digests(options: &PartOptions, digests: &Digests) -> Result<()> {
    let compare = |algorithm, expected: Option<String>, found: String| match expected {
        Some(expected) if expected != found => Err(Error::BadDigest {
            algorithm,
            expected,
            found,
        }),
        _ => Ok(()),
    };
    compare(
        "Content-MD5",
        options.md5.map(|md5| hex::encode(md5.as_bytes())),
        hex::encode(digests.md5),
    )?;
    compare(
        "CRC-32",
        options.crc32.map(|crc| format!("{crc:08x}")),
        format!("{:08x}", digests.crc32),
    )?;
    compare(
        "CRC-64",
        options.crc64.map(|crc| format!("{crc:016x}")),
        format!("{:016x}", digests.crc64),
    )
}

/// R4, for embedders that want it at put already.
fn check_minimum(limits: &Options, number: PartNumber, digests: &Digests) -> Result<()> {
    let (size, minimum) = (digests.size(), limits.min_part_size);
    if limits.min_size_at == MinimumAt::Put && size < minimum {
        return Err(Error::EntityTooSmall {
            number,
            etag: None,
            size,
            minimum,
        });
    }
    Ok(())
}

/// Publishes the blob and commits the part, in this order (I1).
fn store(
    engine: &Engine,
    target: (&Upload, PartNumber),
    digests: &Digests,
    body: Body<'_>,
) -> Result<Part> {
    // Pinned before it is looked for, until the part is durable: no sweep can take the blob in
    // between (I4).
    let _pinned = engine.pins.pin(vec![digests.content]);
    let known = engine.meta.blob(&digests.content)?.is_some();
    let stored =
        publish(engine, digests, body, known).and_then(|()| commit(engine, target, digests, known));
    if stored.is_err() && !known && engine.meta.check().is_ok() {
        // I7: the file may be there without a row. In a store that has stopped it may as well have
        // one, in the journal only: there the next open finds out.
        engine.suspects.add(digests.content);
    }
    stored
}

/// Sees to it that the blob's file is there, sound and durable, name included.
fn publish(engine: &Engine, digests: &Digests, body: Body<'_>, known: bool) -> Result<()> {
    if known && engine.blobs.is_sound(&digests.content, &digests.sums)? {
        return Ok(());
    }
    let staged = match body {
        Body::Staged(staged) => staged,
        Body::Memory(bytes) => {
            let mut staged = engine.blobs.stage()?;
            bytes
                .chunks(BLOCK_LEN)
                .try_for_each(|block| staged.write(block))?;
            staged
        }
    };
    let durable = engine.passing(staged.sync())?;
    engine.passing(durable.publish(&digests.content))
}

/// Makes the part take its place, if the upload is still open, and returns when that is durable
/// (R10b, R11).
fn commit(
    engine: &Engine,
    (upload, number): (&Upload, PartNumber),
    digests: &Digests,
    known: bool,
) -> Result<Part> {
    let part = PartRecord {
        size: digests.size(),
        etag: digests.etag(),
        content: digests.content,
        crc32: digests.crc32,
        crc64: digests.crc64,
        stored_ms: clock::now_ms(),
    };
    let ticket = {
        let _one_order = engine.locks.lock(upload.id());
        engine.open_record(upload)?;
        let replaced = engine.meta.part(upload.id(), number)?;
        // Whoever takes a reference away holds a pin, so that the sweep sees it with or without,
        // not half-way.
        let _released = replaced
            .as_ref()
            .map(|before| engine.pins.pin(vec![before.content]));
        let mut change = Change::default();
        if !known {
            change.add_blob(&digests.content, &digests.sums);
        }
        change.put_part((upload.id(), number), &part, replaced.as_ref());
        engine.meta.commit(&change, Claim::Growth)?
    };
    // No lock is held here: this is where commits gather to a group.
    engine.meta.wait(ticket)?;
    Ok(part_of(number, &part))
}

pub(super) fn part_of(number: PartNumber, record: &PartRecord) -> Part {
    Part {
        number,
        size: record.size,
        etag: record.etag,
        content: record.content,
        crc32: record.crc32,
        crc64: record.crc64,
        stored_at: clock::time_of(record.stored_ms),
    }
}

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
        let room = admit(&engine, upload, options.length.unwrap_or(0), &options)?;
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
    /// `Err` nothing has changed: the part before, if there was one, is still there.
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
    /// [`Error::StorageFull`]; [`Error::Closed`]; [`Error::Poisoned`], [`Error::Io`].
    pub fn finish(mut self) -> Result<Part> {
        check_received(&self.limits, &self.options, self.received)?;
        if self.torn {
            let source = io::Error::other("an earlier write to the part failed");
            return Err(Error::BodyUnreadable {
                received: self.received,
                source,
            });
        }
        check_length(&self.options, self.received)?;
        let block = std::mem::take(&mut self.block);
        self.take_block(&block)?;
        let digests = self.hasher.finish();
        check_digests(&self.options, &digests)?;
        check_minimum(&self.limits, self.number, &digests)?;
        let engine = self.shared.engine()?;
        let part = store(
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

    fn append(&mut self, mut bytes: &[u8]) -> Result<()> {
        self.received += bytes.len() as u64;
        check_received(&self.limits, &self.options, self.received)?;
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
        if self.torn {
            return Err(io::Error::other("an earlier write to the part failed"));
        }
        match self.append(bytes) {
            Ok(()) => Ok(bytes.len()),
            Err(error) => {
                self.torn = true;
                Err(error.into_io())
            }
        }
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
