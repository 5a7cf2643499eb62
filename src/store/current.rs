//! The current object of a key: which one it is, what a call wants it to be, and how another takes its
//! place.

use super::engine::Engine;
use crate::format::record::{Completion, KeyRecord};
use crate::meta::{Change, MetaStore};
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
    let mut before = None;
    loop {
        let current = engine.meta.key((namespace, key.as_str()))?;
        let id = current.ok_or_else(|| key.not_found())?.id;
        if before == Some(id) {
            // An object is removed behind the row that names it.
            return Err(MetaStore::damaged_key((namespace, key.as_str())));
        }
        before = Some(id);
        match look(&Upload::new(key, id)) {
            Err(Error::NoSuchObject { .. }) => {}
            found => return found,
        }
    }
}
