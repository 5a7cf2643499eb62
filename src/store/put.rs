//! Putting a part: admit, receive, check, publish, commit, wait. The order of these steps is the
//! store's promise.

use super::engine::Engine;
use crate::blob::StagedBlob;
use crate::digest::BLOCK_LEN;
use crate::ingest::Digests;
use crate::meta::{Change, Claim, PartRecord};
use crate::room::Reservation;
use crate::sabotage::Step;
use crate::{Error, MinimumAt, Options, Part, PartNumber, PartOptions, Result, Upload, clock};

/// Where a body's bytes are when their digests are known.
pub(super) enum Body<'a> {
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
        (upload, number),
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

/// The checks before a body is invited (R1, R3, R6, R9, R10a): a server calls this before it sends `100
/// Continue`.
pub(super) fn admit(
    engine: &Engine,
    (upload, number): (&Upload, PartNumber),
    expected: u64,
    options: &PartOptions,
) -> Result<Reservation> {
    if number > engine.options.max_part_number {
        let found = number.to_string();
        return Err(Error::InvalidPartNumber { found });
    }
    let maximum = engine.options.max_part_size;
    if let Some(proposed) = options.length.filter(|declared| *declared > maximum) {
        return Err(Error::EntityTooLarge { proposed, maximum });
    }
    engine.meta.check()?;
    engine.open_record(upload)?;
    engine.room.reserve(expected.min(maximum))
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

/// R7, and the other digests that a client may declare.
pub(super) fn check_digests(options: &PartOptions, digests: &Digests) -> Result<()> {
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
pub(super) fn check_minimum(limits: &Options, number: PartNumber, digests: &Digests) -> Result<()> {
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
pub(super) fn store(
    engine: &Engine,
    target: (&Upload, PartNumber),
    digests: &Digests,
    body: Body<'_>,
) -> Result<Part> {
    // Pinned before it is looked for, until the part is durable: no sweep can take the blob in
    // between (I4).
    let _pinned = engine.pins.pin(vec![digests.content]);
    let known = engine.meta.blob(&digests.content)?.is_some();
    let publish = || publish(engine, digests, body, known);
    let commit = || commit(engine, target, digests, known);
    let stored = if Step::PublishBeforeCommit.is_taken() {
        commit().and_then(|part| publish().map(|()| part))
    } else {
        publish().and_then(|()| commit())
    };
    let sought = !Step::RefusedSought.is_taken();
    if stored.is_err() && !known && engine.meta.check().is_ok() && sought {
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
