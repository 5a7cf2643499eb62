//! The current object of a key: which one it is, what a call wants it to be, and how another takes its
//! place.

use super::engine::Engine;
use crate::format::record::{Completion, KeyRecord};
use crate::meta::Change;
use crate::values::namespace::NamespaceId;
use crate::{Condition, Key, Result, Upload, UploadId, rules};

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
