//! A bucket's rules for pages of other origins.

use s3s::dto::{
    CORSRule, DeleteBucketCorsInput, DeleteBucketCorsOutput, GetBucketCorsInput,
    GetBucketCorsOutput, PutBucketCorsInput, PutBucketCorsOutput,
};
use s3s::{S3Request, S3Response, S3Result};

use super::body::blocking;
use super::buckets::require;
use super::{Objects, error};
use crate::cors;

pub async fn get_bucket_cors(
    objects: &Objects,
    request: S3Request<GetBucketCorsInput>,
) -> S3Result<S3Response<GetBucketCorsOutput>> {
    let bucket = request.input.bucket;
    require(objects, &bucket).await?;
    let store = objects.store.clone();
    let found = blocking(&store, move |store| {
        cors::load(store, &bucket).map_err(error::of)
    })
    .await?;
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
    blocking(&store, move |store| {
        cors::save(store, &bucket, text).map_err(error::of)
    })
    .await?;
    Ok(S3Response::new(PutBucketCorsOutput::default()))
}

pub async fn delete_bucket_cors(
    objects: &Objects,
    request: S3Request<DeleteBucketCorsInput>,
) -> S3Result<S3Response<DeleteBucketCorsOutput>> {
    let bucket = request.input.bucket;
    require(objects, &bucket).await?;
    let store = objects.store.clone();
    blocking(&store, move |store| {
        cors::remove(store, &bucket).map_err(error::of)
    })
    .await?;
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
