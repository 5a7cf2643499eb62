//! Objects that come to exist at once: a body that is put under a key, a copy, and an object that takes a
//! key. Each is one batch.

use bytes::Bytes;

use super::answers;
use super::current::Current;
use super::end::{self, Leaving, Successor, UploadKind};
use super::engine::Engine;
use super::put::{self, Body};
use super::read::{ObjectReader, crcs_of};
use crate::format::record::{Completion, PartRecord, UploadRecord, UploadState};
use crate::ingest::BodyHasher;
use crate::meta::{Change, SpaceUse};
use crate::pins::Pinned;
use crate::values::checksum::Algorithms;
use crate::values::digest::BlockCrcs;
use crate::values::namespace::UsageChange;
use crate::{
    Condition, ETag, Error, Key, Object, ObjectETag, ObjectOptions, PartNumber, Result, Upload,
    UploadId, clock, rules,
};

/// Puts an object whose body is in memory.
pub(super) fn put_bytes(
    engine: &Engine,
    key: &Key,
    body: Bytes,
    options: &ObjectOptions,
) -> Result<Object> {
    let len = body.len() as u64;
    admit(engine, key, options)?;
    rules::check_received(&engine.options, &options.body, len)?;
    rules::check_length(&options.body, len)?;
    let mut room = engine.room.reserve(len)?;
    let hasher = put::hash_bytes(engine, &body, Algorithms::default(), &options.body)?;
    let object = store(engine, key, Body::Memory(body), hasher, options)?;
    room.written(len);
    Ok(object)
}

/// Checks what can be checked before a body is invited, except room on the disk.
pub(super) fn admit(engine: &Engine, key: &Key, options: &ObjectOptions) -> Result<()> {
    key.check(engine.options.max_key_len)?;
    rules::metadata_len(
        &engine.options,
        options.metadata.as_deref().unwrap_or_default(),
    )?;
    rules::check_announced(&engine.options, PartNumber::MIN, &options.body)?;
    engine.meta.check()?;
    let size = options.body.length.unwrap_or(0);
    check_current(engine, key, options.condition, size)
}

/// Checks condition and quota before the work. Both are checked again at the commit.
fn check_current(engine: &Engine, key: &Key, condition: Condition, size: u64) -> Result<()> {
    let current = Current::find(engine, key, condition)?;
    current.check()?;
    let mut adds = UsageChange::of_bytes(size, current.size());
    if current.object().is_none() {
        adds.add(UsageChange::OF_KEY);
    }
    engine
        .namespaces
        .find(key.namespace())?
        .check(&engine.meta, adds)
}

/// Stores a body as the current object of a key, when its hash is known.
pub(super) fn store(
    engine: &Engine,
    key: &Key,
    body: Body,
    hasher: BodyHasher,
    options: &ObjectOptions,
) -> Result<Object> {
    put::store_body(engine, body, hasher, &options.body.declared, |part, new| {
        let new_object = NewObject {
            parts: &[(PartNumber::MIN, part.clone())],
            new_blob: new,
            metadata: options.metadata.as_deref().unwrap_or_default(),
            done: whole(part),
        };
        new_object.commit(engine, key, options.condition)
    })
}

/// What a body makes of an object.
fn whole(part: &PartRecord) -> Completion {
    Completion {
        completed_ms: part.stored_ms,
        modified_ms: part.stored_ms,
        size: part.size,
        parts: 1,
        etag: ObjectETag::of_whole(part.etag),
        checksums: part.known_checksums(),
        composite: crate::Checksums::new(),
        current: true,
        list: [0; 32],
    }
}

