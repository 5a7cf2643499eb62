//! The parameters that a write may have. `s3s` passes over one that it does not know: `DELETE /bucket?versioning` would
//! remove the bucket, and `PUT /bucket/key?renameObject` would make the object empty.

use std::borrow::Cow;

use hyper::{Method, Request};
use percent_encoding::percent_decode_str;
use s3s::{Body, S3Result};

use super::error;

/// Those of a bucket's configurations, which can be written.
const CONFIGURATIONS: [&str; 21] = [
    "accelerate",
    "acl",
    "analytics",
    "cors",
    "encryption",
    "id",
    "intelligent-tiering",
    "inventory",
    "lifecycle",
    "logging",
    "metrics",
    "notification",
    "object-lock",
    "ownershipControls",
    "policy",
    "publicAccessBlock",
    "replication",
    "requestPayment",
    "tagging",
    "versioning",
    "website",
];
/// The configurations that cannot be removed.
const LASTING: [&str; 7] = [
    "accelerate",
    "acl",
    "logging",
    "notification",
    "object-lock",
    "requestPayment",
    "versioning",
];

/// Configurations of which a bucket has several, each with an `id`.
const NAMED: [&str; 4] = ["analytics", "intelligent-tiering", "inventory", "metrics"];
/// What a PUT of an object's version can be about.
const OF_A_VERSION: [&str; 4] = ["acl", "legal-hold", "retention", "tagging"];

/// Refuses a write that asks for what neither `s3s` nor this server knows.
pub fn check(request: &Request<Body>, is_of_an_object: bool) -> S3Result<()> {
    let method = request.method();
    if ![Method::PUT, Method::POST, Method::DELETE].contains(method) {
        return Ok(());
    }
    let names = names(request.uri().query().unwrap_or_default());
    let unknown = names
        .iter()
        .find(|name| !is_known(method, is_of_an_object, name));
    if let Some(name) = unknown {
        return Err(error::invalid(format!(
            "a {method} has no parameter {name}"
        )));
    }
    let has = |name: &str| names.iter().any(|one| one == name);
    let has_one_of = |these: &[&str]| these.iter().any(|name| has(name));
    let is_put = *method == Method::PUT && is_of_an_object;
    // s3s takes a PUT with one of them only for that of the object.
    if is_put && has("partNumber") != has("uploadId") {
        return Err(error::invalid("a part has a partNumber and an uploadId"));
    }
    if is_put && has("versionId") && !has_one_of(&OF_A_VERSION) {
        return Err(error::invalid("a new object has no versionId"));
    }
    if has("id") && !has_one_of(&NAMED) {
        return Err(error::invalid("only some configurations have an id"));
    }
    Ok(())
}

/// The names of parameters, without those of the signature.
fn names(query: &str) -> Vec<Cow<'_, str>> {
    let pairs = query.split('&').filter(|pair| !pair.is_empty());
    let names = pairs.map(|pair| pair.split_once('=').map_or(pair, |(name, _)| name));
    let names = names.map(|name| percent_decode_str(name).decode_utf8_lossy());
    names.filter(|name| !is_of_the_signature(name)).collect()
}

fn is_known(method: &Method, is_of_an_object: bool, name: &str) -> bool {
    match (is_of_an_object, method.as_str()) {
        (false, "PUT") => CONFIGURATIONS.contains(&name),
        (false, "DELETE") => CONFIGURATIONS.contains(&name) && !LASTING.contains(&name),
        (false, _) => name == "delete",
        (true, "PUT") => [
            "acl",
            "legal-hold",
            "partNumber",
            "retention",
            "tagging",
            "uploadId",
            "versionId",
        ]
        .contains(&name),
        (true, "DELETE") => ["tagging", "uploadId", "versionId"].contains(&name),
        (true, _) => [
            "restore",
            "select",
            "select-type",
            "uploadId",
            "uploads",
            "versionId",
        ]
        .contains(&name),
    }
}

/// What signs a request, of both versions, and the name of a call that SDKs add.
fn is_of_the_signature(name: &str) -> bool {
    let is_amazons = name
        .get(..6)
        .is_some_and(|begin| begin.eq_ignore_ascii_case("x-amz-"));
    is_amazons || ["AWSAccessKeyId", "Expires", "Signature", "x-id"].contains(&name)
}
