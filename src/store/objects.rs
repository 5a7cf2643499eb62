//! Objects: completed uploads.

use super::end::{self, UploadKind};
use super::{ObjectReader, PartStore, answers, list, pages};
#[cfg(doc)]
use crate::Error;
use crate::{ListObjects, Object, ObjectPage, Result, Upload};

impl PartStore {
    /// Tells of an object. It is named by the key and id of its upload, [`Object::upload`].
    ///
    /// # Errors
    /// [`Error::NoSuchObject`] when there is none from this upload under this key;
    /// [`Error::Closed`]; [`Error::Index`], [`Error::DamagedRow`].
    pub fn object(&self, object: &Upload) -> Result<Object> {
        let engine = self.engine()?;
        let record = engine
            .record(object)?
            .ok_or_else(|| object.object_not_found())?;
        answers::object(&engine, object, &record)
    }

    /// Opens an object for verified reading, whole, at any place, or by part.
    ///
    /// # Cost
    /// About a microsecond a part. Files are opened as they are read.
    ///
    /// # Errors
    /// As for [`object`](Self::object).
    pub fn open_object(&self, object: &Upload) -> Result<ObjectReader> {
        ObjectReader::open(&self.handle.shared, object)
    }

    /// Lists a page of the objects, in the order in which their uploads were initiated.
    /// [`objects`](Self::objects) lists all.
    ///
    /// Which object is the current one of a key is the server's to record. This is for a server that
    /// compares its record with what is here, after a crash between a completion and the record.
    ///
    /// # Cost
    /// Some microseconds for each object, and for each open upload that is passed over.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] for a limit of 0, or above 1,000 with
    /// [`PageLimit::Refuse`](crate::PageLimit::Refuse); [`Error::Closed`]; [`Error::Index`],
    /// [`Error::DamagedRow`].
    pub fn list_objects(&self, query: &ListObjects) -> Result<ObjectPage> {
        list::objects(&*self.engine()?, query)
    }

    /// All objects, in the order in which their uploads were initiated, fetched in pages of 1,000 as they
    /// are asked for. After an error the iterator ends.
    ///
    /// # Errors
    /// As for [`list_objects`](Self::list_objects).
    pub fn objects(&self) -> impl Iterator<Item = Result<Object>> {
        pages::objects(self)
    }

    /// Removes an object: it and its parts are gone, durably. Readers that are open go on reading.
    ///
    /// # Cost
    /// As for [`abort_upload`](Self::abort_upload).
    ///
    /// # Errors
    /// [`Error::NoSuchObject`] when there is none from this upload under this key; else as for
    /// [`abort_upload`](Self::abort_upload).
    pub fn remove_object(&self, object: &Upload) -> Result<()> {
        self.change(|engine| end::end(engine, object, UploadKind::Completed))
    }
}