/// Makes the object that `source` reads the current one of a key as well, by references to the same blobs.
pub(super) fn copy(
    engine: &Engine,
    source: &ObjectReader,
    key: &Key,
    options: &ObjectOptions,
) -> Result<Object> {
    // I4: a reader of another store has no pins in this one.
    if !source.is_of(engine) {
        return Err(Error::InvalidArgument {
            argument: "source",
            found: "a reader of another store".to_owned(),
            expected: "a reader that this store has opened since it was opened itself",
        });
    }
    let object = source.object();
    key.check(engine.options.max_key_len)?;
    engine.meta.check()?;
    check_current(engine, key, options.condition, object.size)?;
    engine.room.check(0)?;
    let now = clock::now_ms();
    let mut parts = Vec::with_capacity(source.parts().len());
    for placed in source.parts() {
        engine.closing.check()?;
        let part = &placed.part;
        // I1: the reader has pinned the blob since a part referred to it. So the blob's rows are in the
        // journal before these, and its file stays.
        let sums = crcs_of(engine, &part.content)?;
        engine.blobs.require_sound(&part.content, &sums)?;
        parts.push((part.number, PartRecord::copied(part, now)));
    }
    let etags: Vec<_> = parts.iter().map(|(_, part)| part.etag).collect();
    let new_object = NewObject {
        parts: &parts,
        new_blob: None,
        metadata: options.metadata.as_deref().unwrap_or(&object.metadata),
        done: Completion {
            completed_ms: now,
            modified_ms: now,
            size: object.size,
            parts: object.parts,
            etag: etag_of(options, object.etag, &etags),
            checksums: object.checksums,
            composite: object.composite,
            current: true,
            list: [0; 32],
        },
    };
    new_object.commit(engine, key, options.condition)
}

/// The ETag that an object with this one and these parts gets, as the options say.
pub(super) fn etag_of(options: &ObjectOptions, etag: ObjectETag, parts: &[ETag]) -> ObjectETag {
    match parts {
        [only] if options.whole_etag => ObjectETag::of_whole(*only),
        _ => etag,
    }
}

/// An object that is made by one batch.
struct NewObject<'a> {
    parts: &'a [(PartNumber, PartRecord)],
    /// What the blob of its one part holds, if that is new.
    new_blob: Option<&'a BlockCrcs>,
    metadata: &'a [u8],
    done: Completion,
}

impl NewObject<'_> {
    /// Commits it as the current object of a key, and removes the one before. Returns when that is durable.
    fn commit(&self, engine: &Engine, key: &Key, condition: Condition) -> Result<Object> {
        let namespace = engine.namespaces.find(key.namespace())?.id;
        engine.ages.note(engine.ids.newest());
        let upload = Upload::new(key, engine.ids.next()?);
        let done = &self.done;
        let record = UploadRecord {
            namespace,
            key: key.as_str().to_owned(),
            initiated_ms: done.completed_ms,
            metadata_len: rules::metadata_len(&engine.options, self.metadata)?,
            wanted: Algorithms::default(),
            composite: Algorithms::default(),
            state: UploadState::Completed(Box::new(done.clone())),
        };
        let ticket = {
            let _key = engine.locks.lock_key(key)?;
            let current = Current::find(engine, key, condition)?;
            let other = current.object().unwrap_or(&upload);
            let _whole = engine.locks.lock_both(upload.id(), other.id())?;
            current.check()?;
            let mut change = Change::default();
            change.initiate(upload.id(), &record, self.metadata);
            for (number, part) in self.parts {
                if let Some(sums) = self.new_blob {
                    change.add_blob(&part.content, sums);
                }
                change.put_part((namespace, upload.id(), *number), part, None);
            }
            let _pinned = take_key(engine, &current, (upload.id(), done), &mut change)?;
            engine.commit(change, SpaceUse::Grows)?
        };
        engine.meta.wait(ticket)?;
        Ok(answers::object_with(
            &upload,
            record.initiated_ms,
            done,
            self.metadata.to_vec(),
        ))
    }
}

