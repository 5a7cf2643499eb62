//! Objects: put, read, described, removed.

use std::ops::Range;

use hyper::StatusCode;
use partstore::{Error, Object, ObjectOptions, ObjectPart, ObjectReader, PartNumber};
use s3s::dto::{
    DeleteObjectInput, DeleteObjectOutput, DeleteObjectsInput, DeleteObjectsOutput, DeletedObject,
    Error as Failed, GetObjectAclInput, GetObjectAclOutput, GetObjectAttributesInput,
    GetObjectAttributesOutput, GetObjectAttributesParts, GetObjectInput, GetObjectOutput,
    GetObjectTaggingInput, GetObjectTaggingOutput, HeadObjectInput, HeadObjectOutput,
    ObjectPart as PartAnswer, PutObjectInput, PutObjectOutput, StorageClass, Timestamp,
};
use s3s::{S3Request, S3Response, S3Result};

use super::body::{self, Trailed, blocking};
use super::checksums::{self, Named, with_checksums};
use super::conditions::{OnRead, etag, on_write};
use super::{Objects, buckets, error, headers, key};

/// The most keys that one request may remove.
const MAX_DELETED: usize = 1000;
/// The longest page of parts.
const MAX_PARTS: usize = 1000;

pub async fn put_object(
    objects: &Objects,
    request: S3Request<PutObjectInput>,
) -> S3Result<S3Response<PutObjectOutput>> {
    let input = request.input;
    if input.write_offset_bytes.is_some() {
        return Err(error::not_implemented("appending to an object"));
    }
    let name = key(&input.bucket, &input.key);
    let declared = body::declared(&request.headers)?;
    let metadata = headers::kept(&request.headers)?;
    let store = objects.store.clone();
    let writer = blocking(move || {
        let conditions = (input.if_match.as_ref(), input.if_none_match.as_ref());
        let condition = on_write(&store, &name, conditions)?;
        let options = ObjectOptions::new()
            .body(declared)
            .metadata(metadata)
            .only(condition);
        store.object_writer(name, options).map_err(error::of)
    });
    let writer = Trailed {
        writer: writer.await?,
        trailer: request.trailing_headers,
    };
    let object = body::store(input.body, writer, objects.patience).await?;
    let named = Named::of(&object.checksums);
    Ok(S3Response::new(with_checksums!(
        named,
        PutObjectOutput {
            e_tag: Some(etag(object.etag)),
            checksum_type: Some(checksums::type_of(&object)),
            ..PutObjectOutput::default()
        }
    )))
}

/// What of an object a request wants.
struct Wanted {
    bytes: Range<u64>,
    /// Its checksums are those of the answer.
    part: Option<ObjectPart>,
    is_whole: bool,
}

impl Wanted {
    fn of(
        reader: &ObjectReader,
        range: Option<&s3s::dto::Range>,
        part: Option<i32>,
    ) -> S3Result<Self> {
        let size = reader.object().size;
        if let Some(number) = part {
            if range.is_some() {
                return Err(error::new(
                    "InvalidRequest",
                    "a range and a part number exclude each other",
                ));
            }
            let part = part_of(reader, number)?;
            return Ok(Self {
                bytes: part.offset..part.offset + part.part.size,
                part: Some(part),
                is_whole: false,
            });
        }
        let Some(range) = range else {
            return Ok(Self {
                bytes: 0..size,
                part: None,
                is_whole: true,
            });
        };
        let bytes = range.check(size).map_err(|_| {
            let mut refused = error::new("InvalidRange", "the range is not in the object");
            let mut headers = hyper::HeaderMap::new();
            if let Ok(value) = format!("bytes */{size}").parse() {
                headers.insert(hyper::header::CONTENT_RANGE, value);
            }
            refused.set_headers(headers);
            refused
        })?;
        Ok(Self {
            bytes,
            part: None,
            is_whole: false,
        })
    }

