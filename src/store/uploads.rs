//! Uploads: from their initiation to their completion, abort or expiry.

use std::collections::HashSet;
use std::time::Duration;

use super::{PartStore, pages};
use crate::backend::{Completing, Names, NewUpload};
use crate::going::Going;
use crate::spans::span;
use crate::{
    CompleteOptions, CompletedPart, Key, ListUploads, Object, Result, Upload, UploadId, UploadInfo,
    UploadOptions, UploadPage, rules,
};
#[cfg(doc)]
use crate::{Error, Options};

impl PartStore {
    /// Initiates an upload without metadata. See
    /// [`initiate_upload_with`](Self::initiate_upload_with).
    ///
    /// # Errors
    /// As for [`initiate_upload_with`](Self::initiate_upload_with).
    pub fn initiate_upload(&self, key: impl Into<Key>) -> Result<Upload> {
        self.initiate_upload_with(key, UploadOptions::new())
    }

    /// Initiates an upload under `key`. The options are the metadata that the object will have, or
    /// [`UploadOptions`].
    ///
    /// On `Ok` the upload is durable. A key may have any number of uploads at the
    /// same time.
    ///
    /// # Cost
    /// One sync of the journal, shared with concurrent calls.
    ///
    /// # Errors
    /// - [`Error::InvalidArgument`]: the key is empty or holds a NUL, or a CRC-64 is to be
    ///   [composite](UploadOptions::composite).
    /// - [`Error::NoSuchNamespace`]: the namespace does not exist.
    /// - [`Error::KeyTooLong`]: the key is longer than [`Options::max_key_len`].
    /// - [`Error::MetadataTooLarge`]: the metadata is longer than [`Options::max_metadata_len`].
    /// - [`Error::StorageFull`], [`Error::Poisoned`], [`Error::Damaged`], [`Error::Closed`]: the disk is
    ///   full, or the store has stopped, is damaged or closed.
    /// - [`Error::NoRandomness`]: the operating system gave no random bytes.
    /// - [`Error::Index`], [`Error::Io`]: the index or a system call failed.
    pub fn initiate_upload_with(
        &self,
        key: impl Into<Key>,
        options: impl Into<UploadOptions>,
    ) -> Result<Upload> {
        let (key, options) = (key.into(), options.into());
        let _span = span!(DEBUG, "initiate", key = %key);
        self.change(|session| {
            key.check(session.options.max_key_len)?;
            let metadata_len = rules::metadata_len(&session.options, &options.metadata)?;
            rules::check_composite(&options)?;
            session.blobs.check_room(metadata_len.into())?;
            let new = NewUpload {
                metadata: &options.metadata,
                wanted: options.wanted,
                composite: options.composite,
            };
            session.catalog.initiate(&key, &new)
        })
    }

    /// Returns an open upload: when it was initiated, and its metadata.
    ///
    /// # Errors
    /// - [`Error::NoSuchUpload`]: the upload is not open, or has another key ([R9](crate::rules#r9)).
    /// - [`Error::Closed`]: the store is closed.
    /// - [`Error::Index`], [`Error::DamagedRow`]: the index failed, or a row of it is damaged.
    pub fn upload(&self, upload: &Upload) -> Result<UploadInfo> {
        self.session()?.catalog.upload(upload)
    }

    /// Lists a page of the open uploads, by key, then by initiation ([R32](crate::rules#r32)).
    /// [`uploads`](Self::uploads) lists all.
    ///
    /// # Errors
    /// - [`Error::InvalidArgument`]: the limit is 0, or above 1,000 with
    ///   [`PageLimit::Refuse`](crate::PageLimit::Refuse).
    /// - [`Error::Closed`]: the store is closed.
    /// - [`Error::Index`], [`Error::DamagedRow`]: the index failed, or a row of it is damaged.
    pub fn list_uploads(&self, query: &ListUploads) -> Result<UploadPage> {
        let session = self.session()?;
        let limit = rules::page_len(&session.options, "max-uploads", query.limit)?;
        session.catalog.uploads(&Names {
            namespace: &query.namespace,
            prefix: &query.prefix,
            delimiter: query.delimiter.as_deref(),
            after: query.key_marker.as_deref(),
            after_id: query.id_marker.filter(|_| query.key_marker.is_some()),
            limit,
        })
    }

    /// Lists all open uploads whose keys begin with `prefix`, by key, then by initiation. The prefix names the
    /// namespace, too, and may be empty. It fetches pages of 1,000 as the entries are asked for. After an
    /// error the iterator ends.
    ///
    /// # Errors
    /// As for [`list_uploads`](Self::list_uploads).
    pub fn uploads(&self, prefix: impl Into<Key>) -> impl Iterator<Item = Result<UploadInfo>> {
        pages::uploads(self, &prefix.into())
    }

