//! Buckets: created, listed, removed, and what an unversioned bucket without any configuration answers.

use partstore::{Error, ListNamespaces, Quota};
use s3s::dto::{
    Bucket, BucketLocationConstraint, CORSRule, CreateBucketInput, CreateBucketOutput,
    DeleteBucketCorsInput, DeleteBucketCorsOutput, DeleteBucketInput, DeleteBucketOutput,
    GetBucketAclInput, GetBucketAclOutput, GetBucketCorsInput, GetBucketCorsOutput,
    GetBucketLifecycleConfigurationInput, GetBucketLifecycleConfigurationOutput,
    GetBucketLocationInput, GetBucketLocationOutput, GetBucketPolicyInput, GetBucketPolicyOutput,
    GetBucketTaggingInput, GetBucketTaggingOutput, GetBucketVersioningInput,
    GetBucketVersioningOutput, Grant, Grantee, HeadBucketInput, HeadBucketOutput, ListBucketsInput,
    ListBucketsOutput, Owner, Permission, PutBucketCorsInput, PutBucketCorsOutput, Timestamp, Type,
};
use s3s::{S3Request, S3Response, S3Result};

use super::body::blocking;
use super::{Objects, error};
use crate::cors;

/// Whom everything belongs to.
const OWNER: &str = "partstore";
const MAX_BUCKETS: u32 = 1000;

pub fn owner() -> Owner {
    Owner {
        display_name: Some(OWNER.to_owned()),
        id: Some(OWNER.to_owned()),
    }
}

/// Everybody who has a key may do everything.
pub fn grants() -> Vec<Grant> {
    vec![Grant {
        grantee: Some(Grantee {
            display_name: Some(OWNER.to_owned()),
            email_address: None,
            id: Some(OWNER.to_owned()),
            type_: Type::from_static(Type::CANONICAL_USER),
            uri: None,
        }),
        permission: Some(Permission::from_static(Permission::FULL_CONTROL)),
    }]
}

/// Refuses a request to a bucket that does not exist.
pub async fn require(objects: &Objects, bucket: &str) -> S3Result<()> {
    let (store, bucket) = (objects.store.clone(), bucket.to_owned());
    blocking(move || store.namespace(&bucket).map(drop).map_err(error::of)).await
}

