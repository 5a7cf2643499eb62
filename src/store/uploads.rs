//! Uploads: from their initiation to their completion, abort or expiry.

use std::time::Duration;

use super::end::{self, UploadKind};
use super::{PartStore, answers, complete, initiate, list, pages};
use crate::going::Going;
use crate::{CompletedPart, ListUploads, Object, Result, Upload, UploadInfo, UploadPage};
#[cfg(doc)]
use crate::{Error, Options};

impl PartStore {
    /// Initiates an upload without metadata. See
    /// [`initiate_upload_with`](Self::initiate_upload_with).
    ///
    /// # Errors
    /// As for [`initiate_upload_with`](Self::initiate_upload_with).
    pub fn initiate_upload(&self, key: &str) -> Result<Upload> {
        self.initiate_upload_with(key, &[])
    }

    /// Initiates an upload under `key`, with opaque `metadata` that the object will have.
    ///
    /// On `Ok` the upload is durable. A key may have any number of uploads at the same time.
    ///
    /// # Cost
    /// One sync of the journal, shared with concurrent calls.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] when the key is empty or holds a NUL; [`Error::KeyTooLong`] above
    /// [`Options::max_key_len`]; [`Error::MetadataTooLarge`] above [`Options::max_metadata_len`];
    /// [`Error::StorageFull`]; [`Error::Poisoned`]; [`Error::Damaged`]; [`Error::Closed`]; [`Error::NoRandomness`];
    /// [`Error::Index`], [`Error::Io`].
    pub fn initiate_upload_with(&self, key: &str, metadata: &[u8]) -> Result<Upload> {
        initiate::initiate(&*self.engine()?, key, metadata)
    }

    /// Tells of one open upload.
    ///
    /// # Errors
    /// [`Error::NoSuchUpload`] when it is not open, or has another key ([R9](crate::rules#r9)); [`Error::Closed`];
    /// [`Error::Index`], [`Error::DamagedRow`].
    pub fn upload(&self, upload: &Upload) -> Result<UploadInfo> {
        let engine = self.engine()?;
        let record = engine.record_if_open(upload)?;
        answers::upload(&engine, upload, &record)
    }

    /// Lists a page of the open uploads by key, then by initiation ([R32](crate::rules#r32)). [`uploads`](Self::uploads) lists all.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] for a limit of 0, or above 1,000 with
    /// [`PageLimit::Refuse`](crate::PageLimit::Refuse); [`Error::Closed`]; [`Error::Index`],
    /// [`Error::DamagedRow`].
    pub fn list_uploads(&self, query: &ListUploads) -> Result<UploadPage> {
        list::uploads(&*self.engine()?, query)
    }

    /// All open uploads whose keys begin with `prefix`, by key, then by initiation, fetched in pages of
    /// 1,000 as they are asked for. After an error the iterator ends.
    ///
    /// # Errors
    /// As for [`list_uploads`](Self::list_uploads).
    pub fn uploads(&self, prefix: &str) -> impl Iterator<Item = Result<UploadInfo>> {
        pages::uploads(self, prefix)
    }

    /// Completes an upload to an object of the listed parts, in their order. Parts that are not
    /// listed are dropped.
    ///
    /// On `Ok` the object is durable and readable. The same call again answers the same, from any
    /// thread and after a restart ([R25](crate::rules#r25), [R26](crate::rules#r26)). On `Err` the upload is as it was ([R27](crate::rules#r27)); only after
    /// [`Error::Poisoned`] and [`Error::Index`] it takes opening the store again to know.
    ///
    /// # Cost
    /// About a microsecond a part, whatever its size: no byte of a part is read or moved ([R29](crate::rules#r29)). One
    /// sync of the journal.
    ///
    /// # Errors
    /// [`Error::EmptyPartList`] ([R19](crate::rules#r19)); [`Error::NoSuchUpload`] when the upload does not exist under
    /// this key, or was completed with another list ([R9](crate::rules#r9), [R25](crate::rules#r25)); [`Error::InvalidPartOrder`] when
    /// numbers do not ascend ([R21](crate::rules#r21)); [`Error::InvalidPart`] when a part was never put, has
    /// another ETag now ([R22](crate::rules#r22)), or follows a gap with
    /// [`Numbering::Consecutive`](crate::Numbering::Consecutive) ([R23](crate::rules#r23)); [`Error::EntityTooSmall`]
    /// when a part but the last is below the minimum ([R4](crate::rules#r4)); [`Error::StorageFull`];
    /// [`Error::Poisoned`]; [`Error::Damaged`]; [`Error::Closed`]; [`Error::Index`], [`Error::DamagedRow`],
    /// [`Error::Io`].
    pub fn complete_upload(&self, upload: &Upload, parts: &[CompletedPart]) -> Result<Object> {
        self.change(|engine| complete::complete(engine, upload, parts, None))
    }