    fn content_range(&self, size: u64) -> Option<String> {
        // An empty part has no first byte.
        let last = self.bytes.end.checked_sub(1)?;
        (!self.is_whole && self.bytes.start <= last)
            .then(|| format!("bytes {}-{last}/{size}", self.bytes.start))
    }

    fn len(&self) -> u64 {
        self.bytes.end - self.bytes.start
    }

    /// The checksums of all that is answered. A range of bytes has none.
    fn checksums(&self, object: &Object) -> Named {
        match &self.part {
            Some(placed) => Named::of(&placed.part.checksums),
            None if self.is_whole => Named::of_object(object),
            None => Named::default(),
        }
    }
}

fn part_of(reader: &ObjectReader, number: i32) -> S3Result<ObjectPart> {
    let found = reader
        .parts()
        .iter()
        .find(|placed| i32::from(placed.part.number.get()) == number);
    // An object that was put as a whole has part 1 only.
    let missing = || {
        let mut refused = error::new("InvalidPartNumber", "the object has no such part");
        refused.set_status_code(StatusCode::RANGE_NOT_SATISFIABLE);
        refused
    };
    found.cloned().ok_or_else(missing)
}

fn parts_count(object: &Object, part: Option<i32>) -> Option<i32> {
    part.map(|_| i32::from(object.parts))
}

/// Opens the object of a request whose conditions hold.
async fn open(
    objects: &Objects,
    (bucket, name): (&str, &str),
    condition: impl FnOnce(&Object) -> S3Result<()> + Send + 'static,
) -> S3Result<ObjectReader> {
    let (store, name) = (objects.store.clone(), key(bucket, name));
    blocking(move || {
        let reader = store.open_key(name).map_err(error::of)?;
        condition(reader.object())?;
        Ok(reader)
    })
    .await
}

fn no_versions(version: Option<&str>) -> S3Result<()> {
    match version {
        None | Some("" | "null") => Ok(()),
        Some(_) => Err(error::new("NoSuchVersion", "objects have no versions")),
    }
}

pub async fn get_object(
    objects: &Objects,
    request: S3Request<GetObjectInput>,
) -> S3Result<S3Response<GetObjectOutput>> {
    let input = request.input;
    no_versions(input.version_id.as_deref())?;
    let (bucket, name) = (input.bucket.clone(), input.key.clone());
    let condition = move |object: &Object| {
        OnRead {
            matching: input.if_match.as_ref(),
            not_matching: input.if_none_match.as_ref(),
            modified_since: input.if_modified_since.as_ref(),
            unmodified_since: input.if_unmodified_since.as_ref(),
        }
        .check(object)
    };
    let reader = open(objects, (&bucket, &name), condition).await?;
    let wanted = Wanted::of(&reader, input.range.as_ref(), input.part_number)?;
    let object = reader.object().clone();
    let named = if input.checksum_mode.is_some() {
        wanted.checksums(&object)
    } else {
        Named::default()
    };
    let mut headers = headers::answered(&object.metadata);
    let instead = [
        ("cache-control", &input.response_cache_control),
        ("content-disposition", &input.response_content_disposition),
        ("content-encoding", &input.response_content_encoding),
        ("content-language", &input.response_content_language),
        ("content-type", &input.response_content_type),
    ];
    for (name, value) in instead {
        if let Some(value) = value.as_ref().and_then(|value| value.parse().ok()) {
            headers.insert(name, value);
        }
    }
    let content_range = wanted.content_range(object.size);
    let kind = named.any().then(|| checksums::type_of(&object));
    let output = with_checksums!(
        named,
        GetObjectOutput {
            accept_ranges: Some("bytes".to_owned()),
            content_length: i64::try_from(wanted.len()).ok(),
            content_range: content_range.clone(),
            e_tag: Some(etag(object.etag)),
            last_modified: Some(Timestamp::from(object.modified_at)),
            parts_count: parts_count(&object, input.part_number),
            checksum_type: kind,
            body: Some(body::read(reader, wanted.bytes).await?),
            ..GetObjectOutput::default()
        }
    );
    let mut response = S3Response::new(output);
    response.headers = headers;
    response.status = content_range.map(|_| StatusCode::PARTIAL_CONTENT);
    Ok(response)
}

