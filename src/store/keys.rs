//! Keys and their current objects: put, copied, found, listed and removed.

use std::io::Read;

use bytes::Bytes;

use super::{ObjectReader, ObjectWriter, PartStore, pages, whole};
use crate::backend::Names;
use crate::spans::span;
use crate::{
    Condition, Key, KeyEntry, KeyPage, ListKeys, Object, ObjectOptions, Result, Upload, rules,
};
#[cfg(doc)]
use crate::{Error, Options};

impl PartStore {
    /// Puts an object whose bytes are in memory, in place of the one that the key has. See
    /// [`put_object_with`](Self::put_object_with).
    ///
    /// # Errors
    /// As for [`put_object_with`](Self::put_object_with).
    pub fn put_object(&self, key: impl Into<Key>, body: impl Into<Bytes>) -> Result<Object> {
        self.put_object_with(key, body, &ObjectOptions::new())
    }

    /// Puts an object whose bytes are in memory. It becomes the current object of its key, as one part. Its
    /// ETag is that of the part.
    ///
    /// On `Ok` content and rows are durable, and the object that the key had is removed. On `Err` nothing has
    /// changed. Only after [`Error::Poisoned`] and [`Error::Index`] the store must be opened again to know.
    /// Of concurrent calls under one key, the last commit wins, unless their [conditions](Condition) say
    /// otherwise.
    ///
    /// # Cost
    /// That of [`put_part_with`](Self::put_part_with): three syncs, of which the journal's is shared. If the
    /// key had an object, also that of [removing](Self::remove_object) it, without its sync.
    ///
    /// # Errors
    /// - [`Error::InvalidArgument`], [`Error::KeyTooLong`]: the key is empty, holds a NUL, or is longer than
    ///   [`Options::max_key_len`].
    /// - [`Error::MetadataTooLarge`]: the metadata is longer than [`Options::max_metadata_len`].
    /// - [`Error::NoSuchNamespace`]: the namespace does not exist.
    /// - [`Error::PreconditionFailed`], [`Error::NoSuchKey`]: the condition does not hold.
    /// - [`Error::QuotaExceeded`]: the namespace may not hold so much.
    /// - [`Error::EntityTooLarge`]: the body is above [`Options::max_part_size`] ([R3](crate::rules#r3)).
    /// - [`Error::IncompleteBody`], [`Error::BadDigest`]: the body is not what was declared.
    /// - [`Error::StorageFull`], [`Error::Poisoned`], [`Error::Damaged`], [`Error::Closed`]: the disk is
    ///   full, or the store has stopped, is damaged or closed.
    /// - [`Error::NoRandomness`], [`Error::Index`], [`Error::DamagedRow`], [`Error::Io`]: the operating
    ///   system gave no random bytes, or the index or a system call failed.
    pub fn put_object_with(
        &self,
        key: impl Into<Key>,
        body: impl Into<Bytes>,
        options: &ObjectOptions,
    ) -> Result<Object> {
        let (key, body) = (key.into(), body.into());
        let _span = span!(DEBUG, "put_object", key = %key, bytes = body.len());
        self.change(|session| whole::put_bytes(session, &key, body, options))
    }

    /// Puts an object whose bytes come from a reader, which is read to its end.
    ///
    /// # Errors
    /// As for [`put_object_with`](Self::put_object_with), and [`Error::BodyUnreadable`] if the reader fails.
    pub fn put_object_from(
        &self,
        key: impl Into<Key>,
        mut body: impl Read,
        options: ObjectOptions,
    ) -> Result<Object> {
        let mut writer = self.object_writer(key, options)?;
        writer.copy_from(&mut body)?;
        writer.finish()
    }

    /// Begins to receive an object as a stream. All that can be refused before the body is refused here,
    /// condition and quota included. Both are checked again when it is finished.
    ///
    /// Memory and room are those of [`part_writer`](Self::part_writer).
    ///
    /// # Errors
    /// As for [`put_object_with`](Self::put_object_with), as far as it is known before the body.
    pub fn object_writer(
        &self,
        key: impl Into<Key>,
        options: ObjectOptions,
    ) -> Result<ObjectWriter> {
        ObjectWriter::open(&self.handle.shared, key.into(), options)
    }

    /// Makes a copy of the object that `source` reads the current object of a key. No byte is copied: its
    /// parts refer to the same blobs. It has the ETag, the checksums and the part numbers of its source, and
    /// its metadata unless the options set others.
    ///
    /// The source may have been replaced or removed since it was opened. An object may be copied to its own
    /// key. `Ok` and `Err` mean the same as for [`put_object_with`](Self::put_object_with).
    ///
    /// # Cost
    /// One sync of the journal, and some 20 us of a processor a part. Blobs on which this process relies for
    /// the first time are synced and read once.
    ///
    /// # Errors
    /// As for [`put_object_with`](Self::put_object_with), as far as they are not about a body, and
    /// - [`Error::InvalidArgument`]: another store opened `source`, or this one did before it was closed and
    ///   opened again.
    /// - [`Error::DamagedBlob`]: the stored bytes are not those that were acknowledged.
    pub fn copy_object(
        &self,
        source: &ObjectReader,
        key: impl Into<Key>,
        options: &ObjectOptions,
    ) -> Result<Object> {
        let key = key.into();
        let _span = span!(DEBUG, "copy_object", key = %key, bytes = source.object().size);
        self.change(|session| whole::copy(session, source, &key, options))
    }