    /// Completes an upload: the listed parts, in their order, become an object. Parts that are not listed
    /// are removed.
    ///
    /// On `Ok` the object is durable and readable. The same call again gets the same answer, from any
    /// thread and after a restart ([R25](crate::rules#r25), [R26](crate::rules#r26)). On `Err` the upload
    /// is as it was ([R27](crate::rules#r27)). Only after [`Error::Poisoned`] and [`Error::Index`] the
    /// store must be opened again to know whether the upload was completed.
    ///
    /// # Cost
    /// About a microsecond a part, whatever its size, because no byte of a part is read or moved
    /// ([R29](crate::rules#r29)). One sync of the journal.
    ///
    /// # Errors
    /// - [`Error::EmptyPartList`]: the list is empty ([R19](crate::rules#r19)).
    /// - [`Error::NoSuchUpload`]: the upload does not exist under this key, or was completed with another
    ///   list ([R9](crate::rules#r9), [R25](crate::rules#r25)).
    /// - [`Error::InvalidPartOrder`]: the numbers do not ascend ([R21](crate::rules#r21)).
    /// - [`Error::InvalidPart`]: a part was never put, has another ETag now, or does not have a checksum that
    ///   is listed for it ([R22](crate::rules#r22)).
    ///   With [`Numbering::Consecutive`](crate::Numbering::Consecutive) also: a part follows a gap
    ///   ([R23](crate::rules#r23)).
    /// - [`Error::EntityTooSmall`]: a part other than the last is below the minimum
    ///   ([R4](crate::rules#r4)).
    /// - [`Error::StorageFull`], [`Error::Poisoned`], [`Error::Damaged`], [`Error::Closed`]: the disk is
    ///   full, or the store has stopped, is damaged or closed.
    /// - [`Error::Index`], [`Error::DamagedRow`], [`Error::Io`]: the index or a system call failed.
    pub fn complete_upload(&self, upload: &Upload, parts: &[CompletedPart]) -> Result<Object> {
        self.complete_upload_with(upload, parts, &CompleteOptions::new())
    }

    /// Completes an upload as the options say. With [`make_current`](CompleteOptions::make_current) the
    /// object becomes the current one of its key, and the object before it is removed, in one commit.
    ///
    /// `Ok` and `Err` mean the same as for [`complete_upload`](Self::complete_upload). Readers of a removed
    /// object continue. Concurrent calls under one key have one order.
    ///
    /// The numbers and ETags of the list alone decide whether a completion is the same. Once the upload is
    /// completed, in whichever way, the same list again gets the same answer and changes nothing, whatever
    /// the options and the listed checksums say ([R25](crate::rules#r25), [R26](crate::rules#r26)).
    ///
    /// # Cost
    /// About a microsecond for each part of the upload ([R29](crate::rules#r29)). Each part of an object
    /// that is removed costs what [removing](Self::remove_object) it costs. One sync of the journal.
    ///
    /// # Errors
    /// As for [`complete_upload`](Self::complete_upload), and
    /// - [`Error::PreconditionFailed`], [`Error::NoSuchKey`]: the condition does not hold.
    /// - [`Error::BadDigest`]: the object has another checksum than the one that is declared.
    /// - [`Error::IncompleteBody`]: the object has another size than the one that is declared.
    /// - [`Error::InvalidArgument`]: a declared checksum is one that the object does not have.
    /// - [`Error::QuotaExceeded`]: the namespace may not have one more key.
    /// - [`Error::NoSuchObject`]: the object to be [replaced](CompleteOptions::replacing) does not exist.
    pub fn complete_upload_with(
        &self,
        upload: &Upload,
        parts: &[CompletedPart],
        options: &CompleteOptions,
    ) -> Result<Object> {
        let _span = span!(DEBUG, "complete", upload = %upload.id(), parts = parts.len());
        self.change(|session| {
            let completing = Completing::new(parts, options, &session.options)?;
            session.catalog.complete(upload, &completing)
        })
    }

