//! Listings: of keys, of uploads, and of parts.

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use partstore::{
    KeyEntry, KeyPage, ListKeys, ListParts, ListUploads, ObjectETag, UploadId, UploadInfo,
};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use s3s::dto::{
    CommonPrefix, EncodingType, Initiator, ListMultipartUploadsInput, ListMultipartUploadsOutput,
    ListObjectsInput, ListObjectsOutput, ListObjectsV2Input, ListObjectsV2Output, ListPartsInput,
    ListPartsOutput, MultipartUpload, Object, ObjectStorageClass, Part, StorageClass, Timestamp,
};
use s3s::{S3Request, S3Response, S3Result};

use super::body::blocking;
use super::checksums::{Named, with_checksums};
use super::conditions::etag;
use super::uploads::{asked_for, upload};
use super::{Objects, buckets, error};

/// The longest page. A longer one is asked for in vain, but without harm.
const MOST: i32 = 1000;
/// What `encoding-type=url` leaves as it is.
const PLAIN: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'_')
    .remove(b'.')
    .remove(b'~')
    .remove(b'/');

/// How texts are written.
#[derive(Clone, Copy)]
pub struct Spelling(bool);

impl Spelling {
    pub fn of(asked: Option<&EncodingType>) -> S3Result<Self> {
        match asked.map(EncodingType::as_str) {
            None => Ok(Self(false)),
            Some(EncodingType::URL) => Ok(Self(true)),
            Some(_) => Err(error::invalid("the only encoding type is url")),
        }
    }

    pub fn spell(self, text: &str) -> String {
        if self.0 {
            utf8_percent_encode(text, PLAIN).to_string()
        } else {
            text.to_owned()
        }
    }

    pub fn prefixes(self, prefixes: &[String]) -> Vec<CommonPrefix> {
        let prefixes = prefixes.iter().map(|prefix| CommonPrefix {
            prefix: Some(self.spell(prefix)),
        });
        prefixes.collect()
    }

    fn entry(self, entry: &KeyEntry, has_owner: bool) -> Object {
        Object {
            e_tag: Some(etag(entry.etag)),
            key: Some(self.spell(&entry.key)),
            last_modified: Some(Timestamp::from(entry.modified_at)),
            owner: has_owner.then(buckets::owner),
            size: i64::try_from(entry.size).ok(),
            storage_class: Some(ObjectStorageClass::from_static(
                ObjectStorageClass::STANDARD,
            )),
            ..Object::default()
        }
    }
}

pub fn limit(asked: Option<i32>) -> S3Result<u32> {
    let limit = asked.unwrap_or(MOST).min(MOST);
    u32::try_from(limit).map_err(|_| error::invalid("the length of a page is not negative"))
}

pub async fn keys(
    objects: &Objects,
    (bucket, limit): (&str, u32),
    (prefix, delimiter): (Option<&str>, Option<&str>),
    after: Option<String>,
) -> S3Result<KeyPage> {
    let mut query = ListKeys::new()
        .namespace(bucket)
        .prefix(prefix.unwrap_or_default())
        .delimiter(delimiter.unwrap_or_default())
        .limit(limit);
    if let Some(after) = after {
        query = query.after(after);
    }
    let store = objects.store.clone();
    blocking(&store, move |store| {
        store.list_keys(&query).map_err(error::of)
    })
    .await
}

pub async fn list_objects(
    objects: &Objects,
    request: S3Request<ListObjectsInput>,
) -> S3Result<S3Response<ListObjectsOutput>> {
    let input = request.input;
    let spelling = Spelling::of(input.encoding_type.as_ref())?;
    let limit = limit(input.max_keys)?;
    let texts = (input.prefix.as_deref(), input.delimiter.as_deref());
    let after = input.marker.clone();
    let page = keys(objects, (&input.bucket, limit), texts, after).await?;
    let entries = page.keys.iter().map(|entry| spelling.entry(entry, true));
    Ok(S3Response::new(ListObjectsOutput {
        contents: Some(entries.collect()),
        common_prefixes: Some(spelling.prefixes(&page.common_prefixes)),
        is_truncated: Some(page.next.is_some()),
        // Where the client can tell it by itself, AWS does not say it; it does no harm.
        next_marker: page.next.as_deref().map(|next| spelling.spell(next)),
        name: Some(input.bucket),
        prefix: Some(spelling.spell(&input.prefix.unwrap_or_default())),
        marker: Some(spelling.spell(&input.marker.unwrap_or_default())),
        delimiter: input.delimiter.map(|text| spelling.spell(&text)),
        max_keys: i32::try_from(limit).ok(),
        encoding_type: input.encoding_type,
        ..ListObjectsOutput::default()
    }))
}

pub async fn list_objects_v2(
    objects: &Objects,
    request: S3Request<ListObjectsV2Input>,
) -> S3Result<S3Response<ListObjectsV2Output>> {
    let input = request.input;
    let spelling = Spelling::of(input.encoding_type.as_ref())?;
    let limit = limit(input.max_keys)?;
    let texts = (input.prefix.as_deref(), input.delimiter.as_deref());
    let after = match &input.continuation_token {
        Some(token) => Some(marker_of(token)?),
        None => input.start_after.clone(),
    };
    let page = keys(objects, (&input.bucket, limit), texts, after).await?;
    let has_owner = input.fetch_owner == Some(true);
    let entries = page.keys.iter();
    let entries = entries.map(|entry| spelling.entry(entry, has_owner));
    Ok(S3Response::new(ListObjectsV2Output {
        contents: Some(entries.collect()),
        common_prefixes: Some(spelling.prefixes(&page.common_prefixes)),
        key_count: i32::try_from(page.keys.len() + page.common_prefixes.len()).ok(),
        is_truncated: Some(page.next.is_some()),
        next_continuation_token: page.next.as_deref().map(token_of),
        name: Some(input.bucket),
        prefix: Some(spelling.spell(&input.prefix.unwrap_or_default())),
        delimiter: input.delimiter.map(|text| spelling.spell(&text)),
        start_after: input.start_after.map(|text| spelling.spell(&text)),
        continuation_token: input.continuation_token,
        max_keys: i32::try_from(limit).ok(),
        encoding_type: input.encoding_type,
        ..ListObjectsV2Output::default()
    }))
}

