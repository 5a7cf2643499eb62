//! Gives uploads and objects other keys. Their ids, parts and times stay, and no row of a part changes.

use std::ops::ControlFlow;

use super::current::Current;
use super::engine::Engine;
use super::{PartStore, answers, whole};
use crate::format::record::{Completion, UploadRecord, UploadState};
use crate::meta::{Change, SpaceUse};
use crate::{ETag, Key, Object, ObjectOptions, Result, Upload, UploadId, clock, rules};
#[cfg(doc)]
use crate::{Error, Options};

impl PartStore {
    /// Gives an open upload another key. It keeps its id and its parts. Returns its new name; by the old one
    /// it does not exist any more.
    ///
    /// On `Ok` that is durable. On `Err` nothing has changed. A part that is received in the meantime under
    /// the old name is refused at its end.
    ///
    /// # Cost
    /// One sync of the journal. The parts are counted, about a microsecond each.
    ///
    /// # Errors
    /// - [`Error::InvalidArgument`], [`Error::KeyTooLong`]: the key is empty, holds a NUL, or is longer than
    ///   [`Options::max_key_len`].
    /// - [`Error::NoSuchUpload`]: the upload does not exist, or is no longer open.
    /// - [`Error::NoSuchNamespace`]: the namespace of the key does not exist.
    /// - [`Error::QuotaExceeded`]: that namespace may not hold so much.
    /// - Others as for [`initiate_upload`](Self::initiate_upload).
    pub fn rename_upload(&self, upload: &Upload, key: impl Into<Key>) -> Result<Upload> {
        let key = key.into();
        self.change(|engine| rename_upload(engine, upload, &key))
    }

    /// Gives an object another key, and makes it the current one of that key. The object that was the
    /// current one is removed in the same commit. If the object was the current one of its old key, that
    /// key has none afterwards.
    ///
    /// The object keeps its id, its parts and the time of its completion. So the completion that made it
    /// gets the same answer again, under the new key ([R25](crate::rules#r25)). It keeps its metadata and
    /// its ETag, unless the options say otherwise. Whoever reads it reads on.
    ///
    /// # Cost
    /// One sync of the journal, whatever the number of parts. No byte is read.
    ///
    /// # Errors
    /// - [`Error::NoSuchObject`]: the object does not exist.
    /// - Others as for [`copy_object`](Self::copy_object), as far as they are not about its source.
    pub fn rename_object(
        &self,
        object: &Upload,
        key: impl Into<Key>,
        options: &ObjectOptions,
    ) -> Result<Object> {
        let key = key.into();
        self.change(|engine| rename_object(engine, object, &key, options))
    }
}

fn rename_upload(engine: &Engine, upload: &Upload, key: &Key) -> Result<Upload> {
    key.check(engine.options.max_key_len)?;
    engine.meta.check()?;
    engine.room.check(0)?;
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

fn rename_object(
    engine: &Engine,
    object: &Upload,
    key: &Key,
    options: &ObjectOptions,
) -> Result<Object> {
    key.check(engine.options.max_key_len)?;
    let given = options.metadata.as_deref().unwrap_or_default();
    let given_len = rules::metadata_len(&engine.options, given)?;
    engine.meta.check()?;
    engine.room.check(given_len.into())?;
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
    fn find(engine: &Engine, object: &Upload, key: &Key, options: &ObjectOptions) -> Result<Self> {
        let (before, mut done) = answers::completed(engine, object)?;
        done.current = true;
        if done.parts == 1 {
            let etags = etags_of(engine, object)?;
            done.etag = whole::etag_of(options, done.etag, &etags);
        }
        let metadata = match &options.metadata {
            Some(given) => {
                done.modified_ms = clock::now_ms();
                given.clone()
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

fn etags_of(engine: &Engine, object: &Upload) -> Result<Vec<ETag>> {
    let mut etags = Vec::new();
    engine.meta.parts(object.id(), 0, &mut |_, part| {
        etags.push(part.etag);
        Ok(ControlFlow::Continue(()))
    })?;
    Ok(etags)
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
