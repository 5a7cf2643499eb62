//! The current object of a key: which one it is, what a call wants it to be, and how another takes its
//! place.

use super::super::engine::Engine;
use super::super::format::record::{Completion, KeyRecord};
use super::super::meta::{Change, MetaStore};
use super::answers;
use crate::values::namespace::NamespaceId;
use crate::{Condition, Error, Key, Result, Upload, UploadId, rules};

/// The current object of a key, for a caller that holds the key's lock.
pub(super) struct Current<'a> {
    key: &'a Key,
    namespace: NamespaceId,
    condition: Condition,
    record: Option<KeyRecord>,
    object: Option<Upload>,
}

/// The right of another object to become the current one.
pub(super) struct Taking<'a> {
    key: (NamespaceId, &'a str),
    before: Option<UploadId>,
}

impl<'a> Current<'a> {
    pub(super) fn find(engine: &Engine, key: &'a Key, condition: Condition) -> Result<Self> {
        let namespace = engine.namespaces.find(key.namespace())?.id;
        let record = engine.meta.key((namespace, key.as_str()))?;
        let object = record.as_ref().map(|current| Upload::new(key, current.id));
        Ok(Self {
            key,
            namespace,
            condition,
            record,
            object,
        })
    }

    /// The object.
    pub(super) fn object(&self) -> Option<&Upload> {
        self.object.as_ref()
    }

    /// Its size, bytes. 0 if the key has none.
    pub(super) fn size(&self) -> u64 {
        self.record.as_ref().map_or(0, |current| current.size)
    }

    /// # Errors
    /// As for [`rules::check_condition`].
    pub(super) fn check(&self) -> Result<()> {
        let current = self.record.as_ref();
        let current = current.map(|current| (current.id, current.etag));
        rules::check_condition(self.condition, self.key, current)
    }

    pub(super) fn taking(&self) -> Taking<'_> {
        Taking {
            key: (self.namespace, self.key.as_str()),
            before: self.record.as_ref().map(|current| current.id),
        }
    }
}

impl Taking<'_> {
    /// Makes this object the current one. The change removes the one before, too.
    pub(super) fn take(&self, change: &mut Change, id: UploadId, completion: &Completion) {
        change.set_key(self.key, &KeyRecord::of(id, completion), self.before);
    }
}

/// Does something with the current object of a key. If another object becomes the current one in the
/// meantime, does it with that one.
pub(super) fn find<T>(
    engine: &Engine,
    key: &Key,
    mut look: impl FnMut(&Upload) -> Result<T>,
) -> Result<T> {
    let namespace = engine.namespaces.find(key.namespace())?.id;
    loop {
        let current = engine.meta.key((namespace, key.as_str()))?;
        let object = Upload::new(key, current.ok_or_else(|| key.not_found())?.id);
        match look(&object) {
            Err(Error::NoSuchObject { .. }) => check_row(engine, namespace, &object)?,
            found => return found,
        }
    }
}

/// Passes unless the key's row names an object that does not exist. Whoever changes both holds the object's
/// lock, also when it is renamed and renamed back.
fn check_row(engine: &Engine, namespace: NamespaceId, object: &Upload) -> Result<()> {
    let _whole = engine.locks.lock(object.id())?;
    let key = (namespace, object.key());
    let current = engine.meta.key(key)?;
    let names_it = current.is_some_and(|current| current.id == object.id());
    match answers::completed(engine, object) {
        Err(Error::NoSuchObject { .. }) if names_it => Err(MetaStore::damaged_key(key)),
        Ok(_) | Err(Error::NoSuchObject { .. }) => Ok(()),
        Err(error) => Err(error),
    }
}
