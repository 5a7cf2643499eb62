//! Putting a part: admit, receive, check, publish, commit, wait. The order of these steps is the
//! store's promise.

use bytes::Bytes;

use super::engine::Engine;
use crate::blob::{DurableBlob, StagedBlob};
use crate::digest::{BLOCK_LEN, BlockSums};
use crate::ingest::{BodyHasher, Sums};
use crate::meta::{Change, Claim, PartRecord};
use crate::{Error, MinimumAt, Options, Part, PartNumber, PartOptions, Result, Upload, clock};

/// Where a body's bytes are when its BLAKE3 hash is known.
pub(super) enum Body {
    /// In a file, and their checksums taken.
    Staged(StagedBlob),
    Memory(Bytes),
}

/// Puts a body that is in memory. Its BLAKE3 hash is taken before anything is written, so that one
/// whose bytes are stored already costs no write.
pub(super) fn put_bytes(
    engine: &Engine,
    (upload, number): (&Upload, PartNumber),
    body: Bytes,
    options: &PartOptions,
) -> Result<Part> {
    let len = body.len() as u64;
    admit(engine, (upload, number), options)?;
    check_received(&engine.options, options, len)?;
    check_length(options, len)?;
    check_minimum(&engine.options, number, len)?;
    let mut room = engine.room.reserve(len)?;
    let mut hasher = BodyHasher::new(&engine.lanes);
    hasher.update_all_names(&body, &engine.closing)?;
    let body = Body::Memory(body);
    let part = store(engine, (upload, number), hasher, body, options)?;
    room.written(len);
    Ok(part)
}

/// The checks before a body is invited (R1, R3, R6, R9, R10a), but for room on the disk: a server
/// makes them before it sends `100 Continue`.
pub(super) fn admit(
    engine: &Engine,
    (upload, number): (&Upload, PartNumber),
    options: &PartOptions,
) -> Result<()> {
    if number > engine.options.max_part_number {
        let found = number.to_string();
        return Err(Error::InvalidPartNumber { found });
    }
    let maximum = engine.options.max_part_size;
    if let Some(proposed) = options.length.filter(|declared| *declared > maximum) {
        return Err(Error::EntityTooLarge { proposed, maximum });
    }
    engine.meta.check()?;
    engine.open_record(upload).map(drop)
}