pub async fn head_object(
    objects: &Objects,
    request: S3Request<HeadObjectInput>,
) -> S3Result<S3Response<HeadObjectOutput>> {
    let input = request.input;
    no_versions(input.version_id.as_deref())?;
    let (bucket, name) = (input.bucket.clone(), input.key.clone());
    let condition = move |object: &Object| {
        OnRead {
            matching: input.if_match.as_ref(),
            not_matching: input.if_none_match.as_ref(),
            modified_since: input.if_modified_since.as_ref(),
            unmodified_since: input.if_unmodified_since.as_ref(),
        }
        .check(object)
    };
    let reader = open(objects, (&bucket, &name), condition).await?;
    let wanted = Wanted::of(&reader, input.range.as_ref(), input.part_number)?;
    let object = reader.object();
    let named = if input.checksum_mode.is_some() {
        wanted.checksums(object)
    } else {
        Named::default()
    };
    let content_range = wanted.content_range(object.size);
    let kind = named.any().then(|| checksums::type_of(object));
    let output = with_checksums!(
        named,
        HeadObjectOutput {
            accept_ranges: Some("bytes".to_owned()),
            content_length: i64::try_from(wanted.len()).ok(),
            content_range: content_range.clone(),
            e_tag: Some(etag(object.etag)),
            last_modified: Some(Timestamp::from(object.modified_at)),
            parts_count: parts_count(object, input.part_number),
            checksum_type: kind,
            ..HeadObjectOutput::default()
        }
    );
    let mut response = S3Response::new(output);
    response.headers = headers::answered(&object.metadata);
    response.status = content_range.map(|_| StatusCode::PARTIAL_CONTENT);
    Ok(response)
}

pub async fn delete_object(
    objects: &Objects,
    request: S3Request<DeleteObjectInput>,
) -> S3Result<S3Response<DeleteObjectOutput>> {
    let input = request.input;
    no_versions(input.version_id.as_deref())?;
    let (store, name) = (objects.store.clone(), key(&input.bucket, &input.key));
    blocking(move || {
        let condition = on_write(&store, &name, (input.if_match.as_ref(), None))?;
        store.remove_key(name, condition).map_err(error::of)
    })
    .await?;
    Ok(S3Response::new(DeleteObjectOutput::default()))
}

pub async fn delete_objects(
    objects: &Objects,
    request: S3Request<DeleteObjectsInput>,
) -> S3Result<S3Response<DeleteObjectsOutput>> {
    let input = request.input;
    buckets::require(objects, &input.bucket).await?;
    if input.delete.objects.len() > MAX_DELETED {
        let message = format!("at most {MAX_DELETED} keys are removed by one request");
        return Err(error::new("MalformedXML", message));
    }
    let store = objects.store.clone();
    let (deleted, errors) = blocking(move || {
        let (mut deleted, mut errors) = (Vec::new(), Vec::new());
        for one in input.delete.objects {
            let condition = one.e_tag.map(s3s::dto::ETagCondition::ETag);
            let name = key(&input.bucket, &one.key);
            let removed = no_versions(one.version_id.as_deref())
                .and_then(|()| on_write(&store, &name, (condition.as_ref(), None)))
                .and_then(|condition| {
                    let removed = store.remove_key(name.clone(), condition);
                    removed.map_err(error::of)
                });
            match removed {
                Ok(_) => deleted.push(DeletedObject {
                    key: Some(one.key),
                    ..DeletedObject::default()
                }),
                Err(error) => errors.push(Failed {
                    code: Some(error.code().as_str().to_owned()),
                    key: Some(one.key),
                    message: error.message().map(str::to_owned),
                    version_id: None,
                }),
            }
        }
        Ok((deleted, errors))
    })
    .await?;
    let quiet = input.delete.quiet == Some(true);
    Ok(S3Response::new(DeleteObjectsOutput {
        deleted: (!quiet).then_some(deleted),
        errors: Some(errors).filter(|errors| !errors.is_empty()),
        ..DeleteObjectsOutput::default()
    }))
}

