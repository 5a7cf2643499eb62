//! Objects: completed uploads.

use super::{ObjectReader, PartStore, pages};
#[cfg(doc)]
use crate::Error;
use crate::spans::span;
use crate::{ListObjects, Object, ObjectPage, Result, Upload, rules};

impl PartStore {
    /// Returns an object's size, ETag, checksum and metadata. The key and id of its upload name it
    /// ([`Object::upload`]).
    ///
    /// # Errors
    /// - [`Error::NoSuchObject`]: no object exists from this upload under this key.
    /// - [`Error::Closed`]: the store is closed.
    /// - [`Error::Index`], [`Error::DamagedRow`]: the index failed, or a row of it is damaged.
    pub fn object(&self, object: &Upload) -> Result<Object> {
        self.session()?.catalog.object(object)
    }

    /// Opens an object for verified reading: as a whole, from any place, or by part.
    ///
    /// # Cost
    /// Some tens of microseconds, however many parts the object has. Places of parts are found, and files
    /// opened, when they are needed.
    ///
    /// # Errors
    /// As for [`object`](Self::object).
    pub fn open_object(&self, object: &Upload) -> Result<ObjectReader> {
        let _span = span!(DEBUG, "open_object", upload = %object.id());
        ObjectReader::open(&self.handle.shared, object)
    }

    /// Lists a page of the objects, in the order in which their uploads were initiated.
    /// [`objects`](Self::objects) lists all.
    ///
    /// It lists the objects of all namespaces, also those that are not the current one of their key.
    /// [`list_keys`](Self::list_keys) lists the others.
    ///
    /// # Cost
    /// Some microseconds for each object, and for each open upload between them.
    ///
    /// # Errors
    /// - [`Error::InvalidArgument`]: the limit is 0, or above 1,000 with
    ///   [`PageLimit::Refuse`](crate::PageLimit::Refuse).
    /// - [`Error::Closed`]: the store is closed.
    /// - [`Error::Index`], [`Error::DamagedRow`]: the index failed, or a row of it is damaged.
    pub fn list_objects(&self, query: &ListObjects) -> Result<ObjectPage> {
        let session = self.session()?;
        let limit = rules::page_len(&session.options, "max-objects", query.limit)?;
        session.catalog.objects(query.marker, limit)
    }

    /// Lists all objects, in the order in which their uploads were initiated. It fetches pages of 1,000 as
    /// the entries are asked for. After an error the iterator ends.
    ///
    /// # Errors
    /// As for [`list_objects`](Self::list_objects).
    pub fn objects(&self) -> impl Iterator<Item = Result<Object>> {
        pages::objects(self)
    }

    /// Removes an object. On `Ok` the object and its parts are removed, durably. Open readers of it
    /// continue.
    ///
    /// # Cost
    /// One sync of the journal, however many parts it has. A later sweep releases more than 32, as for
    /// [`abort_upload`](Self::abort_upload).
    ///
    /// # Errors
    /// As for [`abort_upload`](Self::abort_upload), with [`Error::NoSuchObject`] in place of
    /// [`Error::NoSuchUpload`]: no object exists from this upload under this key.
    pub fn remove_object(&self, object: &Upload) -> Result<()> {
        let _span = span!(DEBUG, "remove_object", upload = %object.id());
        self.change(|session| session.catalog.remove_object(object))
    }
}
