//! Buckets: created, listed, removed.

use hyper::HeaderMap;
use partstore::{Error, ListNamespaces, Quota};
use s3s::dto::{
    Bucket, BucketLocationConstraint, CreateBucketInput, CreateBucketOutput, DeleteBucketInput,
    DeleteBucketOutput, GetBucketLocationInput, GetBucketLocationOutput, HeadBucketInput,
    HeadBucketOutput, ListBucketsInput, ListBucketsOutput, Owner, Timestamp,
};
use s3s::{S3Request, S3Response, S3Result};

use super::body::blocking;
use super::{Objects, acl, error, refused};
use crate::kept;

/// Whom everything belongs to.
const OWNER: &str = "partstore";
const MAX_BUCKETS: u32 = 1000;

pub fn owner() -> Owner {
    Owner {
        display_name: Some(OWNER.to_owned()),
        id: Some(OWNER.to_owned()),
    }
}

/// Refuses a request that expects another owner of a bucket. All buckets have the same.
pub fn check_owner(headers: &HeaderMap) -> S3Result<()> {
    let expected = [
        "x-amz-expected-bucket-owner",
        "x-amz-source-expected-bucket-owner",
    ];
    let mut expected = expected.into_iter().filter_map(|name| headers.get(name));
    if expected.any(|owner| owner != OWNER) {
        let message = format!("the owner of the bucket is {OWNER}");
        return Err(error::new("AccessDenied", message));
    }
    Ok(())
}

/// Refuses a request to a bucket that does not exist.
pub async fn require(objects: &Objects, bucket: &str) -> S3Result<()> {
    let (store, bucket) = (objects.store.clone(), bucket.to_owned());
    blocking(&store, move |store| {
        store.namespace(&bucket).map(drop).map_err(error::of)
    })
    .await
}

pub async fn create_bucket(
    objects: &Objects,
    request: S3Request<CreateBucketInput>,
) -> S3Result<S3Response<CreateBucketOutput>> {
    let input = request.input;
    if input.object_lock_enabled_for_bucket == Some(true) {
        return Err(error::not_implemented("object lock"));
    }
    if let Some(ownership) = &input.object_ownership {
        acl::check_ownership(ownership)?;
    }
    refused::check(&request.headers)?;
    // `s3s` reads no other name in the source of a copy.
    if !s3s::path::check_bucket_name(&input.bucket) {
        let message = "a bucket's name has 3 to 63 lowercase letters, digits, dots and hyphens";
        return Err(error::new("InvalidBucketName", message));
    }
    let (store, bucket) = (objects.store.clone(), input.bucket.clone());
    blocking(&store, move |store| {
        kept::remove_stale(store, &bucket).map_err(error::of)?;
        match store.create_namespace(&bucket, Quota::new()) {
            Err(Error::NamespaceExists { .. }) => Err(error::new(
                "BucketAlreadyOwnedByYou",
                "the bucket exists, and is yours",
            )),
            created => created.map_err(error::of),
        }
    })
    .await?;
    Ok(S3Response::new(CreateBucketOutput {
        location: Some(format!("/{}", input.bucket)),
    }))
}

pub async fn delete_bucket(
    objects: &Objects,
    request: S3Request<DeleteBucketInput>,
) -> S3Result<S3Response<DeleteBucketOutput>> {
    let (store, bucket) = (objects.store.clone(), request.input.bucket);
    blocking(&store, move |store| {
        let removed = store.remove_namespace(&bucket);
        let removed = removed.and_then(|()| kept::remove_all(store, &bucket));
        removed.map_err(error::of)
    })
    .await?;
    Ok(S3Response::new(DeleteBucketOutput::default()))
}

pub async fn head_bucket(
    objects: &Objects,
    request: S3Request<HeadBucketInput>,
) -> S3Result<S3Response<HeadBucketOutput>> {
    require(objects, &request.input.bucket).await?;
    Ok(S3Response::new(HeadBucketOutput {
        bucket_region: Some(objects.rules.get().region.clone()),
        ..HeadBucketOutput::default()
    }))
}

pub async fn list_buckets(
    objects: &Objects,
    request: S3Request<ListBucketsInput>,
) -> S3Result<S3Response<ListBucketsOutput>> {
    let input = request.input;
    let most = input.max_buckets.and_then(|most| u32::try_from(most).ok());
    let most = most.unwrap_or(MAX_BUCKETS).clamp(1, MAX_BUCKETS);
    let is_paged = input.max_buckets.is_some() || input.continuation_token.is_some();
    let prefix = input.prefix.clone().unwrap_or_default();
    // A marker just before the prefix, if the client has none behind it.
    let mut after = input.continuation_token.unwrap_or_default();
    let store = objects.store.clone();
    let (buckets, next) = blocking(&store, move |store| {
        let mut found = Vec::new();
        loop {
            let query = ListNamespaces::new().after(after).limit(MAX_BUCKETS);
            let page = store.list_namespaces(&query).map_err(error::of)?;
            for space in page.namespaces {
                if !space.name.starts_with(&prefix) {
                    continue;
                }
                if is_paged && found.len() == most as usize {
                    let next = found.last().and_then(|last: &Bucket| last.name.clone());
                    return Ok((found, next));
                }
                found.push(Bucket {
                    bucket_region: None,
                    creation_date: space.created_at.map(Timestamp::from),
                    name: Some(space.name),
                });
            }
            match page.next {
                Some(next) => after = next,
                None => return Ok((found, None)),
            }
        }
    })
    .await?;
    Ok(S3Response::new(ListBucketsOutput {
        buckets: Some(buckets),
        continuation_token: next,
        owner: Some(owner()),
        prefix: input.prefix,
    }))
}

pub async fn get_bucket_location(
    objects: &Objects,
    request: S3Request<GetBucketLocationInput>,
) -> S3Result<S3Response<GetBucketLocationOutput>> {
    require(objects, &request.input.bucket).await?;
    let region = objects.rules.get().region.clone();
    Ok(S3Response::new(GetBucketLocationOutput {
        location_constraint: Some(BucketLocationConstraint::from(region)),
    }))
}
