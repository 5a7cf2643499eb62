//! The versions of objects: each has one, without an id.

use s3s::dto::{
    ListObjectVersionsInput, ListObjectVersionsOutput, ObjectVersion, ObjectVersionStorageClass,
    Timestamp,
};
use s3s::{S3Request, S3Response, S3Result};

use super::conditions::etag;
use super::listings::{Spelling, keys, limit};
use super::{Objects, buckets};

/// How the protocol calls it.
const NONE: &str = "null";

pub async fn list_object_versions(
    objects: &Objects,
    request: S3Request<ListObjectVersionsInput>,
) -> S3Result<S3Response<ListObjectVersionsOutput>> {
    let input = request.input;
    let spelling = Spelling::of(input.encoding_type.as_ref())?;
    let limit = limit(input.max_keys)?;
    let texts = (input.prefix.as_deref(), input.delimiter.as_deref());
    let after = input.key_marker.clone();
    let page = keys(objects, (&input.bucket, limit), texts, after).await?;
    let next = page.next.as_deref();
    let versions = page.keys.iter().map(|entry| ObjectVersion {
        e_tag: Some(etag(entry.etag)),
        is_latest: Some(true),
        key: Some(spelling.spell(&entry.key)),
        last_modified: Some(Timestamp::from(entry.modified_at)),
        owner: Some(buckets::owner()),
        size: i64::try_from(entry.size).ok(),
        storage_class: Some(ObjectVersionStorageClass::from_static(
            ObjectVersionStorageClass::STANDARD,
        )),
        version_id: Some(NONE.to_owned()),
        ..ObjectVersion::default()
    });
    Ok(S3Response::new(ListObjectVersionsOutput {
        versions: Some(versions.collect()),
        common_prefixes: Some(spelling.prefixes(&page.common_prefixes)),
        is_truncated: Some(next.is_some()),
        next_key_marker: next.map(|next| spelling.spell(next)),
        next_version_id_marker: next.map(|_| NONE.to_owned()),
        name: Some(input.bucket),
        prefix: Some(spelling.spell(&input.prefix.unwrap_or_default())),
        delimiter: input.delimiter.map(|text| spelling.spell(&text)),
        key_marker: Some(spelling.spell(&input.key_marker.unwrap_or_default())),
        version_id_marker: input.version_id_marker,
        max_keys: i32::try_from(limit).ok(),
        encoding_type: input.encoding_type,
        ..ListObjectVersionsOutput::default()
    }))
}