/// Makes an object the current one of a key, and removes the one before, if that is another. The caller holds
/// the locks of the key and of both objects, and the pins until the change is committed.
pub(super) fn take_key(
    engine: &Engine,
    current: &Current<'_>,
    (id, done): (UploadId, &Completion),
    change: &mut Change,
) -> Result<Pinned> {
    let replaced = current
        .object()
        .filter(|object| object.id() != id)
        .map(|object| Leaving::find(engine, object, UploadKind::Completed))
        .transpose()?;
    let contents = replaced.iter().flat_map(Leaving::contents);
    let pinned = engine.pins.pin(contents.collect())?;
    current.taking().take(change, id, done);
    if let Some(replaced) = &replaced {
        replaced.remove(change, Successor::Object);
    }
    Ok(pinned)
}

/// Makes an object that exists the current one of its key.
pub(super) fn make_current(engine: &Engine, object: &Upload, condition: Condition) -> Result<()> {
    engine.meta.check()?;
    let ticket = {
        let _key = engine.locks.lock_key(object.full_key())?;
        let current = Current::find(engine, object.full_key(), condition)?;
        let other = current.object().unwrap_or(object);
        let _whole = engine.locks.lock_both(object.id(), other.id())?;
        let (record, mut done) = answers::completed(engine, object)?;
        current.check()?;
        if other.id() == object.id() && current.object().is_some() {
            None
        } else {
            let mut change = Change::default();
            done.current = true;
            change.change_object(object.id(), &record, done.clone());
            let _pinned = take_key(engine, &current, (object.id(), &done), &mut change)?;
            Some(engine.commit(change, SpaceUse::Grows)?)
        }
    };
    // Without a change, the call that made it the current one may still be waiting for the disk.
    match ticket {
        Some(ticket) => engine.meta.wait(ticket),
        None => engine.meta.wait_for_all(),
    }
}

/// Replaces the metadata of an object.
pub(super) fn replace_metadata(
    engine: &Engine,
    object: &Upload,
    metadata: &[u8],
) -> Result<Object> {
    let metadata_len = rules::metadata_len(&engine.options, metadata)?;
    engine.meta.check()?;
    engine.room.check(metadata_len.into())?;
    let (record, done, ticket) = {
        let _key = engine.locks.lock_key(object.full_key())?;
        let _whole = engine.locks.lock(object.id())?;
        let (before, mut done) = answers::completed(engine, object)?;
        done.modified_ms = clock::now_ms();
        let record = UploadRecord {
            metadata_len,
            state: UploadState::Completed(Box::new(done.clone())),
            ..before.clone()
        };
        let mut change = Change::default();
        change.replace_metadata(object.id(), &before, (&record, metadata));
        let current = Current::find(engine, object.full_key(), Condition::Always)?;
        if current.object() == Some(object) {
            // The key counts once before and afterwards.
            current.taking().take(&mut change, object.id(), &done);
        }
        let ticket = engine.commit(change, SpaceUse::Grows)?;
        (record, done, ticket)
    };
    engine.meta.wait(ticket)?;
    Ok(answers::object_with(
        object,
        record.initiated_ms,
        &done,
        metadata.to_vec(),
    ))
}

/// Removes the current object of a key, if the key has one and the condition holds. Says whether it had
/// one.
pub(super) fn remove_key(engine: &Engine, key: &Key, condition: Condition) -> Result<bool> {
    engine.meta.check()?;
    let remove = || {
        let _key = engine.locks.lock_key(key)?;
        let current = Current::find(engine, key, condition)?;
        current.check()?;
        let Some(object) = current.object() else {
            return Ok(None);
        };
        let _whole = engine.locks.lock(object.id())?;
        let leaving = Leaving::find(engine, object, UploadKind::Completed)?;
        end::commit_leaving(engine, &leaving).map(Some)
    };
    match end::with_room(engine, remove)? {
        Some(ticket) => engine.meta.wait(ticket).map(|()| true),
        // What removed it may still be waiting for the disk.
        None => engine.meta.wait_for_all().map(|()| false),
    }
}
