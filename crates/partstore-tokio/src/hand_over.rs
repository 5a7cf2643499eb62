//! Hand-over: bytes go from and to files without a stream, and without a copy where the file system shares bytes.

use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::sync::Arc;

#[cfg(doc)]
use partstore::PartStore;
use partstore::{
    ContentHash, ExportOptions, ExportReport, Part, PartNumber, PartOptions, Result, Upload,
};

use crate::AsyncPartStore;
use crate::upkeep::{silent, telling};

impl AsyncPartStore {
    /// Makes a file of an object, durably. If the future is dropped, the export ends early, and there is no file.
    ///
    /// # Errors
    /// As for [`PartStore::export_object`].
    pub async fn export_object(
        &self,
        object: &Upload,
        path: impl Into<PathBuf>,
        options: ExportOptions,
    ) -> Result<ExportReport> {
        let awaited = Arc::new(());
        let progress = telling(&awaited, silent);
        let (object, path) = (object.clone(), path.into());
        self.run(move |store| store.open_object(&object)?.export(path, options, progress))
            .await
    }

    /// Makes a file of a part of an open upload, durably. Once it has begun, it goes on if the future is dropped.
    ///
    /// # Errors
    /// As for [`PartStore::export_part`].
    pub async fn export_part(
        &self,
        upload: &Upload,
        number: PartNumber,
        path: impl Into<PathBuf>,
        options: ExportOptions,
    ) -> Result<ExportReport> {
        let (upload, path) = (upload.clone(), path.into());
        self.run(move |store| store.export_part(&upload, number, path, options))
            .await
    }

    /// Puts a part of all bytes of a file. Once it has begun, it goes on if the future is dropped.
    ///
    /// # Errors
    /// As for [`PartStore::put_part_from_file`].
    pub async fn put_part_from_file(
        &self,
        upload: &Upload,
        number: PartNumber,
        file: impl Into<OwnedFd>,
        options: PartOptions,
    ) -> Result<Part> {
        let (upload, file) = (upload.clone(), file.into());
        self.run(move |store| store.put_part_from_file(&upload, number, file, options))
            .await
    }

    /// Puts a part of bytes that are stored already, by their BLAKE3 hash. `None` if they are not: then the caller sends
    /// them.
    ///
    /// # Errors
    /// As for [`PartStore::put_part_by_hash`].
    pub async fn put_part_by_hash(
        &self,
        upload: &Upload,
        number: PartNumber,
        content: ContentHash,
        options: PartOptions,
    ) -> Result<Option<Part>> {
        let upload = upload.clone();
        self.run(move |store| store.put_part_by_hash(&upload, number, &content, options))
            .await
    }
}
