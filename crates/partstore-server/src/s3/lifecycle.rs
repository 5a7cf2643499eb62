//! Lifecycle rules, as requests and answers have them. Those that abort uploads are kept and done, others are refused.

use s3s::dto::{
    AbortIncompleteMultipartUpload, DeleteBucketLifecycleInput, DeleteBucketLifecycleOutput,
    ExpirationStatus, GetBucketLifecycleConfigurationInput, GetBucketLifecycleConfigurationOutput,
    LifecycleRule, LifecycleRuleFilter, PutBucketLifecycleConfigurationInput,
    PutBucketLifecycleConfigurationOutput,
};
use s3s::{S3Request, S3Response, S3Result};

use super::body::blocking;
use super::{Objects, buckets, error};
use crate::kept;
use crate::lifecycle::{self, Prefix, Rule};

pub async fn get_bucket_lifecycle_configuration(
    objects: &Objects,
    request: S3Request<GetBucketLifecycleConfigurationInput>,
) -> S3Result<S3Response<GetBucketLifecycleConfigurationOutput>> {
    let bucket = request.input.bucket;
    buckets::require(objects, &bucket).await?;
    let store = objects.store.clone();
    let found = blocking(&store, move |store| {
        lifecycle::load(store, &bucket).map_err(error::of)
    })
    .await?;
    let missing = || {
        let message = "the bucket has no lifecycle configuration";
        error::new("NoSuchLifecycleConfiguration", message)
    };
    let rules = found.ok_or_else(missing)?.rules.into_iter();
    Ok(S3Response::new(GetBucketLifecycleConfigurationOutput {
        rules: Some(rules.map(answered).collect()),
        ..GetBucketLifecycleConfigurationOutput::default()
    }))
}

pub async fn put_bucket_lifecycle_configuration(
    objects: &Objects,
    request: S3Request<PutBucketLifecycleConfigurationInput>,
) -> S3Result<S3Response<PutBucketLifecycleConfigurationOutput>> {
    let bucket = request.input.bucket;
    buckets::require(objects, &bucket).await?;
    let configuration = request.input.lifecycle_configuration;
    let rules = configuration.map(|configuration| configuration.rules);
    let rules = rules.unwrap_or_default().into_iter().map(received);
    let rules = rules.collect::<S3Result<Vec<_>>>()?;
    let store = objects.store.clone();
    blocking(&store, move |store| {
        let saved = lifecycle::save(store, &bucket, rules);
        saved.map_err(|fault| error::refused(fault.into()))
    })
    .await?;
    Ok(S3Response::new(
        PutBucketLifecycleConfigurationOutput::default(),
    ))
}

pub async fn delete_bucket_lifecycle(
    objects: &Objects,
    request: S3Request<DeleteBucketLifecycleInput>,
) -> S3Result<S3Response<DeleteBucketLifecycleOutput>> {
    let bucket = request.input.bucket;
    buckets::require(objects, &bucket).await?;
    let store = objects.store.clone();
    blocking(&store, move |store| {
        let removed = kept::LIFECYCLE.remove(store, &bucket);
        removed.map_err(error::of)
    })
    .await?;
    Ok(S3Response::new(DeleteBucketLifecycleOutput::default()))
}

/// The kinds of rules that would do something else to objects.
fn refuse_others(rule: &LifecycleRule) -> S3Result<()> {
    let others = [
        ("Expiration", rule.expiration.is_some()),
        ("Transition", rule.transitions.is_some()),
        (
            "NoncurrentVersionExpiration",
            rule.noncurrent_version_expiration.is_some(),
        ),
        (
            "NoncurrentVersionTransition",
            rule.noncurrent_version_transitions.is_some(),
        ),
    ];
    match others.into_iter().find(|(_, is_asked)| *is_asked) {
        Some((name, _)) => Err(error::not_implemented(&format!(
            "a lifecycle rule with {name}"
        ))),
        None => Ok(()),
    }
}

fn received(rule: LifecycleRule) -> S3Result<Rule> {
    refuse_others(&rule)?;
    let malformed = |message: &str| error::new("MalformedXML", message);
    let is_enabled = match rule.status.as_str() {
        ExpirationStatus::ENABLED => true,
        ExpirationStatus::DISABLED => false,
        _ => return Err(malformed("a Status is Enabled or Disabled")),
    };
    let prefix = match (rule.filter, rule.prefix) {
        (Some(filter), None) => Prefix::Filtered(prefix_of(filter)?),
        (None, Some(prefix)) => Prefix::Bare(prefix),
        _ => return Err(malformed("a rule has a Filter, or else a Prefix")),
    };
    let action = rule.abort_incomplete_multipart_upload;
    let action = action.ok_or_else(|| error::new("InvalidRequest", "a rule has an action"))?;
    let days = action.days_after_initiation.unwrap_or_default();
    Ok(Rule {
        id: rule.id,
        prefix,
        is_enabled,
        days: u32::try_from(days).unwrap_or_default(),
    })
}

/// An upload has no tags yet, and no size.
fn prefix_of(filter: LifecycleRuleFilter) -> S3Result<Option<String>> {
    if filter.and.is_some()
        || filter.tag.is_some()
        || filter.object_size_greater_than.is_some()
        || filter.object_size_less_than.is_some()
    {
        let message = "AbortIncompleteMultipartUpload has a prefix, but no tags and no sizes";
        return Err(error::new("InvalidRequest", message));
    }
    Ok(filter.prefix)
}

fn answered(rule: Rule) -> LifecycleRule {
    let (filter, prefix) = match rule.prefix {
        Prefix::Filtered(prefix) => {
            let filter = LifecycleRuleFilter {
                prefix,
                ..LifecycleRuleFilter::default()
            };
            (Some(filter), None)
        }
        Prefix::Bare(prefix) => (None, Some(prefix)),
    };
    LifecycleRule {
        abort_incomplete_multipart_upload: Some(AbortIncompleteMultipartUpload {
            days_after_initiation: i32::try_from(rule.days).ok(),
        }),
        expiration: None,
        filter,
        id: rule.id,
        noncurrent_version_expiration: None,
        noncurrent_version_transitions: None,
        prefix,
        status: ExpirationStatus::from_static(if rule.is_enabled {
            ExpirationStatus::ENABLED
        } else {
            ExpirationStatus::DISABLED
        }),
        transitions: None,
    }
}
