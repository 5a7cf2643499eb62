//! Copies: of objects, by references, and of objects or ranges into parts.

use std::io::{Read, Seek, SeekFrom};
use std::time::SystemTime;

use hyper::HeaderMap;
use hyper::header::{HeaderName, IF_MATCH, IF_NONE_MATCH};
use partstore::{Key, Object, ObjectETag, ObjectOptions, ObjectReader, PartOptions, PartStore};
use s3s::dto::{
    CopyObjectInput, CopyObjectOutput, CopyObjectResult, CopyPartResult, CopySource, ETagCondition,
    MetadataDirective, Timestamp, UploadPartCopyInput, UploadPartCopyOutput,
};
use s3s::{S3Request, S3Response, S3Result};

use super::body::blocking;
use super::checksums::{self, Named, with_checksums};
use super::conditions::{OnRead, etag, on_write};
use super::objects::number;
use super::uploads::upload;
use super::{Objects, error, headers, key, refused};

fn source_of(source: &CopySource) -> S3Result<Key> {
    match source {
        CopySource::Bucket {
            bucket,
            key: name,
            version_id,
        } => match version_id.as_deref() {
            None | Some("" | "null") => Ok(key(bucket, name)),
            Some(_) => Err(error::new("NoSuchVersion", "objects have no versions")),
        },
        _ => Err(error::not_implemented("an access point")),
    }
}

pub async fn copy_object(
    objects: &Objects,
    request: S3Request<CopyObjectInput>,
) -> S3Result<S3Response<CopyObjectOutput>> {
    let input = request.input;
    refused::check(&request.headers)?;
    let source = source_of(&input.copy_source)?;
    let target = key(&input.bucket, &input.key);
    let directive = input.metadata_directive.as_ref();
    let replaces = match directive.map(MetadataDirective::as_str) {
        None | Some(MetadataDirective::COPY) => false,
        Some(MetadataDirective::REPLACE) => true,
        Some(_) => return Err(error::invalid("the metadata directive is COPY or REPLACE")),
    };
    if source == target && !replaces && input.storage_class.is_none() {
        let message = "a copy onto itself must change the metadata";
        return Err(error::new("InvalidRequest", message));
    }
    let metadata = replaces
        .then(|| headers::kept(&request.headers))
        .transpose()?;
    let algorithm = input.checksum_algorithm.as_ref();
    let algorithm = algorithm
        .map(|name| checksums::algorithm(name.as_str()))
        .transpose()?;
    let store = objects.store.clone();
    let if_match = condition_in(&request.headers, &IF_MATCH)?;
    let if_none_match = condition_in(&request.headers, &IF_NONE_MATCH)?;
    let object = blocking(&store, move |store| {
        let conditions = OnRead {
            matching: input.copy_source_if_match.as_ref(),
            not_matching: input.copy_source_if_none_match.as_ref(),
            modified_since: input.copy_source_if_modified_since.as_ref(),
            unmodified_since: input.copy_source_if_unmodified_since.as_ref(),
        };
        let reader = open(store, source, &conditions)?;
        let condition = on_write(store, &target, (if_match.as_ref(), if_none_match.as_ref()))?;
        let mut options = ObjectOptions::new().whole_etag().only(condition);
        let source = reader.object();
        let lacks = |algorithm| source.checksums.get(algorithm).is_none();
        let Some(computed) = algorithm.filter(|algorithm| lacks(*algorithm)) else {
            if let Some(metadata) = metadata {
                options = options.metadata(metadata);
            }
            let copied = store.copy_object(&reader, target, &options);
            return copied.map_err(error::of);
        };
        // Only the bytes tell a checksum that nobody has asked for before.
        let body = PartOptions::new().content_length(source.size);
        let metadata = metadata.unwrap_or_else(|| source.metadata.clone());
        let options = options.metadata(metadata).body(body.compute(computed));
        let copied = store.put_object_from(target, reader, options);
        copied.map_err(error::of)
    })
    .await?;
    Ok(S3Response::new(CopyObjectOutput {
        copy_object_result: Some(copied(&object)),
        ..CopyObjectOutput::default()
    }))
}

/// A condition on the target, which `s3s` does not read.
fn condition_in(headers: &HeaderMap, name: &HeaderName) -> S3Result<Option<ETagCondition>> {
    let Some(value) = headers.get(name) else {
        return Ok(None);
    };
    let parsed = ETagCondition::parse_http_header(value.as_bytes());
    let wrong = |_| error::invalid(format!("{name} is not an ETag"));
    parsed.map(Some).map_err(wrong)
}

