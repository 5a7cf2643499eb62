//! What a request that writes may ask for. Whatever this server would not do must not be dropped silently: chunk framing
//! would be stored as data, and an object would not be locked.
//!
//! Headers of COS and of other object stores are allowed by name. Other headers, such as those of proxies, pass.

use hyper::HeaderMap;
use hyper::header::{CONTENT_ENCODING, HeaderName, HeaderValue};

use crate::cos::metadata::META;
use crate::cos::refusal::Refusal;
use crate::cos::request::{cos_header, text};

/// Names of these families mean something to an object store.
const FAMILIES: [&str; 14] = [
    "content-",
    "if-",
    "pic-",
    "x-amz-",
    "x-bce-",
    "x-ci-",
    "x-cos-",
    "x-goog-",
    "x-http-method",
    "x-method-override",
    "x-ms-",
    "x-obs-",
    "x-oss-",
    "x-tos-",
];
/// Those of the families that are known, or change nothing.
const KNOWN: [&str; 39] = [
    "content-disposition",
    "content-encoding",
    "content-language",
    "content-length",
    "content-location",
    "content-md5",
    "content-transfer-encoding",
    "content-type",
    "if-match",
    "if-none-match",
    "x-amz-date",
    "x-amz-user-agent",
    "x-ci-request-id",
    "x-cos-acl",
    CONTENT_SHA1,
    "x-cos-copy-source",
    "x-cos-copy-source-if-match",
    "x-cos-copy-source-if-modified-since",
    "x-cos-copy-source-if-none-match",
    "x-cos-copy-source-if-unmodified-since",
    "x-cos-copy-source-range",
    "x-cos-date",
    "x-cos-forbid-overwrite",
    "x-cos-grant-full-control",
    "x-cos-grant-read",
    "x-cos-grant-read-acp",
    "x-cos-grant-write",
    "x-cos-grant-write-acp",
    "x-cos-metadata-directive",
    "x-cos-next-append-position",
    "x-cos-request-id",
    "x-cos-security-token",
    "x-cos-server-side-encryption",
    "x-cos-storage-class",
    "x-cos-tagging-directive",
    "x-cos-traffic-limit",
    "x-cos-user-agent",
    "x-goog-api-client",
    "x-ms-client-request-id",
];

/// The SHA-1 of the body, of an object or a part that is put.
pub const CONTENT_SHA1: &str = "x-cos-content-sha1";

/// Any names with these beginnings: those that the object keeps, and what an SDK says of itself.
const FREE: [&str; 2] = [META, "x-cos-sdk-"];

/// Whether a header, or a parameter that stands for one, may come with a request that writes.
pub fn is_known(name: &str) -> bool {
    let is_meant = FAMILIES.iter().any(|family| name.starts_with(family));
    !is_meant || FREE.iter().any(|free| name.starts_with(free)) || KNOWN.contains(&name)
}

/// Refuses a request that writes, if it asks for what this server does not do.
pub fn check(headers: &HeaderMap) -> Result<(), Refusal> {
    let unknown = |name: &&HeaderName| !is_known(name.as_str()) && !is_empty(headers, name);
    if let Some(name) = headers.keys().find(unknown) {
        return Err(Refusal::not_supported(format!(
            "this server does not know {name} of a request that writes"
        )));
    }
    let chunked = text(headers, &CONTENT_ENCODING)?
        .is_some_and(|codings| codings.to_ascii_lowercase().contains("aws-chunked"));
    if chunked {
        return Err(Refusal::not_supported("this server knows no aws-chunked"));
    }
    check_encryption(headers)?;
    match cos_header(headers, "x-cos-tagging-directive")? {
        Some(directive) if !directive.eq_ignore_ascii_case("copy") => {
            Err(Refusal::not_supported("this server keeps no tags"))
        }
        _ => Ok(()),
    }
}

/// Refuses a digest that nobody would compare.
pub fn check_no_sha1(headers: &HeaderMap) -> Result<(), Refusal> {
    match cos_header(headers, CONTENT_SHA1)? {
        None => Ok(()),
        Some(_) => Err(Refusal::not_supported(format!(
            "{CONTENT_SHA1} is only known of an object or a part that is put"
        ))),
    }
}

/// An empty value means that there is none.
fn is_empty(headers: &HeaderMap, name: &HeaderName) -> bool {
    headers.get_all(name).iter().all(HeaderValue::is_empty)
}

fn check_encryption(headers: &HeaderMap) -> Result<(), Refusal> {
    match cos_header(headers, "x-cos-server-side-encryption")? {
        None => Ok(()),
        Some("AES256") => Err(Refusal::not_supported("this server does not encrypt")),
        Some(_) => Err(Refusal::sse_not_supported(
            "the encryption can only be AES256",
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_could_mean_something_is_known_or_refused() {
        for known in [
            "content-type",
            "x-cos-meta-a",
            "x-cos-sdk-retry",
            "cf-ray",
            "x-forwarded-for",
            "te",
        ] {
            assert!(is_known(known), "{known}");
        }
        for unknown in [
            "x-amz-copy-source",
            "x-cos-object-lock-mode",
            "pic-operations",
        ] {
            assert!(!is_known(unknown), "{unknown}");
        }
    }
}
