//! Who may do what: everybody who has a key may do everything, and nobody else anything. Nothing else can be set.

use s3s::dto::{
    AccessControlPolicy, GetBucketAclInput, GetBucketAclOutput, GetBucketOwnershipControlsInput,
    GetBucketOwnershipControlsOutput, GetObjectAclInput, GetObjectAclOutput, Grant, Grantee,
    ObjectOwnership, OwnershipControls, OwnershipControlsRule, Permission, PutBucketAclInput,
    PutBucketAclOutput, PutBucketOwnershipControlsInput, PutBucketOwnershipControlsOutput,
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

/// Whether a list gives the owner everything, and nobody else anything. Programs leave out what they do not need.
fn is_private(policy: &AccessControlPolicy) -> bool {
    let grants = policy.grants.as_deref().unwrap_or_default();
    let is_owners = |grant: &Grant| {
        let grantee = grant.grantee.as_ref();
        let permission = grant.permission.as_ref().map(Permission::as_str);
        grantee.is_some_and(|grantee| grantee.id == owner().id)
            && permission == Some(Permission::FULL_CONTROL)
    };
    !grants.is_empty() && grants.iter().all(is_owners)
}

/// Refuses all but the canned ACL `private`, and a list that says the same.
fn check(headers: &hyper::HeaderMap, policy: Option<&AccessControlPolicy>) -> S3Result<()> {
    refused::check(headers)?;
    let is_kept = match policy {
        Some(policy) => is_private(policy),
        None => headers.contains_key("x-amz-acl"),
    };
    is_kept.then_some(()).ok_or_else(refused::acl)
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

/// Whom objects belong to: the owner of the bucket, always.
pub fn check_ownership(ownership: &ObjectOwnership) -> S3Result<()> {
    if ownership.as_str() == ObjectOwnership::BUCKET_OWNER_ENFORCED {
        Ok(())
    } else {
        Err(error::not_implemented("an owner of objects"))
    }
}

pub async fn get_bucket_ownership_controls(
    objects: &Objects,
    request: S3Request<GetBucketOwnershipControlsInput>,
) -> S3Result<S3Response<GetBucketOwnershipControlsOutput>> {
    require(objects, &request.input.bucket).await?;
    let rule = OwnershipControlsRule {
        object_ownership: ObjectOwnership::from_static(ObjectOwnership::BUCKET_OWNER_ENFORCED),
    };
    Ok(S3Response::new(GetBucketOwnershipControlsOutput {
        ownership_controls: Some(OwnershipControls { rules: vec![rule] }),
    }))
}

pub async fn put_bucket_ownership_controls(
    objects: &Objects,
    request: S3Request<PutBucketOwnershipControlsInput>,
) -> S3Result<S3Response<PutBucketOwnershipControlsOutput>> {
    let input = request.input;
    require(objects, &input.bucket).await?;
    for rule in &input.ownership_controls.rules {
        check_ownership(&rule.object_ownership)?;
    }
    Ok(S3Response::new(PutBucketOwnershipControlsOutput::default()))
}
