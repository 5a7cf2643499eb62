//! Who may do what: everybody who has a key may do everything, and nobody else anything. Nothing else can be set.

use s3s::dto::{
    AccessControlPolicy, GetBucketAclInput, GetBucketAclOutput, GetObjectAclInput,
    GetObjectAclOutput, Grant, Grantee, Permission, PutBucketAclInput, PutBucketAclOutput,
    PutObjectAclInput, PutObjectAclOutput, Type,
};
use s3s::{S3Request, S3Response, S3Result};

use super::buckets::{owner, require};
use super::objects::find;
use super::{Objects, error, refused};

fn grants() -> Vec<Grant> {
    let owner = owner();
    vec![Grant {
        grantee: Some(Grantee {
            display_name: owner.display_name,
            email_address: None,
            id: owner.id,
            type_: Type::from_static(Type::CANONICAL_USER),
            uri: None,
        }),
        permission: Some(Permission::from_static(Permission::FULL_CONTROL)),
    }]
}

/// Refuses all but the canned ACL `private`, and a list that says the same.
fn check(headers: &hyper::HeaderMap, policy: Option<&AccessControlPolicy>) -> S3Result<()> {
    refused::check(headers)?;
    let is_private = policy.is_none_or(|policy| policy.grants.as_ref() == Some(&grants()));
    if !is_private || (policy.is_none() && !headers.contains_key("x-amz-acl")) {
        return Err(error::not_implemented("an ACL other than private"));
    }
    Ok(())
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

pub async fn put_bucket_acl(
    objects: &Objects,
    request: S3Request<PutBucketAclInput>,
) -> S3Result<S3Response<PutBucketAclOutput>> {
    let input = request.input;
    require(objects, &input.bucket).await?;
    check(&request.headers, input.access_control_policy.as_ref())?;
    Ok(S3Response::new(PutBucketAclOutput::default()))
}

pub async fn get_object_acl(
    objects: &Objects,
    request: S3Request<GetObjectAclInput>,
) -> S3Result<S3Response<GetObjectAclOutput>> {
    let input = request.input;
    find(objects, (&input.bucket, &input.key)).await?;
    Ok(S3Response::new(GetObjectAclOutput {
        grants: Some(grants()),
        owner: Some(owner()),
        ..GetObjectAclOutput::default()
    }))
}

pub async fn put_object_acl(
    objects: &Objects,
    request: S3Request<PutObjectAclInput>,
) -> S3Result<S3Response<PutObjectAclOutput>> {
    let input = request.input;
    find(objects, (&input.bucket, &input.key)).await?;
    check(&request.headers, input.access_control_policy.as_ref())?;
    Ok(S3Response::new(PutObjectAclOutput::default()))
}
