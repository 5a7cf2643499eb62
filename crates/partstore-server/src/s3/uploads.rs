//! Multipart uploads: created, filled, completed, aborted.

use partstore::{
    ChecksumAlgorithm, CompleteOptions, CompletedPart, Numbering, ObjectETag, Upload, UploadOptions,
};
use s3s::dto::{
    AbortMultipartUploadInput, AbortMultipartUploadOutput, ChecksumAlgorithm as Name, ChecksumType,
    CompleteMultipartUploadInput, CompleteMultipartUploadOutput, CompletedPart as Line,
    CreateMultipartUploadInput, CreateMultipartUploadOutput, ETag, UploadPartInput,
    UploadPartOutput,
};
use s3s::{S3ErrorCode, S3Request, S3Response, S3Result};

use super::body::{self, blocking};
use super::checksums::{self, Named, with_checksums};
use super::conditions::{etag, on_write};
use super::objects::number;
use super::{Objects, error, headers, key, refused};

/// The smallest part but the last, bytes.
const MIN_PART: u64 = 5 << 20;

/// The upload of a request.
pub fn upload(bucket: &str, name: &str, id: &str) -> S3Result<Upload> {
    Upload::parse(key(bucket, name), id).map_err(error::of)
}

pub async fn create_multipart_upload(
    objects: &Objects,
    request: S3Request<CreateMultipartUploadInput>,
) -> S3Result<S3Response<CreateMultipartUploadOutput>> {
    let input = request.input;
    refused::check(&request.headers)?;
    let mut options = UploadOptions::new().metadata(headers::kept(&request.headers)?);
    let mut kind = None;
    if let Some(name) = &input.checksum_algorithm {
        let algorithm = checksums::algorithm(name.as_str())?;
        let asked = input.checksum_type.as_ref().map(ChecksumType::as_str);
        let (is_composite, text) = kind_of(algorithm, asked)?;
        options = if is_composite {
            options.composite(algorithm)
        } else {
            options.checksum(algorithm)
        };
        kind = Some(ChecksumType::from_static(text));
    }
    let (store, name) = (objects.store.clone(), key(&input.bucket, &input.key));
    let upload = blocking(&store, move |store| {
        let upload = store.initiate_upload_with(name, options);
        upload.map_err(error::of)
    })
    .await?;
    Ok(S3Response::new(CreateMultipartUploadOutput {
        bucket: Some(input.bucket),
        key: Some(input.key),
        checksum_algorithm: input.checksum_algorithm,
        checksum_type: kind,
        upload_id: Some(upload.id().to_string()),
        ..CreateMultipartUploadOutput::default()
    }))
}

/// Whether the object gets the checksum of its parts' checksums, and how the protocol calls it.
fn kind_of(algorithm: ChecksumAlgorithm, asked: Option<&str>) -> S3Result<(bool, &'static str)> {
    let composite = (true, ChecksumType::COMPOSITE);
    let full = (false, ChecksumType::FULL_OBJECT);
    let refused = |kind: &str| {
        let message = format!("the checksum type {kind} is not there for {algorithm}");
        error::new("InvalidRequest", message)
    };
    match asked {
        None if algorithm == ChecksumAlgorithm::Crc64Nvme => Ok(full),
        None => Ok(composite),
        Some(kind) if kind == ChecksumType::COMPOSITE => {
            let has_none = algorithm == ChecksumAlgorithm::Crc64Nvme;
            (!has_none)
                .then_some(composite)
                .ok_or_else(|| refused(kind))
        }
        Some(kind) if kind == ChecksumType::FULL_OBJECT => {
            let combines = algorithm.combines();
            combines.then_some(full).ok_or_else(|| refused(kind))
        }
        Some(kind) => Err(refused(kind)),
    }
}

pub async fn upload_part(
    objects: &Objects,
    request: S3Request<UploadPartInput>,
) -> S3Result<S3Response<UploadPartOutput>> {
    let input = request.input;
    refused::check(&request.headers)?;
    let upload = upload(&input.bucket, &input.key, &input.upload_id)?;
    let number = number(input.part_number)?;
    let declared = body::declared(&request.headers)?;
    let store = objects.store.clone();
    let writer = store.part_writer(&upload, number, declared).await;
    let received = (input.body, request.trailing_headers);
    let part = body::store(received, writer.map_err(error::of)?, objects.patience).await?;
    let named = Named::of(&part.checksums);
    Ok(S3Response::new(with_checksums!(
        named,
        UploadPartOutput {
            e_tag: Some(etag(ObjectETag::from(part.etag))),
            ..UploadPartOutput::default()
        }
    )))
}