/// Opens a source whose conditions hold.
fn open(store: &PartStore, source: Key, conditions: &OnRead<'_>) -> S3Result<ObjectReader> {
    let reader = store.open_key(source).map_err(error::of)?;
    conditions.check(reader.object()).map_err(no_304)?;
    Ok(reader)
}

/// A condition on a source that does not hold is a failure, whichever it is.
fn no_304(refused: s3s::S3Error) -> s3s::S3Error {
    match refused.status_code() {
        Some(status) if status == hyper::StatusCode::NOT_MODIFIED => error::new(
            "PreconditionFailed",
            "a condition on the source does not hold",
        ),
        _ => refused,
    }
}

fn copied(object: &Object) -> CopyObjectResult {
    let named = Named::of_object(object);
    with_checksums!(
        named,
        CopyObjectResult {
            checksum_type: Some(checksums::type_of(object)),
            e_tag: Some(etag(object.etag)),
            last_modified: Some(Timestamp::from(object.modified_at)),
        }
    )
}

pub async fn upload_part_copy(
    objects: &Objects,
    request: S3Request<UploadPartCopyInput>,
) -> S3Result<S3Response<UploadPartCopyOutput>> {
    let input = request.input;
    refused::check(&request.headers)?;
    let source = source_of(&input.copy_source)?;
    let upload = upload(&input.bucket, &input.key, &input.upload_id)?;
    let number = number(input.part_number)?;
    let store = objects.store.clone();
    let part = blocking(&store, move |store| {
        let conditions = OnRead {
            matching: input.copy_source_if_match.as_ref(),
            not_matching: input.copy_source_if_none_match.as_ref(),
            modified_since: input.copy_source_if_modified_since.as_ref(),
            unmodified_since: input.copy_source_if_unmodified_since.as_ref(),
        };
        let mut reader = open(store, source, &conditions)?;
        let range = range_of(input.copy_source_range.as_deref(), reader.object().size)?;
        // A range that is one part of the source needs no bytes moved.
        if let Some(whole) = part_at(&reader, &range)? {
            let source = reader.part(whole).map_err(error::of)?;
            return store.copy_part(&source, &upload, number).map_err(error::of);
        }
        let len = range.end - range.start;
        let seeked = reader.seek(SeekFrom::Start(range.start));
        seeked.map_err(|error| error::new("InternalError", error.to_string()))?;
        let options = PartOptions::new().content_length(len);
        let bytes = reader.take(len);
        let copied = store.put_part_from(&upload, number, bytes, options);
        copied.map_err(error::of)
    })
    .await?;
    let named = Named::of(&part.checksums);
    Ok(S3Response::new(UploadPartCopyOutput {
        copy_part_result: Some(with_checksums!(
            named,
            CopyPartResult {
                e_tag: Some(etag(ObjectETag::from(part.etag))),
                last_modified: Some(Timestamp::from(SystemTime::now())),
            }
        )),
        ..UploadPartCopyOutput::default()
    }))
}

/// `bytes=FIRST-LAST`, both in the object.
fn range_of(text: Option<&str>, size: u64) -> S3Result<std::ops::Range<u64>> {
    let Some(text) = text else { return Ok(0..size) };
    let parsed = text.strip_prefix("bytes=").and_then(|range| {
        let (first, last) = range.split_once('-')?;
        Some((first.parse::<u64>().ok()?, last.parse::<u64>().ok()?))
    });
    match parsed {
        Some((first, last)) if first <= last && last < size => Ok(first..last + 1),
        Some((first, last)) if first <= last => {
            let message = format!("the source has {size} bytes");
            Err(error::new("InvalidRange", message))
        }
        _ => Err(error::invalid(
            "x-amz-copy-source-range is bytes=FIRST-LAST",
        )),
    }
}

/// The part that is exactly this range.
fn part_at(
    reader: &ObjectReader,
    range: &std::ops::Range<u64>,
) -> S3Result<Option<partstore::PartNumber>> {
    let first = reader.part_at(range.start).map_err(error::of)?;
    let same = first.filter(|placed| {
        placed.offset == range.start && placed.offset + placed.part.size == range.end
    });
    Ok(same.map(|placed| placed.part.number))
}
