//! Puts a part: admit, receive, check, publish, commit, wait. The order of these steps is the store's
//! promise (design.md, section 6).

use bytes::Bytes;

use super::answers;
use super::engine::Engine;
use super::from_memory;
use crate::blob::{DurableBlob, StagedBlob};
use crate::format::record::{PartRecord, UploadRecord};
use crate::ingest::BodyHasher;
use crate::meta::{Change, SpaceUse};
use crate::values::checksum::Algorithms;
use crate::values::digest::BlockCrcs;
use crate::values::namespace::UsageChange;
use crate::values::part::Slot;
use crate::{Checksums, ContentHash, Part, PartOptions, Result, clock, rules};

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
    let upload = admit(engine, slot, options)?;
    rules::check_received(&engine.options, options, len)?;
    rules::check_length(options, len)?;
    rules::check_minimum(&engine.options, slot.number, len)?;
    let mut room = engine.room.reserve(len)?;
    let hasher = hash_bytes(engine, &body, upload.wanted, options)?;
    let part = store_part(engine, slot, Body::Memory(body), hasher, options)?;
    room.written(len);
    Ok(part)
}

/// Begins the digests of a body that is in memory.
pub(super) fn hash_bytes(
    engine: &Engine,
    body: &Bytes,
    wanted: Algorithms,
    options: &PartOptions,
) -> Result<BodyHasher> {
    let mut hasher = hasher(engine, wanted, options);
    hasher.begin_digests_of(body, &engine.closing)?;
    Ok(hasher)
}

/// Begins the digests of a body: the store's own, what the upload wants, and what the request declares or
/// asks for.
pub(super) fn hasher(engine: &Engine, wanted: Algorithms, options: &PartOptions) -> BodyHasher {
    let wanted = wanted
        .union(options.wanted)
        .union(options.declared.algorithms());
    BodyHasher::new(&engine.lanes, engine.options.etag, wanted)
}

/// Steps 2 to 8 for a part.
pub(super) fn store_part(
    engine: &Engine,
    slot: Slot<'_>,
    body: Body,
    hasher: BodyHasher,
    options: &PartOptions,
) -> Result<Part> {
    store_body(engine, body, hasher, &options.declared, |part, new_blob| {
        commit_part(engine, slot, part, new_blob)
    })
}

/// Step 1: checks what can be checked before a body is invited (R1, R3, R9, R10a), except room on the disk.
/// A server calls it before it sends `100 Continue`. Returns the upload's record.
pub(super) fn admit(
    engine: &Engine,
    slot: Slot<'_>,
    options: &PartOptions,
) -> Result<UploadRecord> {
    rules::check_announced(&engine.options, slot.number, options)?;
    engine.meta.check()?;
    let record = engine.record_if_open(slot.upload)?;
    let adds = UsageChange::of_bytes(options.length.unwrap_or(0), 0);
    engine
        .namespaces
        .check(&engine.meta, record.namespace, adds)?;
    Ok(record)
}

/// Steps 2 to 8, once the body's hash is known. Their order is the promise (I1, I4).
///
/// `commit` does 6 and 7 with the part's record, and with what its blob holds if that is new.
pub(super) fn store_body<T>(
    engine: &Engine,
    body: Body,
    mut hasher: BodyHasher,
    declared: &Checksums,
    commit: impl FnOnce(&PartRecord, Option<&BlockCrcs>) -> Result<T>,
) -> Result<T> {
    let content = hasher.content();
    // 2. I4: the blob is pinned before it is looked for, and until the part is durable. So no sweep can remove
    // it in between.
    let _pinned = engine.pins.pin(vec![content])?;
    let stored = look_for(engine, &content)?;
    let is_new = matches!(stored, Stored::Absent);
    // 3.
    let durable = make_durable(engine, body, stored, &mut hasher)?;
    // 4. The body's MD5 was computed at the same time. From here on it is needed.
    hasher.settle_until(&engine.closing)?;
    let computed = hasher.finish(&content);
    let part = PartRecord {
        size: computed.blocks.size,
        etag: computed.etag,
        content,
        stored_ms: clock::now_ms(),
        checksums: computed.checksums,
    };
    rules::check_digests(declared, &part.known_checksums())?;
    let new_blob = is_new.then_some(&computed.blocks);
    // 5.
    let published = durable.map_or(Ok(()), |durable| durable.publish(&content));
    // 6 and 7.
    let committed = published.and_then(|()| commit(&part, new_blob));
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
            hasher.update_known_checksums(&bytes, blocks, &engine.closing)?;
            Ok(None)
        }
        (Body::Staged(staged), _) => staged.sync().map(Some),
        (Body::Memory(bytes), _) => from_memory::write(engine, hasher, &bytes).map(Some),
    }
}

/// Steps 6 and 7 for a part: commits it under its number, if the upload is still open (R10b, R11). Returns
/// when that is durable.
pub(super) fn commit_part(
    engine: &Engine,
    slot: Slot<'_>,
    part: &PartRecord,
    new_blob: Option<&BlockCrcs>,
) -> Result<Part> {
    let id = slot.upload.id();
    let ticket = {
        let _one_order = engine.locks.lock(id)?;
        let upload = engine.record_if_open(slot.upload)?;
        let replaced = engine.meta.part(id, slot.number)?;
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
        let place = (upload.namespace, id, slot.number);
        change.put_part(place, part, replaced.as_ref());
        engine.commit(change, SpaceUse::Grows)?
    };
    // No lock is held here, so that commits can gather into a group.
    engine.meta.wait(ticket)?;
    Ok(answers::part(slot.number, part))
}
