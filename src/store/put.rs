//! Puts a part: admit, receive, check, publish, commit, wait. The order of these steps is the store's
//! promise (design.md, section 6).

use bytes::Bytes;

use super::answers;
use super::engine::Engine;
use super::from_memory;
use crate::blob::{DurableBlob, StagedBlob};
use crate::format::record::PartRecord;
use crate::ingest::BodyHasher;
use crate::meta::{Change, SpaceUse};
use crate::values::digest::BlockCrcs;
use crate::values::part::Slot;
use crate::{ContentHash, Part, PartOptions, Result, clock, rules};

/// Where the bytes of a body are when its BLAKE3 hash is known.
pub(super) enum Body {
    /// In a file. Their checksums are known.
    Staged(StagedBlob),
    Memory(Bytes),
}

/// What the store already has of a body's bytes.
enum Stored {
    Absent,
    /// A record exists, but the file is missing or damaged.
    Unsound,
    Sound(BlockCrcs),
}

/// Puts a body that is in memory. Its BLAKE3 hash is computed before anything is written, so a body whose
/// bytes are already stored needs no write.
pub(super) fn put_bytes(
    engine: &Engine,
    slot: Slot<'_>,
    body: Bytes,
    options: &PartOptions,
) -> Result<Part> {
    let len = body.len() as u64;
    admit(engine, slot, options)?;
    rules::check_received(&engine.options, options, len)?;
    rules::check_length(options, len)?;
    rules::check_minimum(&engine.options, slot.number, len)?;
    let mut room = engine.room.reserve(len)?;
    let mut hasher = BodyHasher::new(&engine.lanes);
    hasher.begin_digests_of(&body, &engine.closing)?;
    let part = store_body(engine, slot, Body::Memory(body), hasher, options)?;
    room.written(len);
    Ok(part)
}

/// Step 1: checks what can be checked before a body is invited (R1, R3, R9, R10a), except room on the disk.
/// A server calls it before it sends `100 Continue`.
pub(super) fn admit(engine: &Engine, slot: Slot<'_>, options: &PartOptions) -> Result<()> {
    rules::check_announced(&engine.options, slot.number, options)?;
    engine.meta.check()?;
    engine.record_if_open(slot.upload).map(drop)
}

/// Steps 2 to 8, once the body's hash is known. Their order is the promise (I1, I4).
pub(super) fn store_body(
    engine: &Engine,
    slot: Slot<'_>,
    body: Body,
    mut hasher: BodyHasher,
    options: &PartOptions,
) -> Result<Part> {
    let content = hasher.content();
    // 2. I4: the blob is pinned before it is looked for, and until the part is durable. So no sweep can remove
    // it in between.
    let _pinned = engine.pins.pin(vec![content])?;
    let stored = look_for(engine, &content)?;
    let is_new = matches!(stored, Stored::Absent);
    // 3.
    let durable = make_durable(engine, body, stored, &mut hasher)?;
    let sums = hasher.checksums();
    // 4. The body's MD5 was computed at the same time. From here on it is needed.
    hasher.settle_until(&engine.closing)?;
    let part = PartRecord {
        size: sums.blocks.size,
        etag: hasher.etag(),
        content,
        crc32: sums.crc32,
        crc64: sums.crc64,
        stored_ms: clock::now_ms(),
    };
    rules::check_digests(options, &part)?;
    let new_blob = is_new.then_some(&sums.blocks);
    // 5.
    let published = durable.map_or(Ok(()), |durable| durable.publish(&content));
    // 6 and 7.
    let committed = published.and_then(|()| commit(engine, slot, &part, new_blob));
    if committed.is_err() && is_new && engine.meta.health().cause().is_none() {
        // I7: the file may exist without a row, so a sweep must check it. A store that has stopped may have
        // the row in the journal only. The next open finds that out.
        engine.suspects.add(content);
    }
    // 8.
    committed
}

fn look_for(engine: &Engine, content: &ContentHash) -> Result<Stored> {
    match engine.meta.blob(content)? {
        None => Ok(Stored::Absent),
        Some(blocks) if engine.blobs.is_sound(content, &blocks)? => Ok(Stored::Sound(blocks)),
        Some(_) => Ok(Stored::Unsound),
    }
}

/// Step 3: makes the bytes durable, without a name yet. `None` if they are already stored.
fn make_durable(
    engine: &Engine,
    body: Body,
    stored: Stored,
    hasher: &mut BodyHasher,
) -> Result<Option<DurableBlob>> {
    match (body, stored) {
        (Body::Staged(_), Stored::Sound(_)) => Ok(None),
        (Body::Memory(bytes), Stored::Sound(blocks)) => {
            hasher.update_known_checksums(&bytes, blocks);
            Ok(None)
        }
        (Body::Staged(staged), _) => staged.sync().map(Some),
        (Body::Memory(bytes), _) => from_memory::write(engine, hasher, &bytes).map(Some),
    }
}

/// Steps 6 and 7: commits the part under its number, if the upload is still open (R10b, R11). Returns when
/// that is durable.
pub(super) fn commit(
    engine: &Engine,
    slot: Slot<'_>,
    part: &PartRecord,
    new_blob: Option<&BlockCrcs>,
) -> Result<Part> {
    let ticket = {
        let _one_order = engine.locks.lock(slot.upload.id())?;
        engine.record_if_open(slot.upload)?;
        let replaced = engine.meta.part(slot.upload.id(), slot.number)?;
        // I4: the blob that loses a reference is pinned, so a sweep sees it before or after this change,
        // not halfway.
        let _pinned = replaced
            .as_ref()
            .map(|before| engine.pins.pin(vec![before.content]))
            .transpose()?;
        let mut change = Change::default();
        if let Some(sums) = new_blob {
            change.add_blob(&part.content, sums);
        }
        change.put_part(slot, part, replaced.as_ref());
        engine.meta.commit(&change, SpaceUse::Grows)?
    };
    // No lock is held here, so that commits can gather into a group.
    engine.meta.wait(ticket)?;
    Ok(answers::part(slot.number, part))
}
