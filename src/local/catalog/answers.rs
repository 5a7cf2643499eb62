//! Turns rows into the public types.

use super::super::engine::Engine;
use super::super::format::record::{Completion, KeyRecord, PartRecord, UploadRecord, UploadState};
use crate::backend::{NewUpload, Times};
use crate::{KeyEntry, Object, Part, PartNumber, Result, Upload, UploadInfo, clock};

pub(super) fn part(number: PartNumber, record: &PartRecord) -> Part {
    record.row().part(number, clock::time_of(record.stored_ms))
}

/// An open upload.
///
/// # Errors
/// [`Error::NoSuchUpload`](crate::Error::NoSuchUpload) if it was removed in the meantime.
pub(super) fn upload(
    engine: &Engine,
    upload: &Upload,
    record: &UploadRecord,
) -> Result<UploadInfo> {
    let metadata = engine.meta.metadata(upload.id(), record)?;
    let new = NewUpload {
        metadata: &metadata.ok_or_else(|| upload.not_found())?,
        wanted: record.wanted,
        composite: record.composite,
    };
    Ok(new.info(upload, clock::time_of(record.initiated_ms)))
}

/// The object of a completed upload.
///
/// # Errors
/// [`Error::NoSuchObject`](crate::Error::NoSuchObject) if the upload does not exist under this key, or is
/// open.
pub(super) fn object(engine: &Engine, upload: &Upload) -> Result<Object> {
    // The metadata of an object can be replaced. Under the lock, its rows and the object's belong together.
    let _whole = engine.locks.lock(upload.id())?;
    locked_object(engine, upload)
}

/// The same, for a listing that has read the object's row. An object without metadata is listed as it was
/// then, so a listing never misses both an object and its successor.
pub(super) fn listed_object(
    engine: &Engine,
    upload: &Upload,
    record: &UploadRecord,
) -> Result<Object> {
    match &record.state {
        UploadState::Completed(done) if record.metadata_len == 0 => {
            Ok(object_with(upload, record.initiated_ms, done, Vec::new()))
        }
        _ => object(engine, upload),
    }
}

/// The same, for a caller that holds the object's lock.
pub(super) fn locked_object(engine: &Engine, upload: &Upload) -> Result<Object> {
    object_of(engine, upload, &completed(engine, upload)?)
}

/// The same, for a caller that has the object's row as well.
pub(super) fn object_of(
    engine: &Engine,
    upload: &Upload,
    (record, done): &(UploadRecord, Completion),
) -> Result<Object> {
    let metadata = engine.meta.metadata(upload.id(), record)?;
    let metadata = metadata.ok_or_else(|| upload.object_not_found())?;
    Ok(object_with(upload, record.initiated_ms, done, metadata))
}

/// The row of an object.
///
/// # Errors
/// [`Error::NoSuchObject`](crate::Error::NoSuchObject).
pub(super) fn completed(engine: &Engine, upload: &Upload) -> Result<(UploadRecord, Completion)> {
    let record = engine.record(upload)?;
    let found = record.and_then(|record| match &record.state {
        UploadState::Completed(done) => Some((record.clone(), (**done).clone())),
        UploadState::Open => None,
    });
    found.ok_or_else(|| upload.object_not_found())
}

/// The object that this completion makes of an upload.
pub(super) fn object_with(
    upload: &Upload,
    initiated_ms: u64,
    done: &Completion,
    metadata: Vec<u8>,
) -> Object {
    let times = Times {
        initiated_at: clock::time_of(initiated_ms),
        completed_at: clock::time_of(done.completed_ms),
        modified_at: clock::time_of(done.modified_ms),
    };
    done.row().object(upload, times, metadata)
}

/// What a listing says of a key.
pub(super) fn key_entry(key: &str, current: &KeyRecord) -> KeyEntry {
    KeyEntry {
        key: key.to_owned(),
        id: current.id,
        size: current.size,
        etag: current.etag,
        modified_at: clock::time_of(current.modified_ms),
        checksums: current.checksums.iter().collect(),
        composite: current.composite.iter().collect(),
    }
}
