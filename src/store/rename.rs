//! Gives uploads and objects other keys. Their ids, parts and times stay.

use super::PartStore;
use crate::backend::Renaming;
#[cfg(doc)]
use crate::{Error, Options};
use crate::{Key, Object, ObjectOptions, Result, Upload, rules};

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
        self.change(|session| {
            key.check(session.options.max_key_len)?;
            session.blobs.check_room(0)?;
            session.catalog.rename_upload(upload, &key)
        })
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
        self.change(|session| {
            key.check(session.options.max_key_len)?;
            let metadata = options.metadata.as_deref();
            let given = rules::metadata_len(&session.options, metadata.unwrap_or_default())?;
            session.blobs.check_room(given.into())?;
            let renaming = Renaming {
                condition: options.condition,
                metadata,
                whole_etag: options.whole_etag,
            };
            session.catalog.rename_object(object, &key, &renaming)
        })
    }
}