    /// Makes an object that exists the current one of its key. The object that was the current one is
    /// removed in the same commit.
    ///
    /// It is for objects that were completed without
    /// [`make_current`](crate::CompleteOptions::make_current), and for stores that were written before keys
    /// had current objects.
    ///
    /// # Errors
    /// - [`Error::NoSuchObject`]: the object does not exist.
    /// - [`Error::PreconditionFailed`], [`Error::NoSuchKey`]: the condition does not hold.
    /// - Others as for [`abort_upload`](Self::abort_upload).
    pub fn make_current(&self, object: &Upload, condition: Condition) -> Result<()> {
        self.change(|session| session.catalog.make_current(object, condition))
    }

    /// Replaces the metadata of an object, and nothing else of it.
    ///
    /// # Errors
    /// - [`Error::MetadataTooLarge`]: the metadata is longer than [`Options::max_metadata_len`].
    /// - [`Error::NoSuchObject`]: the object does not exist.
    /// - Others as for [`initiate_upload`](Self::initiate_upload).
    pub fn replace_metadata(
        &self,
        object: &Upload,
        metadata: impl Into<Vec<u8>>,
    ) -> Result<Object> {
        let metadata = metadata.into();
        self.change(|session| whole::replace_metadata(session, object, &metadata))
    }

    /// Returns the current object of a key.
    ///
    /// # Errors
    /// - [`Error::NoSuchKey`]: the key has none.
    /// - [`Error::NoSuchNamespace`]: the namespace does not exist.
    /// - [`Error::Closed`]: the store is closed.
    /// - [`Error::Index`], [`Error::DamagedRow`]: the index failed, or a row of it is damaged.
    pub fn object_by_key(&self, key: impl Into<Key>) -> Result<Object> {
        self.session()?.catalog.object_by_key(&key.into())
    }

    /// Opens the current object of a key for verified reading. The reader reads that object to its end, also
    /// if another one becomes the current one.
    ///
    /// # Errors
    /// As for [`object_by_key`](Self::object_by_key).
    pub fn open_key(&self, key: impl Into<Key>) -> Result<ObjectReader> {
        let key = key.into();
        let _span = span!(DEBUG, "open_key", key = %key);
        ObjectReader::open_key(&self.handle.shared, &key)
    }

    /// Removes the current object of a key. Says whether the key had one: a key without an object is no
    /// error. On `Ok` it has none, durably.
    ///
    /// # Errors
    /// - [`Error::PreconditionFailed`], [`Error::NoSuchKey`]: the condition does not hold.
    /// - [`Error::NoSuchNamespace`]: the namespace does not exist.
    /// - Others as for [`abort_upload`](Self::abort_upload).
    pub fn remove_key(&self, key: impl Into<Key>, condition: Condition) -> Result<bool> {
        let key = key.into();
        let _span = span!(DEBUG, "remove_key", key = %key);
        self.change(|session| session.catalog.remove_key(&key, condition))
    }

    /// Lists a page of the keys of a namespace that have a current object, in the order of their bytes.
    /// [`keys`](Self::keys) lists all.
    ///
    /// # Cost
    /// About a microsecond for each key of the page, and some 10 us for each common prefix. What is skipped
    /// costs nothing: neither keys before the marker, nor those that a common prefix stands for.
    ///
    /// # Errors
    /// - [`Error::NoSuchNamespace`]: the namespace does not exist.
    /// - [`Error::InvalidArgument`]: the limit is above 1,000 with
    ///   [`PageLimit::Refuse`](crate::PageLimit::Refuse).
    /// - [`Error::Closed`]: the store is closed.
    /// - [`Error::Index`], [`Error::DamagedRow`]: the index failed, or a row of it is damaged.
    pub fn list_keys(&self, query: &ListKeys) -> Result<KeyPage> {
        let session = self.session()?;
        let limit = match query.limit {
            Some(0) => 0,
            limit => rules::page_len(&session.options, "max-keys", limit)?,
        };
        if limit == 0 {
            session.catalog.namespace(&query.namespace)?;
            return Ok(KeyPage::default());
        }
        session.catalog.keys(&Names {
            namespace: &query.namespace,
            prefix: &query.prefix,
            delimiter: query.delimiter.as_deref(),
            after: query.after.as_deref(),
            after_id: None,
            limit,
        })
    }

    /// Lists all keys that begin with `prefix`, in the order of their bytes. The prefix names the namespace,
    /// too, and may be empty. It fetches pages of 1,000 as the entries are asked for. After an error the
    /// iterator ends.
    ///
    /// # Errors
    /// As for [`list_keys`](Self::list_keys).
    pub fn keys(&self, prefix: impl Into<Key>) -> impl Iterator<Item = Result<KeyEntry>> {
        pages::keys(self, &prefix.into())
    }
}
