//! Configurations of buckets and objects, which a parameter names: `?acl`, `?versioning` and the like. All are answered as
//! those of a bucket that has none of them. Only the rules for pages of other origins (`?cors`) and those that abort uploads
//! (`?lifecycle`) can be set.

use partstore::PartStore;

use super::received_document;
use crate::cors;
use crate::cos::answer::{self, Answer};
use crate::cos::body::blocking;
use crate::cos::document;
use crate::cos::lifecycle::Configuration;
use crate::cos::refusal::Refusal;
use crate::cos::request::Query;
use crate::cos::service::Call;
use crate::{kept, lifecycle};

const ACL: &str = concat!(
    "<AccessControlPolicy><Owner><ID>partstore</ID><DisplayName>partstore</DisplayName></Owner>",
    "<AccessControlList><Grant><Grantee xmlns:xsi=\"http://www.w3.org/2001/XMLSchema-instance\" ",
    "xsi:type=\"CanonicalUser\"><ID>partstore</ID><DisplayName>partstore</DisplayName></Grantee>",
    "<Permission>FULL_CONTROL</Permission></Grant></AccessControlList></AccessControlPolicy>",
);

/// What a bucket answers: a document, or the code of a 404.
const OF_BUCKETS: [(&str, Result<&str, &str>); 16] = [
    ("accelerate", Ok("<AccelerateConfiguration/>")),
    ("acl", Ok(ACL)),
    ("cors", Err("NoSuchCORSConfiguration")),
    ("domain", Err("DomainConfigNotFoundError")),
    ("encryption", Err("NoSuchEncryptionConfiguration")),
    ("inventory", Err("InventoryConfigurationNotFoundError")),
    ("lifecycle", Err("NoSuchLifecycleConfiguration")),
    ("location", Ok("")),
    ("logging", Ok("<BucketLoggingStatus/>")),
    ("origin", Err("OriginConfigurationNotFoundError")),
    ("policy", Err("NoSuchPolicy")),
    ("referer", Err("NoSuchRefererConfiguration")),
    ("replication", Err("ReplicationConfigurationNotFoundError")),
    ("tagging", Err("NoSuchTagSet")),
    ("versioning", Ok("<VersioningConfiguration/>")),
    ("website", Err("NoSuchWebsiteConfiguration")),
];

/// The configuration that a request names.
pub fn asked(query: &Query) -> Option<&'static str> {
    let mut names = OF_BUCKETS.iter().map(|(name, _)| *name);
    names.find(|name| query.has(name))
}

/// `GET /?…`
pub async fn get(call: Call, name: &'static str) -> Answer {
    call.require_bucket().await?;
    match name {
        "cors" => return get_cors(call).await,
        "lifecycle" => return get_lifecycle(call).await,
        "location" => {
            let region = call.host.region().unwrap_or(&call.rules.region);
            let region = quick_xml::escape::escape(region);
            return Ok(answer::document(&format!(
                "<LocationConstraint>{region}</LocationConstraint>"
            )));
        }
        _ => {}
    }
    match OF_BUCKETS.iter().find(|(known, _)| *known == name) {
        Some((_, Ok(document))) => Ok(answer::document(document)),
        Some((_, Err(code))) => Err(none(code)),
        None => Err(Refusal::not_supported(format!(
            "this server does not know ?{name}"
        ))),
    }
}

fn none(code: &'static str) -> Refusal {
    let mut refusal = Refusal::no_such_configuration("the bucket has no such configuration");
    refusal.code = code;
    refusal
}

/// `GET /key?acl`, `GET /key?tagging`
pub async fn get_of_object(call: Call, name: &'static str) -> Answer {
    let (store, key) = (call.service.store.clone(), call.target.store_key());
    blocking(&store, move |store| store.object_by_key(key).map(drop)).await?;
    match name {
        "acl" => Ok(answer::document(ACL)),
        "tagging" => Ok(answer::document("<Tagging><TagSet/></Tagging>")),
        _ => Err(Refusal::not_supported(format!("an object has no ?{name}"))),
    }
}

/// `DELETE /?…`: the bucket has none of these anyway, and its own rules are removed.
pub async fn delete(call: Call, name: &'static str) -> Answer {
    call.require_bucket().await?;
    let kind = match name {
        "cors" => kept::CORS,
        "lifecycle" => kept::LIFECYCLE,
        "acl" | "location" | "logging" | "versioning" => {
            return Err(Refusal::not_supported(format!("?{name} cannot be removed")));
        }
        _ => return Ok(answer::no_content()),
    };
    let (store, bucket) = (call.service.store.clone(), call.target.bucket.clone());
    blocking(&store, move |store| kind.remove(store, &bucket)).await?;
    Ok(answer::no_content())
}

async fn get_cors(call: Call) -> Answer {
    let (store, bucket) = (call.service.store.clone(), call.target.bucket.clone());
    match blocking(&store, move |store| cors::load(store, &bucket)).await? {
        Some(configuration) => answer::xml(&configuration),
        None => Err(none("NoSuchCORSConfiguration")),
    }
}

async fn get_lifecycle(call: Call) -> Answer {
    let (store, bucket) = (call.service.store.clone(), call.target.bucket.clone());
    match blocking(&store, move |store| lifecycle::load(store, &bucket)).await? {
        Some(found) => answer::xml(&Configuration::of(found.rules)),
        None => Err(none("NoSuchLifecycleConfiguration")),
    }
}

/// `PUT /?lifecycle`
pub async fn put_lifecycle(call: Call) -> Answer {
    put(call, |store, bucket, received| {
        let rules = document::parse_lifecycle(received)?;
        Ok(lifecycle::save(store, bucket, rules)?)
    })
    .await
}

/// `PUT /?cors`
pub async fn put_cors(call: Call) -> Answer {
    put(call, |store, bucket, received| {
        let configuration = document::parse_cors(received)?;
        let text = quick_xml::se::to_string(&configuration)
            .map_err(|error| Refusal::malformed_xml(error.to_string()))?;
        if text.len() > cors::MAX_LEN {
            let most = cors::MAX_LEN;
            return Err(Refusal::xml_size_limit(format!(
                "the rules have more than {most} bytes"
            )));
        }
        Ok(cors::save(store, bucket, text)?)
    })
    .await
}

/// Receives the document of a bucket, and has it kept.
async fn put(call: Call, keep: fn(&PartStore, &str, &[u8]) -> Result<(), Refusal>) -> Answer {
    call.require_bucket().await?;
    let (store, bucket) = (call.service.store.clone(), call.target.bucket.clone());
    let received = received_document(call).await?;
    blocking(&store, move |store| keep(store, &bucket, &received)).await?;
    Ok(answer::ok())
}
