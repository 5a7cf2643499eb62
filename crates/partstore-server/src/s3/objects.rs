//! Objects: put, and what requests about one object have in common.

use partstore::{Error, Object, ObjectOptions, PartNumber};
use s3s::dto::{PutObjectInput, PutObjectOutput};
use s3s::{S3Request, S3Response, S3Result};

use super::body;
use super::checksums::{self, Named, with_checksums};
use super::conditions::{etag, on_write};
use super::{Objects, error, headers, key, refused};

pub async fn put_object(
    objects: &Objects,
    request: S3Request<PutObjectInput>,
) -> S3Result<S3Response<PutObjectOutput>> {
    let input = request.input;
    refused::check(&request.headers)?;
    if input.write_offset_bytes.is_some() {
        return Err(error::not_implemented("appending to an object"));
    }
    let name = key(&input.bucket, &input.key);
    let declared = body::declared(&request.headers)?;
    let metadata = headers::kept(&request.headers)?;
    let store = objects.store.clone();
    let writer = store.writer_by(move |store| {
        let conditions = (input.if_match.as_ref(), input.if_none_match.as_ref());
        let condition = on_write(store, &name, conditions)?;
        let options = ObjectOptions::new()
            .body(declared)
            .metadata(metadata)
            .only(condition);
        store.object_writer(name, options).map_err(error::of)
    });
    let received = (input.body, request.trailing_headers);
    let object = body::store(received, writer.await?, objects.patience).await?;
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

/// The current object of a key.
pub async fn find(objects: &Objects, (bucket, name): (&str, &str)) -> S3Result<Object> {
    let found = objects.store.object_by_key(key(bucket, name)).await;
    found.map_err(error::of)
}

/// An object has no versions but the one that is there.
pub fn no_versions(version: Option<&str>) -> S3Result<()> {
    match version {
        None | Some("" | "null") => Ok(()),
        Some(_) => Err(error::new("NoSuchVersion", "objects have no versions")),
    }
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
