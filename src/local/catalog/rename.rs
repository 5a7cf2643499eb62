//! Gives uploads and objects other keys. Their ids, parts and times stay, and no row of a part changes.

use std::ops::ControlFlow;

use super::super::engine::Engine;
use super::super::format::record::{Completion, UploadRecord, UploadState};
use super::super::meta::{Change, SpaceUse};
use super::current::Current;
use super::{answers, whole};
use crate::backend;
use crate::{Key, Object, ObjectETag, Result, Upload, UploadId, clock, rules};

pub(super) fn upload(engine: &Engine, upload: &Upload, key: &Key) -> Result<Upload> {
    let namespace = engine.namespaces.find(key.namespace())?.id;
    let ticket = {
        let _one_order = engine.locks.lock(upload.id())?;
        let before = engine.record_if_open(upload)?;
        let after = UploadRecord {
            namespace,
            key: key.as_str().to_owned(),
            ..before.clone()
        };
        let mut bytes = 0;
        engine.meta.parts(upload.id(), 0, &mut |_, part| {
            bytes += part.size;
            Ok(ControlFlow::Continue(()))
        })?;
        let mut change = Change::default();
        change.rename(upload.id(), (&before, &after), bytes);
        engine.commit(change, SpaceUse::Grows)?
    };
    engine.meta.wait(ticket)?;
    Ok(Upload::new(key, upload.id()))
}

pub(super) fn object(
    engine: &Engine,
    object: &Upload,
    key: &Key,
    options: &backend::Renaming<'_>,
) -> Result<Object> {
    let renamed = Upload::new(key, object.id());
    let (renaming, ticket) = {
        let _keys = engine.locks.lock_keys(object.full_key(), key)?;
        let current = Current::find(engine, key, options.condition)?;
        let other = current.object().unwrap_or(object);
        let _whole = engine.locks.lock_both(object.id(), other.id())?;
        let renaming = Renaming::find(engine, object, key, options)?;
        current.check()?;
        let mut change = Change::default();
        renaming.apply(&mut change, object.id());
        let taking = (object.id(), &renaming.done);
        let _pinned = whole::take_key(engine, &current, taking, &mut change)?;
        lose_old_key(engine, object, key, &mut change)?;
        (renaming, engine.commit(change, SpaceUse::Grows)?)
    };
    engine.meta.wait(ticket)?;
    Ok(answers::object_with(
        &renamed,
        renaming.after.initiated_ms,
        &renaming.done,
        renaming.metadata,
    ))
}

/// The row of an object before and afterwards.
struct Renaming {
    before: UploadRecord,
    after: UploadRecord,
    done: Completion,
    metadata: Vec<u8>,
}

impl Renaming {
    /// Reads the object, for a caller that holds its lock.
    fn find(
        engine: &Engine,
        object: &Upload,
        key: &Key,
        options: &backend::Renaming<'_>,
    ) -> Result<Self> {
        let (before, mut done) = answers::completed(engine, object)?;
        done.current = true;
        if done.parts == 1 && options.whole_etag {
            engine.meta.parts(object.id(), 0, &mut |_, part| {
                done.etag = ObjectETag::of_whole(part.etag);
                Ok(ControlFlow::Continue(()))
            })?;
        }
        let metadata = match options.metadata {
            Some(given) => {
                done.modified_ms = clock::now_ms();
                given.to_vec()
            }
            None => answers::locked_object(engine, object)?.metadata,
        };
        let after = UploadRecord {
            namespace: engine.namespaces.find(key.namespace())?.id,
            key: key.as_str().to_owned(),
            metadata_len: rules::metadata_len(&engine.options, &metadata)?,
            state: UploadState::Completed(Box::new(done.clone())),
            ..before.clone()
        };
        Ok(Self {
            before,
            after,
            done,
            metadata,
        })
    }

    fn apply(&self, change: &mut Change, id: UploadId) {
        change.rename(id, (&self.before, &self.after), self.done.size);
        change.replace_metadata(id, &self.before, (&self.after, &self.metadata));
    }
}

/// Takes the object from the key that it had, if it was the current one there.
fn lose_old_key(engine: &Engine, object: &Upload, key: &Key, change: &mut Change) -> Result<()> {
    if object.full_key() == key {
        return Ok(());
    }
    let namespace = engine.namespaces.find(object.namespace())?.id;
    let current = engine.meta.key((namespace, object.key()))?;
    if current.is_some_and(|current| current.id == object.id()) {
        change.remove_key((namespace, object.key()), object.id());
    }
    Ok(())
}