pub async fn create_bucket(
    objects: &Objects,
    request: S3Request<CreateBucketInput>,
) -> S3Result<S3Response<CreateBucketOutput>> {
    let input = request.input;
    if input.object_lock_enabled_for_bucket == Some(true) {
        return Err(error::not_implemented("object lock"));
    }
    let (store, bucket) = (objects.store.clone(), input.bucket.clone());
    blocking(
        move || match store.create_namespace(&bucket, Quota::new()) {
            Err(Error::NamespaceExists { .. }) => Err(error::new(
                "BucketAlreadyOwnedByYou",
                "the bucket exists, and is yours",
            )),
            created => created.map_err(error::of),
        },
    )
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
    blocking(move || {
        let removed = store.remove_namespace(&bucket);
        let removed = removed.and_then(|()| cors::remove(&store, &bucket));
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
    let (buckets, next) = blocking(move || {
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

pub async fn get_bucket_versioning(
    objects: &Objects,
    request: S3Request<GetBucketVersioningInput>,
) -> S3Result<S3Response<GetBucketVersioningOutput>> {
    require(objects, &request.input.bucket).await?;
    Ok(S3Response::new(GetBucketVersioningOutput::default()))
}

pub async fn get_bucket_acl(
    objects: &Objects,
    request: S3Request<GetBucketAclInput>,
) -> S3Result<S3Response<GetBucketAclOutput>> {
    require(objects, &request.input.bucket).await?;
    Ok(S3Response::new(GetBucketAclOutput {
        grants: Some(grants()),
        owner: Some(owner()),
    }))
}

pub async fn get_bucket_policy(
    objects: &Objects,
    request: S3Request<GetBucketPolicyInput>,
) -> S3Result<S3Response<GetBucketPolicyOutput>> {
    require(objects, &request.input.bucket).await?;
    Err(error::new("NoSuchBucketPolicy", "the bucket has no policy"))
}

pub async fn get_bucket_tagging(
    objects: &Objects,
    request: S3Request<GetBucketTaggingInput>,
) -> S3Result<S3Response<GetBucketTaggingOutput>> {
    require(objects, &request.input.bucket).await?;
    Err(error::new("NoSuchTagSet", "the bucket has no tags"))
}

pub async fn get_bucket_lifecycle_configuration(
    objects: &Objects,
    request: S3Request<GetBucketLifecycleConfigurationInput>,
) -> S3Result<S3Response<GetBucketLifecycleConfigurationOutput>> {
    require(objects, &request.input.bucket).await?;
    let message = "the bucket has no lifecycle configuration";
    Err(error::new("NoSuchLifecycleConfiguration", message))
}

pub async fn get_bucket_cors(
    objects: &Objects,
    request: S3Request<GetBucketCorsInput>,
) -> S3Result<S3Response<GetBucketCorsOutput>> {
    let bucket = request.input.bucket;
    require(objects, &bucket).await?;
    let store = objects.store.clone();
    let found = blocking(move || cors::load(&store, &bucket).map_err(error::of)).await?;
    let missing = || {
        let message = "the bucket has no rules for pages of other origins";
        error::new("NoSuchCORSConfiguration", message)
    };
    let rules = found.ok_or_else(missing)?.rules.into_iter();
    Ok(S3Response::new(GetBucketCorsOutput {
        cors_rules: Some(rules.map(answered_rule).collect()),
    }))
}

pub async fn put_bucket_cors(
    objects: &Objects,
    request: S3Request<PutBucketCorsInput>,
) -> S3Result<S3Response<PutBucketCorsOutput>> {
    let bucket = request.input.bucket;
    require(objects, &bucket).await?;
    let rules = request.input.cors_configuration.cors_rules.into_iter();
    let configuration = cors::Configuration {
        rules: rules.map(received_rule).collect(),
    };
    for rule in &configuration.rules {
        let wrong = |what: &str| error::new("InvalidRequest", what);
        rule.check().map_err(wrong)?;
    }
    let text = quick_xml::se::to_string(&configuration);
    let text = text.map_err(|error| error::new("MalformedXML", error.to_string()))?;
    if text.len() > cors::MAX_LEN {
        return Err(error::new("MalformedXML", "the rules are too long"));
    }
    let store = objects.store.clone();
    blocking(move || cors::save(&store, &bucket, text).map_err(error::of)).await?;
    Ok(S3Response::new(PutBucketCorsOutput::default()))
}

pub async fn delete_bucket_cors(
    objects: &Objects,
    request: S3Request<DeleteBucketCorsInput>,
) -> S3Result<S3Response<DeleteBucketCorsOutput>> {
    let bucket = request.input.bucket;
    require(objects, &bucket).await?;
    let store = objects.store.clone();
    blocking(move || cors::remove(&store, &bucket).map_err(error::of)).await?;
    Ok(S3Response::new(DeleteBucketCorsOutput::default()))
}

fn received_rule(rule: CORSRule) -> cors::Rule {
    cors::Rule {
        id: rule.id,
        origins: rule.allowed_origins,
        methods: rule.allowed_methods,
        headers: rule.allowed_headers.unwrap_or_default(),
        exposed: rule.expose_headers.unwrap_or_default(),
        max_age: rule.max_age_seconds.and_then(|age| u32::try_from(age).ok()),
    }
}

fn answered_rule(rule: cors::Rule) -> CORSRule {
    let some = |list: Vec<String>| Some(list).filter(|list| !list.is_empty());
    CORSRule {
        id: rule.id,
        allowed_origins: rule.origins,
        allowed_methods: rule.methods,
        allowed_headers: some(rule.headers),
        expose_headers: some(rule.exposed),
        max_age_seconds: rule.max_age.and_then(|age| i32::try_from(age).ok()),
    }
}
