//! Objects: completed uploads.

#[cfg(not(shuttle))]
use std::{ops::ControlFlow, path::Path};

use super::{ObjectReader, PartStore, pages};
#[cfg(doc)]
use crate::Error;
use crate::spans::span;
#[cfg(not(shuttle))]
use crate::{ExportOptions, ExportReport};
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

    /// Makes a file of an object, durably. Until it is whole it has the name `.NAME.….partstore-partial` beside the path.
    ///
    /// Its bytes come by the cheapest way that the file system has: a hard link if that is
    /// [allowed](ExportOptions::link), a reflink, a copy by the kernel, or a read and a write. Then what lies in the
    /// file is compared with the checksums and the BLAKE3 hash of each part, unless the options say
    /// [otherwise](ExportOptions::unverified).
    ///
    /// # Cost
    /// One read of the file, and one sync. Without a reflink also the write.
    ///
    /// # Errors
    /// There is no file then, but after a failed sync of its directory.
    /// - [`Error::DamagedBlob`](crate::Error::DamagedBlob): a part does not hold what was stored.
    /// - [`Error::StorageFull`](crate::Error::StorageFull): the disk of the path is full.
    /// - [`Error::InvalidArgument`](crate::Error::InvalidArgument): the path is in the store's directory.
    /// - [`Error::Io`](crate::Error::Io): the path has something and the options do not
    ///   [replace](ExportOptions::replace) it, its directory is missing, or a system call failed.
    /// - As for [`open_object`](Self::open_object).
    #[cfg(not(shuttle))]
    pub fn export_object(
        &self,
        object: &Upload,
        path: impl AsRef<Path>,
        options: ExportOptions,
    ) -> Result<ExportReport> {
        let reader = self.open_object(object)?;
        reader.export(path, options, |_| ControlFlow::Continue(()))
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