    /// Completes an upload, and removes the object that it takes the place of, in one commit: after a
    /// crash at any moment exactly one of the two is there.
    ///
    /// What holds on `Ok` and on `Err` is as for [`complete_upload`](Self::complete_upload). Readers of
    /// the replaced object go on, and bytes that the new object has, too, stay. Of concurrent calls that
    /// replace one object exactly one does; the others get [`Error::NoSuchObject`] and their uploads
    /// stay open, so this is a compare-and-swap of what a server believes to be current. A
    /// [listing](Self::list_objects) that goes on in the meantime may show both objects, or neither if the
    /// new one's upload is the older one.
    ///
    /// The list alone makes a completion the same: once the upload is completed, in whichever way, the same
    /// list again answers the same and removes nothing, whatever `replaced` names and whether that is
    /// there or not ([R25](crate::rules#r25), [R26](crate::rules#r26)).
    ///
    /// # Cost
    /// About a microsecond a part of the upload ([R29](crate::rules#r29)), and for each part of the replaced object what
    /// [removing](Self::remove_object) it costs. One sync of the journal.
    ///
    /// # Errors
    /// As for [`complete_upload`](Self::complete_upload); when nothing of that refuses it
    /// [`Error::NoSuchObject`] when there is no object from `replaced` under its key: it was removed
    /// or replaced, or is an open upload, as `upload` itself is.
    pub fn complete_upload_replacing(
        &self,
        upload: &Upload,
        parts: &[CompletedPart],
        replaced: &Upload,
    ) -> Result<Object> {
        self.change(|engine| complete::complete(engine, upload, parts, Some(replaced)))
    }

    /// Aborts an open upload: it and its parts are gone, durably. Bodies that are still being
    /// received get [`Error::NoSuchUpload`] when they finish ([R31](crate::rules#r31)).
    ///
    /// # Cost
    /// One sync of the journal, and 12 to 28 us of a processor a part: three rows of it change, at places of
    /// the index that have nothing to do with each other. Where the index is larger than
    /// [its cache](Options::index_cache) they are read from the disk. Works on a full disk.
    ///
    /// # Errors
    /// [`Error::NoSuchUpload`] when the upload is not open, or has another key;
    /// [`Error::Poisoned`]; [`Error::Damaged`]; [`Error::Closed`]; [`Error::StorageFull`] when not even the spare
    /// journal segment has room; [`Error::Index`], [`Error::DamagedRow`], [`Error::Io`].
    pub fn abort_upload(&self, upload: &Upload) -> Result<()> {
        self.change(|engine| end::end(engine, upload, UploadKind::Open))
    }

    /// Aborts all uploads that were initiated longer ago than `older_than` and not completed. Gives
    /// their number ([R33](crate::rules#r33)).
    ///
    /// The age of an upload is that by the host's clock, but at most what a clock that nobody sets has
    /// counted since the upload was initiated, or since the store was opened, beyond the age that it
    /// had then. So a clock that jumps ahead while the store is open ends no upload early. One that is ahead
    /// when the store is opened does, and so does one that was behind when an upload was initiated, once
    /// the store has been opened again.
    ///
    /// # Errors
    /// As for [`abort_upload`](Self::abort_upload), but for [`Error::NoSuchUpload`].
    pub fn expire_uploads(&self, older_than: Duration) -> Result<u64> {
        let engine = self.engine()?;
        let going = Going::until(&engine.closing);
        let mut expired = 0;
        let done = end::expire(&engine, older_than, &going).map(|number| expired = number);
        going.conclude(done)?;
        self.handle.shared.notice_work(&engine);
        Ok(expired)
    }
}
