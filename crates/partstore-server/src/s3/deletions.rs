//! Objects, removed: one, or up to a thousand.

use s3s::dto::{
    DeleteObjectInput, DeleteObjectOutput, DeleteObjectsInput, DeleteObjectsOutput, DeletedObject,
    Error as Failed, Timestamp,
};
use s3s::{S3Request, S3Response, S3Result};

use super::body::blocking;
use super::conditions::on_write;
use super::objects::no_versions;
use super::{Objects, buckets, error, key, refused};

/// The most keys that one request may remove.
const MAX_DELETED: usize = 1000;

pub async fn delete_object(
    objects: &Objects,
    request: S3Request<DeleteObjectInput>,
) -> S3Result<S3Response<DeleteObjectOutput>> {
    let input = request.input;
    no_versions(input.version_id.as_deref())?;
    refused::check(&request.headers)?;
    let (store, name) = (objects.store.clone(), key(&input.bucket, &input.key));
    blocking(&store, move |store| {
        let condition = on_write(store, &name, (input.if_match.as_ref(), None))?;
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
    let (deleted, errors) = blocking(&store, move |store| {
        let (mut deleted, mut errors) = (Vec::new(), Vec::new());
        for one in input.delete.objects {
            let condition = one.e_tag.clone().map(s3s::dto::ETagCondition::ETag);
            let name = key(&input.bucket, &one.key);
            let removed = no_versions(one.version_id.as_deref())
                .and_then(|()| no_other_condition(one.last_modified_time.as_ref(), one.size))
                .and_then(|()| on_write(store, &name, (condition.as_ref(), None)))
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

/// A condition that is not checked must not be passed over.
fn no_other_condition(modified: Option<&Timestamp>, size: Option<i64>) -> S3Result<()> {
    if modified.is_some() || size.is_some() {
        return Err(error::not_implemented("a condition on time or size"));
    }
    Ok(())
}