    /// Completes an upload, and removes the object that it replaces, in one commit. After a crash at any
    /// moment exactly one of the two exists.
    ///
    /// `Ok` and `Err` mean the same as for [`complete_upload`](Self::complete_upload). Readers of the
    /// replaced object continue. Bytes that the new object has, too, stay.
    ///
    /// Of concurrent calls that replace one object exactly one succeeds. The others get
    /// [`Error::NoSuchObject`], and their uploads stay open. So this is a compare-and-swap of what a server
    /// believes to be current.
    ///
    /// A [listing](Self::list_objects) that is made in the meantime may show both objects. If the upload of
    /// the new one is the older one, it may also show neither.
    ///
    /// The list alone decides whether a completion is the same. Once the upload is completed, in whichever
    /// way, the same list again gets the same answer and removes nothing. It does not matter what
    /// `replaced` names, or whether that exists ([R25](crate::rules#r25), [R26](crate::rules#r26)).
    ///
    /// # Cost
    /// About a microsecond for each part of the upload ([R29](crate::rules#r29)). Each part of the replaced
    /// object costs what [removing](Self::remove_object) it costs. One sync of the journal.
    ///
    /// # Errors
    /// As for [`complete_upload`](Self::complete_upload), and, when none of those applies,
    /// [`Error::NoSuchObject`]: no object exists from `replaced` under its key. It was removed or replaced,
    /// or is an open upload, as `upload` itself is.
    pub fn complete_upload_replacing(
        &self,
        upload: &Upload,
        parts: &[CompletedPart],
        replaced: &Upload,
    ) -> Result<Object> {
        let options = CompleteOptions::new().replacing(replaced);
        self.complete_upload_with(upload, parts, &options)
    }

    /// Aborts an open upload. On `Ok` the upload and its parts are removed, durably. Bodies that are still
    /// being received get [`Error::NoSuchUpload`] when they finish ([R31](crate::rules#r31)).
    ///
    /// # Cost
    /// One sync of the journal. If the upload has more than 32 parts, their rows are read (0.5 us of a
    /// processor each) and a later sweep releases them, at 11 to 22 us each. Nobody sees them in between. The
    /// call works on a full disk.
    ///
    /// # Errors
    /// - [`Error::NoSuchUpload`]: the upload is not open, or has another key.
    /// - [`Error::Poisoned`], [`Error::Damaged`], [`Error::Closed`]: the store has stopped, is damaged or
    ///   closed.
    /// - [`Error::StorageFull`]: not even the spare journal segment has room.
    /// - [`Error::Index`], [`Error::DamagedRow`], [`Error::Io`]: the index or a system call failed.
    pub fn abort_upload(&self, upload: &Upload) -> Result<()> {
        let _span = span!(DEBUG, "abort", upload = %upload.id());
        self.change(|session| session.catalog.abort(upload))
    }

    /// Aborts all uploads that were initiated longer ago than `older_than` and are not completed. Returns
    /// their number ([R33](crate::rules#r33)).
    ///
    /// The age of an upload is its age by the host's clock, with an upper limit by a clock that nobody
    /// sets. The limit is the time that this second clock has counted since the upload was initiated. For
    /// an upload from before the store was opened, the limit is its age at that moment, plus the time
    /// since.
    ///
    /// So a clock that jumps ahead while the store is open ends no upload early. A clock that is ahead when
    /// the store is opened does. So does a clock that was behind when the upload was initiated, once the
    /// store has been opened again.
    ///
    /// # Errors
    /// As for [`abort_upload`](Self::abort_upload), without [`Error::NoSuchUpload`].
    pub fn expire_uploads(&self, older_than: Duration) -> Result<u64> {
        self.expire(older_than, &|_| true)
    }

    /// Does what [`expire_uploads`](Self::expire_uploads) does, for the uploads whose keys begin with
    /// `prefix`. It names the namespace, too, and may be empty. So a server keeps rules of its buckets. An
    /// upload that gets its key in the meantime may be left to the next call.
    ///
    /// # Cost
    /// One read of the uploads under the prefix, and one of all open uploads if there is any under it. Some
    /// 100 bytes of memory for each of the former.
    ///
    /// # Errors
    /// As for [`expire_uploads`](Self::expire_uploads).
    pub fn expire_uploads_under(
        &self,
        prefix: impl Into<Key>,
        older_than: Duration,
    ) -> Result<u64> {
        let infos = self.uploads(prefix);
        let among = infos.map(|info| Ok(info?.upload.id()));
        let among = among.collect::<Result<HashSet<_>>>()?;
        if among.is_empty() {
            return Ok(0);
        }
        self.expire(older_than, &|id| among.contains(&id))
    }

    fn expire(&self, age: Duration, is_meant: &dyn Fn(UploadId) -> bool) -> Result<u64> {
        let session = self.session()?;
        let going = Going::until(&session.closing);
        let mut expired = 0;
        let done = session
            .expire(age, is_meant, &going)
            .map(|number| expired = number);
        going.conclude(done)?;
        self.handle.shared.notice_work(&session);
        Ok(expired)
    }
}