fn line(line: &Line) -> S3Result<CompletedPart> {
    let text = line.e_tag.as_ref().map_or("", ETag::value);
    let number = line.part_number.map(|number| number.to_string());
    let parsed = CompletedPart::parse(&number.unwrap_or_default(), text);
    let mut parsed = parsed.map_err(error::of)?;
    let named = Named {
        crc32: line.checksum_crc32.clone(),
        crc32c: line.checksum_crc32c.clone(),
        crc64nvme: line.checksum_crc64nvme.clone(),
        sha1: line.checksum_sha1.clone(),
        sha256: line.checksum_sha256.clone(),
    };
    for checksum in named.parsed()?.iter() {
        parsed = parsed.checksum(checksum);
    }
    Ok(parsed)
}

pub async fn complete_multipart_upload(
    objects: &Objects,
    request: S3Request<CompleteMultipartUploadInput>,
) -> S3Result<S3Response<CompleteMultipartUploadOutput>> {
    let input = request.input;
    let upload = upload(&input.bucket, &input.key, &input.upload_id)?;
    let lines = input.multipart_upload.and_then(|list| list.parts);
    let lines = lines.unwrap_or_default();
    let list = lines.iter().map(line).collect::<S3Result<Vec<_>>>()?;
    let declared = checksums::declared(&request.headers)?;
    let is_composite = |kind: &ChecksumType| kind.as_str() == ChecksumType::COMPOSITE;
    let composite =
        input.checksum_type.as_ref().is_some_and(is_composite) || is_numbered(&request.headers);
    let store = objects.store.clone();
    let object = blocking(&store, move |store| {
        let conditions = (input.if_match.as_ref(), input.if_none_match.as_ref());
        let condition = on_write(store, upload.full_key(), conditions)?;
        let mut options = CompleteOptions::new()
            .make_current(condition)
            .numbering(Numbering::Ascending)
            .min_part_size(MIN_PART);
        for checksum in declared.iter() {
            options = if composite {
                options.composite(checksum)
            } else {
                options.checksum(checksum)
            };
        }
        if let Some(size) = input.mpu_object_size {
            options = options.size(u64::try_from(size).unwrap_or(0));
        }
        let object = store.complete_upload_with(&upload, &list, &options);
        object.map_err(error::of).map_err(|refused| {
            if *refused.code() == S3ErrorCode::IncompleteBody {
                let message = "the parts do not have as many bytes as x-amz-mp-object-size says";
                return error::new("InvalidRequest", message);
            }
            refused
        })
    })
    .await?;
    let named = Named::of_object(&object);
    Ok(S3Response::new(with_checksums!(
        named,
        CompleteMultipartUploadOutput {
            location: Some(format!("/{}/{}", input.bucket, input.key)),
            bucket: Some(input.bucket),
            key: Some(input.key),
            e_tag: Some(etag(object.etag)),
            checksum_type: Some(checksums::type_of(&object)),
            ..CompleteMultipartUploadOutput::default()
        }
    )))
}

/// A composite checksum has the number of parts behind it.
fn is_numbered(headers: &hyper::HeaderMap) -> bool {
    headers.iter().any(|(name, value)| {
        name.as_str().starts_with("x-amz-checksum-")
            && name != "x-amz-checksum-type"
            && value.as_bytes().contains(&b'-')
    })
}

pub async fn abort_multipart_upload(
    objects: &Objects,
    request: S3Request<AbortMultipartUploadInput>,
) -> S3Result<S3Response<AbortMultipartUploadOutput>> {
    let input = request.input;
    let upload = upload(&input.bucket, &input.key, &input.upload_id)?;
    let store = objects.store.clone();
    blocking(&store, move |store| {
        store.abort_upload(&upload).map_err(error::of)
    })
    .await?;
    Ok(S3Response::new(AbortMultipartUploadOutput::default()))
}

/// The first algorithm that an upload asked for, as the protocol calls it, and the type of its checksums.
pub fn asked_for(info: &partstore::UploadInfo) -> (Option<Name>, Option<ChecksumType>) {
    let first = info.checksums.first();
    let name = first.map(|algorithm| Name::from(algorithm.name().to_owned()));
    let kind = first.map(|algorithm| {
        let is_composite = info.composite.contains(algorithm);
        ChecksumType::from_static(if is_composite {
            ChecksumType::COMPOSITE
        } else {
            ChecksumType::FULL_OBJECT
        })
    });
    (name, kind)
}
