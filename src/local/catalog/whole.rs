//! Objects that come to exist at once: a body that is put under a key, a copy, and an object that takes a
//! key. Each is one batch.

use super::super::engine::Engine;
use super::super::format::record::{Completion, PartRecord, UploadRecord, UploadState};
use super::super::meta::{Change, SpaceUse};
use super::super::pins::Pinned;
use super::current::Current;
use super::end::{self, Leaving, Successor, UploadKind};
use super::{answers, put};
use crate::backend::{Algorithms, NewObject};
use crate::values::namespace::UsageChange;
use crate::{Condition, Key, Object, Result, Upload, UploadId, clock, rules};

/// Checks condition and quota before the work. Both are checked again at the commit.
pub(super) fn admit(engine: &Engine, key: &Key, condition: Condition, size: u64) -> Result<()> {
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

/// Commits an object as the current one of a key, and removes the one before. Returns when that is durable.
pub(super) fn commit(
    engine: &Engine,
    key: &Key,
    condition: Condition,
    new: &NewObject<'_>,
) -> Result<Object> {
    let namespace = engine.namespaces.find(key.namespace())?.id;
    engine.ages.note(engine.ids.newest());
    let upload = Upload::new(key, engine.ids.next()?);
    let now = clock::now_ms();
    // No list has completed it.
    let done = Completion::new(new.row, now, true, [0; 32])
        .marked(new.parts.iter().map(|(number, part)| (*number, part.size)));
    let record = UploadRecord {
        namespace,
        key: key.as_str().to_owned(),
        initiated_ms: now,
        metadata_len: rules::metadata_len(&engine.options, new.metadata)?,
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
        change.initiate(upload.id(), &record, new.metadata);
        for (number, part) in new.parts {
            let part = PartRecord::of(part, now);
            put::add_blob(&mut change, &part, new.blob);
            change.put_part((namespace, upload.id(), *number), &part, None);
        }
        let _pinned = take_key(engine, &current, (upload.id(), &done), &mut change)?;
        engine.commit(change, SpaceUse::Grows)?
    };
    engine.meta.wait(ticket)?;
    Ok(answers::object_with(
        &upload,
        now,
        &done,
        new.metadata.to_vec(),
    ))
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