pub async fn get_object_attributes(
    objects: &Objects,
    request: S3Request<GetObjectAttributesInput>,
) -> S3Result<S3Response<GetObjectAttributesOutput>> {
    let input = request.input;
    no_versions(input.version_id.as_deref())?;
    let reader = open(objects, (&input.bucket, &input.key), |_| Ok(())).await?;
    let object = reader.object();
    let wants = |name: &str| {
        // s3s takes a header with several names for one name.
        let asked = input.object_attributes.iter();
        let mut asked = asked.flat_map(|names| names.as_str().split(','));
        asked.any(|one| one.trim() == name)
    };
    let kind = checksums::type_of(object);
    let most = input.max_parts.unwrap_or(1000);
    let most = usize::try_from(most).unwrap_or(0).min(MAX_PARTS);
    let after = input.part_number_marker.unwrap_or(0);
    let output = GetObjectAttributesOutput {
        // Without quotes, other than everywhere else.
        e_tag: wants("ETag").then(|| etag(object.etag)),
        object_size: wants("ObjectSize")
            .then(|| i64::try_from(object.size).ok())
            .flatten(),
        storage_class: wants("StorageClass")
            .then(|| StorageClass::from_static(StorageClass::STANDARD)),
        checksum: wants("Checksum").then(|| Named::of_object(object).answer(kind)),
        // An object that was put as a whole has no parts, to a client.
        object_parts: (wants("ObjectParts") && object.etag.to_string().contains('-'))
            .then(|| parts_after(reader.parts(), after, most)),
        last_modified: Some(Timestamp::from(object.modified_at)),
        ..GetObjectAttributesOutput::default()
    };
    Ok(S3Response::new(output))
}

fn parts_after(parts: &[ObjectPart], after: i32, most: usize) -> GetObjectAttributesParts {
    let number = |placed: &ObjectPart| i32::from(placed.part.number.get());
    let mut listed = parts.iter().filter(|placed| number(placed) > after);
    let page: Vec<_> = listed.by_ref().take(most).collect();
    let answer = |placed: &&ObjectPart| {
        let named = Named::of(&placed.part.checksums);
        with_checksums!(
            named,
            PartAnswer {
                part_number: Some(number(placed)),
                size: i64::try_from(placed.part.size).ok(),
            }
        )
    };
    GetObjectAttributesParts {
        is_truncated: Some(listed.next().is_some()),
        max_parts: i32::try_from(most).ok(),
        next_part_number_marker: page.last().map(|last| number(last)),
        part_number_marker: Some(after),
        parts: Some(page.iter().map(answer).collect()),
        total_parts_count: i32::try_from(parts.len()).ok(),
    }
}

/// Everybody who has a key may do everything, and nobody else anything.
pub async fn get_object_acl(
    objects: &Objects,
    request: S3Request<GetObjectAclInput>,
) -> S3Result<S3Response<GetObjectAclOutput>> {
    let input = request.input;
    open(objects, (&input.bucket, &input.key), |_| Ok(())).await?;
    Ok(S3Response::new(GetObjectAclOutput {
        grants: Some(buckets::grants()),
        owner: Some(buckets::owner()),
        ..GetObjectAclOutput::default()
    }))
}

pub async fn get_object_tagging(
    objects: &Objects,
    request: S3Request<GetObjectTaggingInput>,
) -> S3Result<S3Response<GetObjectTaggingOutput>> {
    let input = request.input;
    open(objects, (&input.bucket, &input.key), |_| Ok(())).await?;
    Ok(S3Response::new(GetObjectTaggingOutput::default()))
}

/// The number of a part, as requests have it.
pub fn number(number: i32) -> S3Result<PartNumber> {
    let parsed = u32::try_from(number).map(PartNumber::new);
    let negative = |_| {
        Err(Error::InvalidPartNumber {
            found: number.to_string(),
        })
    };
    parsed.unwrap_or_else(negative).map_err(error::of)
}
