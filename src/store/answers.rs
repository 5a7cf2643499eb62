//! Turns rows into the public types.

use super::engine::Engine;
use crate::format::record::{Completion, PartRecord, UploadRecord, UploadState};
use crate::{Object, ObjectETag, Part, PartNumber, Result, Upload, UploadInfo, clock};

pub(super) fn part(number: PartNumber, record: &PartRecord) -> Part {
    Part {
        number,
        size: record.size,
        etag: record.etag,
        content: record.content,
        crc32: record.crc32,
        crc64: record.crc64,
        stored_at: clock::time_of(record.stored_ms),
    }
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
    Ok(UploadInfo {
        upload: upload.clone(),
        initiated_at: clock::time_of(record.initiated_ms),
        metadata: metadata.ok_or_else(|| upload.not_found())?,
    })
}

/// The object of a completed upload.
///
/// # Errors
/// [`Error::NoSuchObject`](crate::Error::NoSuchObject) if the upload is open, or was removed in the
/// meantime.
pub(super) fn object(engine: &Engine, upload: &Upload, record: &UploadRecord) -> Result<Object> {
    let UploadState::Completed(done) = &record.state else {
        return Err(upload.object_not_found());
    };
    let metadata = engine.meta.metadata(upload.id(), record)?;
    let metadata = metadata.ok_or_else(|| upload.object_not_found())?;
    Ok(object_with(upload, record, done, metadata))
}

/// The object that this completion makes of an upload.
pub(super) fn object_with(
    upload: &Upload,
    record: &UploadRecord,
    done: &Completion,
    metadata: Vec<u8>,
) -> Object {
    Object {
        upload: upload.clone(),
        etag: ObjectETag {
            md5: done.md5,
            parts: done.parts,
        },
        size: done.size,
        parts: done.parts,
        crc64: done.crc64,
        initiated_at: clock::time_of(record.initiated_ms),
        completed_at: clock::time_of(done.completed_ms),
        metadata,
    }
}
