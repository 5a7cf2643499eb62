//! Uploads: from initiation to completion or abort.

use std::time::Duration;

#[cfg(doc)]
use partstore::PartStore;
use partstore::{
    CompleteOptions, CompletedPart, Key, ListParts, ListUploads, Object, Part, PartNumber,
    PartPage, Result, Upload, UploadInfo, UploadOptions, UploadPage,
};

use crate::{AsyncPartReader, AsyncPartStore};

impl AsyncPartStore {
    /// Initiates an upload without metadata.
    ///
    /// # Errors
    /// As for [`PartStore::initiate_upload`].
    pub async fn initiate_upload(&self, key: impl Into<Key>) -> Result<Upload> {
        let key = key.into();
        self.run(move |store| store.initiate_upload(key)).await
    }

    /// Initiates an upload as the options say: the metadata that the object will have, or [`UploadOptions`].
    ///
    /// # Errors
    /// As for [`PartStore::initiate_upload_with`].
    pub async fn initiate_upload_with(
        &self,
        key: impl Into<Key>,
        options: impl Into<UploadOptions>,
    ) -> Result<Upload> {
        let (key, options) = (key.into(), options.into());
        self.run(move |store| store.initiate_upload_with(key, options))
            .await
    }

    /// Returns an open upload: when it was initiated, and its metadata.
    ///
    /// # Errors
    /// As for [`PartStore::upload`].
    pub async fn upload(&self, upload: &Upload) -> Result<UploadInfo> {
        let upload = upload.clone();
        self.run(move |store| store.upload(&upload)).await
    }

    /// Completes an upload: the listed parts, in their order, become an object.
    ///
    /// # Errors
    /// As for [`PartStore::complete_upload`].
    pub async fn complete_upload(
        &self,
        upload: &Upload,
        parts: impl Into<Vec<CompletedPart>>,
    ) -> Result<Object> {
        let (upload, parts) = (upload.clone(), parts.into());
        self.run(move |store| store.complete_upload(&upload, &parts))
            .await
    }

    /// Completes an upload as the options say.
    ///
    /// # Errors
    /// As for [`PartStore::complete_upload_with`].
    pub async fn complete_upload_with(
        &self,
        upload: &Upload,
        parts: impl Into<Vec<CompletedPart>>,
        options: CompleteOptions,
    ) -> Result<Object> {
        let (upload, parts) = (upload.clone(), parts.into());
        self.run(move |store| store.complete_upload_with(&upload, &parts, &options))
            .await
    }

    /// Completes an upload, and removes the object that it replaces, in one commit.
    ///
    /// # Errors
    /// As for [`PartStore::complete_upload_replacing`].
    pub async fn complete_upload_replacing(
        &self,
        upload: &Upload,
        parts: impl Into<Vec<CompletedPart>>,
        replaced: &Upload,
    ) -> Result<Object> {
        let (upload, parts, replaced) = (upload.clone(), parts.into(), replaced.clone());
        self.run(move |store| store.complete_upload_replacing(&upload, &parts, &replaced))
            .await
    }

    /// Aborts an open upload, and removes its parts.
    ///
    /// # Errors
    /// As for [`PartStore::abort_upload`].
    pub async fn abort_upload(&self, upload: &Upload) -> Result<()> {
        let upload = upload.clone();
        self.run(move |store| store.abort_upload(&upload)).await
    }

    /// Aborts all uploads that were initiated longer ago than `older_than`. Returns their number.
    ///
    /// # Errors
    /// As for [`PartStore::expire_uploads`].
    pub async fn expire_uploads(&self, older_than: Duration) -> Result<u64> {
        self.run(move |store| store.expire_uploads(older_than))
            .await
    }

    /// Does what [`expire_uploads`](Self::expire_uploads) does, for the uploads whose keys begin with `prefix`.
    ///
    /// # Errors
    /// As for [`PartStore::expire_uploads_under`].
    pub async fn expire_uploads_under(
        &self,
        prefix: impl Into<Key>,
        older_than: Duration,
    ) -> Result<u64> {
        let prefix = prefix.into();
        self.run(move |store| store.expire_uploads_under(prefix, older_than))
            .await
    }

    /// Gives an open upload another key. Returns its new name.
    ///
    /// # Errors
    /// As for [`PartStore::rename_upload`].
    pub async fn rename_upload(&self, upload: &Upload, key: impl Into<Key>) -> Result<Upload> {
        let (upload, key) = (upload.clone(), key.into());
        self.run(move |store| store.rename_upload(&upload, key))
            .await
    }

    /// Lists a page of the parts of an open upload.
    ///
    /// # Errors
    /// As for [`PartStore::list_parts`].
    pub async fn list_parts(&self, upload: &Upload, query: ListParts) -> Result<PartPage> {
        let upload = upload.clone();
        self.run(move |store| store.list_parts(&upload, &query))
            .await
    }

    /// Lists a page of the open uploads.
    ///
    /// # Errors
    /// As for [`PartStore::list_uploads`].
    pub async fn list_uploads(&self, query: ListUploads) -> Result<UploadPage> {
        self.run(move |store| store.list_uploads(&query)).await
    }

    /// Puts the part that `source` reads under another number or in another upload. No byte is copied.
    ///
    /// # Errors
    /// As for [`PartStore::copy_part`].
    pub async fn copy_part(
        &self,
        source: AsyncPartReader,
        upload: &Upload,
        number: PartNumber,
    ) -> Result<Part> {
        let (source, upload) = (source.into_held(), upload.clone());
        self.run(move |store| {
            let source = source.into_inner();
            store.copy_part(&source, &upload, number)
        })
        .await
    }
}