/// A token is the last key of the page before, in letters that every client gives back as they are.
fn token_of(last: &str) -> String {
    BASE64_URL_SAFE_NO_PAD.encode(last)
}

fn marker_of(token: &str) -> S3Result<String> {
    let bytes = BASE64_URL_SAFE_NO_PAD.decode(token).ok();
    let text = bytes.and_then(|bytes| String::from_utf8(bytes).ok());
    text.ok_or_else(|| error::invalid("the continuation token is not one that was given"))
}

pub async fn list_multipart_uploads(
    objects: &Objects,
    request: S3Request<ListMultipartUploadsInput>,
) -> S3Result<S3Response<ListMultipartUploadsOutput>> {
    let input = request.input;
    let spelling = Spelling::of(input.encoding_type.as_ref())?;
    let limit = limit(input.max_uploads)?.max(1);
    let mut query = ListUploads::new()
        .namespace(&input.bucket)
        .prefix(input.prefix.clone().unwrap_or_default())
        .delimiter(input.delimiter.clone().unwrap_or_default())
        .limit(limit);
    if let Some(marker) = &input.key_marker {
        query = query.key_marker(marker);
    }
    let marker = input.upload_id_marker.as_deref();
    if let Some(marker) = marker.filter(|marker| !marker.is_empty()) {
        query = query.upload_id_marker(marker.parse::<UploadId>().map_err(error::of)?);
    }
    let store = objects.store.clone();
    let page = blocking(&store, move |store| {
        store.list_uploads(&query).map_err(error::of)
    })
    .await?;
    let next = page.next.as_ref();
    let uploads = page.uploads.iter().map(|info| listed(spelling, info));
    Ok(S3Response::new(ListMultipartUploadsOutput {
        uploads: Some(uploads.collect()),
        common_prefixes: Some(spelling.prefixes(&page.common_prefixes)),
        is_truncated: Some(next.is_some()),
        next_key_marker: next.map(|next| spelling.spell(&next.key)),
        next_upload_id_marker: next.and_then(|next| Some(next.id?.to_string())),
        bucket: Some(input.bucket),
        prefix: Some(spelling.spell(&input.prefix.unwrap_or_default())),
        delimiter: input.delimiter.map(|text| spelling.spell(&text)),
        key_marker: Some(spelling.spell(&input.key_marker.unwrap_or_default())),
        upload_id_marker: input.upload_id_marker,
        max_uploads: i32::try_from(limit).ok(),
        encoding_type: input.encoding_type,
        ..ListMultipartUploadsOutput::default()
    }))
}

fn initiator() -> Initiator {
    let owner = buckets::owner();
    Initiator {
        display_name: owner.display_name,
        id: owner.id,
    }
}

fn listed(spelling: Spelling, info: &UploadInfo) -> MultipartUpload {
    let (algorithm, kind) = asked_for(info);
    MultipartUpload {
        checksum_algorithm: algorithm,
        checksum_type: kind,
        initiated: Some(Timestamp::from(info.initiated_at)),
        initiator: Some(initiator()),
        key: Some(spelling.spell(info.upload.key())),
        owner: Some(buckets::owner()),
        storage_class: Some(StorageClass::from_static(StorageClass::STANDARD)),
        upload_id: Some(info.upload.id().to_string()),
    }
}

pub async fn list_parts(
    objects: &Objects,
    request: S3Request<ListPartsInput>,
) -> S3Result<S3Response<ListPartsOutput>> {
    let input = request.input;
    let upload = upload(&input.bucket, &input.key, &input.upload_id)?;
    let limit = limit(input.max_parts)?.max(1);
    let marker = input.part_number_marker.unwrap_or(0);
    let query = ListParts::new()
        .marker(u32::try_from(marker).unwrap_or(0))
        .limit(limit);
    let store = objects.store.clone();
    let (info, page) = blocking(&store, move |store| {
        let info = store.upload(&upload).map_err(error::of)?;
        Ok((info, store.list_parts(&upload, &query).map_err(error::of)?))
    })
    .await?;
    let (algorithm, kind) = asked_for(&info);
    Ok(S3Response::new(ListPartsOutput {
        parts: Some(page.parts.iter().map(part).collect()),
        is_truncated: Some(page.next.is_some()),
        next_part_number_marker: page.next.map(|next| i32::from(next.get())),
        bucket: Some(input.bucket),
        key: Some(input.key),
        upload_id: Some(input.upload_id),
        part_number_marker: Some(marker),
        max_parts: i32::try_from(limit).ok(),
        initiator: Some(initiator()),
        owner: Some(buckets::owner()),
        storage_class: Some(StorageClass::from_static(StorageClass::STANDARD)),
        checksum_algorithm: algorithm,
        checksum_type: kind,
        ..ListPartsOutput::default()
    }))
}

fn part(part: &partstore::Part) -> Part {
    let named = Named::of(&part.checksums);
    with_checksums!(
        named,
        Part {
            e_tag: Some(etag(ObjectETag::from(part.etag))),
            last_modified: Some(Timestamp::from(part.stored_at)),
            part_number: Some(i32::from(part.number.get())),
            size: i64::try_from(part.size).ok(),
        }
    )
}