/// R3 and R8 while the body streams: stop at the first byte too many.
pub(super) fn check_received(limits: &Options, options: &PartOptions, received: u64) -> Result<()> {
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
pub(super) fn check_length(options: &PartOptions, received: u64) -> Result<()> {
    match options.length {
        Some(declared) if received != declared => Err(Error::IncompleteBody { declared, received }),
        _ => Ok(()),
    }
}

/// R7.
fn check_md5(options: &PartOptions, hasher: &mut BodyHasher) -> Result<()> {
    let Some(declared) = options.md5 else {
        return Ok(());
    };
    let found = hasher.etag();
    let (expected, found) = (hex::encode(declared.as_bytes()), found.to_string());
    compare("Content-MD5", expected, found)
}

/// The other checksums that a client may declare.
fn check_sums(options: &PartOptions, sums: &Sums) -> Result<()> {
    if let Some(declared) = options.crc32 {
        compare(
            "CRC-32",
            format!("{declared:08x}"),
            format!("{:08x}", sums.crc32),
        )?;
    }
    if let Some(declared) = options.crc64 {
        compare(
            "CRC-64",
            format!("{declared:016x}"),
            format!("{:016x}", sums.crc64),
        )?;
    }
    Ok(())
}

fn compare(algorithm: &'static str, expected: String, found: String) -> Result<()> {
    if expected == found {
        return Ok(());
    }
    Err(Error::BadDigest {
        algorithm,
        expected,
        found,
    })
}

/// R4, for embedders that want it at put already.
pub(super) fn check_minimum(limits: &Options, number: PartNumber, size: u64) -> Result<()> {
    let minimum = limits.min_part_size;
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
///
/// The body's MD5 is still being computed meanwhile: the file is written and synced without it. It is
/// waited for before the file gets its name if it may refuse the body, else before the commit.
pub(super) fn store(
    engine: &Engine,
    target: (&Upload, PartNumber),
    mut hasher: BodyHasher,
    body: Body,
    options: &PartOptions,
) -> Result<Part> {
    let content = hasher.content();
    // Pinned before it is looked for, until the part is durable: no sweep can take the blob in
    // between (I4).
    let _pinned = engine.pins.pin(vec![content])?;
    let known = engine.meta.blob(&content)?;
    let is_new = known.is_none();
    let stored = match known {
        Some(blocks) if engine.blobs.is_sound(&content, &blocks)? => Some(blocks),
        _ => None,
    };
    let durable = match (body, stored) {
        (Body::Staged(_), Some(_)) => None,
        (Body::Memory(bytes), Some(blocks)) => {
            hasher.update_known_sums(&bytes, blocks);
            None
        }
        (Body::Staged(staged), None) => Some(staged.sync()?),
        (Body::Memory(bytes), None) => Some(write(engine, &mut hasher, &bytes)?),
    };
    let sums = hasher.sums();
    hasher.settle_until(&engine.closing)?;
    check_md5(options, &mut hasher)?;
    check_sums(options, &sums)?;
    let part = PartRecord {
        size: sums.blocks.size,
        etag: hasher.etag(),
        content,
        crc32: sums.crc32,
        crc64: sums.crc64,
        stored_ms: clock::now_ms(),
    };
    let new_blob = is_new.then_some(&sums.blocks);
    let published = durable.map_or(Ok(()), |durable| durable.publish(&content));
    let stored = published.and_then(|()| commit(engine, target, &part, new_blob));
    if stored.is_err() && is_new && engine.meta.health().cause().is_none() {
        // I7: the file may be there without a row. In a store that has stopped it may as well have
        // one, in the journal only: there the next open finds out.
        engine.suspects.add(content);
    }
    stored
}

/// Writes a body from memory and makes it durable. Each block is copied while the processor has it at
/// hand for its checksums.
fn write(engine: &Engine, hasher: &mut BodyHasher, body: &[u8]) -> Result<DurableBlob> {
    let mut staged = engine.blobs.stage()?;
    let mut blocks = body.chunks(BLOCK_LEN).peekable();
    while blocks.peek().is_some() {
        engine.closing.check()?;
        if staged.is_direct() {
            let mut buffer = engine.buffers.take(Some(body.len() as u64));
            if !buffer.is_direct() {
                staged.leave_direct()?;
                continue;
            }
            while let Some(block) = blocks.next_if(|_| !buffer.is_full()) {
                hasher.update_sums(block);
                buffer.take_from(block);
            }
            staged.write(buffer.as_ref())?;
        } else if let Some(block) = blocks.next() {
            hasher.update_sums(block);
            staged.write(block)?;
        }
    }
    staged.sync()
}

/// Makes the part take its place, if the upload is still open, and returns when that is durable
/// (R10b, R11).
pub(super) fn commit(
    engine: &Engine,
    (upload, number): (&Upload, PartNumber),
    part: &PartRecord,
    new_blob: Option<&BlockSums>,
) -> Result<Part> {
    let ticket = {
        let _one_order = engine.locks.lock(upload.id())?;
        engine.open_record(upload)?;
        let replaced = engine.meta.part(upload.id(), number)?;
        // Whoever takes a reference away holds a pin, so that the sweep sees it with or without,
        // not half-way.
        let _released = replaced
            .as_ref()
            .map(|before| engine.pins.pin(vec![before.content]))
            .transpose()?;
        let mut change = Change::default();
        if let Some(sums) = new_blob {
            change.add_blob(&part.content, sums);
        }
        change.put_part((upload.id(), number), part, replaced.as_ref());
        engine.meta.commit(&change, Claim::Growth)?
    };
    // No lock is held here: this is where commits gather to a group.
    engine.meta.wait(ticket)?;
    Ok(part_of(number, part))
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
