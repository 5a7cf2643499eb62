//! Headers of writes that ask for what the server does not do. Who sends one must not believe that it is done.

use hyper::{HeaderMap, StatusCode};
use s3s::{S3Error, S3Result};

use super::error;

const ACL: &str = "an ACL";

/// Beginnings of names, and what such a header asks for.
const REFUSED: [(&str, &str); 8] = [
    ("x-amz-grant-", ACL),
    ("x-amz-object-lock-", "object lock"),
    ("x-amz-server-side-encryption", "encryption"),
    ("x-amz-copy-source-server-side-encryption", "encryption"),
    ("x-amz-website-redirect-location", "a website"),
    // Of a DELETE, which would be done whether they hold or not.
    ("x-amz-if-match-", "a condition on time or size"),
    ("x-amz-acl", ACL),
    ("x-amz-tagging", "a tag"),
];

/// What a header asks for that is not done.
pub fn asks(name: &str) -> Option<&'static str> {
    let found = REFUSED.iter().find(|(begin, _)| name.starts_with(begin));
    found.map(|(_, what)| *what)
}

/// The classes of storage that S3 has. An object keeps the name of its one.
const CLASSES: [&str; 12] = [
    "DEEP_ARCHIVE",
    "EXPRESS_ONEZONE",
    "FSX_OPENZFS",
    "GLACIER",
    "GLACIER_IR",
    "INTELLIGENT_TIERING",
    "ONEZONE_IA",
    "OUTPOSTS",
    "REDUCED_REDUNDANCY",
    "SNOW",
    "STANDARD",
    "STANDARD_IA",
];

/// Refuses the headers of a write that would be dropped, other than in vain, and a class of storage that does not exist.
pub fn check(headers: &HeaderMap) -> S3Result<()> {
    let class = headers.get("x-amz-storage-class");
    if class.is_some_and(|class| CLASSES.iter().all(|known| class != known)) {
        let message = "the storage class is none of S3";
        return Err(error::new("InvalidStorageClass", message));
    }
    for (name, value) in headers {
        let name = name.as_str();
        let Some(what) = asks(name) else { continue };
        let value = value.to_str().unwrap_or("?");
        if !is_nothing(name, value.trim()) {
            return Err(if what == ACL {
                acl()
            } else {
                error::not_implemented(what)
            });
        }
    }
    Ok(())
}

/// The answer of a bucket whose owner owns all, which is no 501: some programs try again after that, for a minute.
pub fn acl() -> S3Error {
    let message = "ACLs other than private are not supported";
    let mut refused = error::new("AccessControlListNotSupported", message);
    refused.set_status_code(StatusCode::BAD_REQUEST);
    refused
}

/// Whether a header only says what holds anyway.
fn is_nothing(name: &str, value: &str) -> bool {
    match name {
        "x-amz-acl" => matches!(value, "" | "private" | "bucket-owner-full-control"),
        "x-amz-tagging-directive" => true,
        "x-amz-object-lock-legal-hold" => matches!(value, "" | "OFF"),
        "x-amz-server-side-encryption-bucket-key-enabled" => matches!(value, "" | "false"),
        _ => value.is_empty(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_would_be_dropped_is_refused() {
        let is_taken = |name: &'static str, value: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert(name, value.parse().unwrap());
            check(&headers).is_ok()
        };
        assert!(is_taken("x-amz-acl", "private"));
        assert!(is_taken("x-amz-tagging", ""));
        assert!(is_taken("x-amz-meta-acl", "public-read"));
        assert!(is_taken("x-amz-storage-class", "STANDARD"));
        assert!(is_taken(
            "x-amz-server-side-encryption-bucket-key-enabled",
            "false"
        ));
        assert!(!is_taken("x-amz-storage-class", "standard"));
        assert!(!is_taken("x-amz-acl", "public-read"));
        assert!(!is_taken("x-amz-grant-read", "uri=\"a\""));
        assert!(!is_taken("x-amz-tagging", "a=b"));
        assert!(!is_taken("x-amz-server-side-encryption", "AES256"));
        assert!(!is_taken(
            "x-amz-server-side-encryption-customer-algorithm",
            "AES256"
        ));
        assert!(!is_taken("x-amz-object-lock-mode", "GOVERNANCE"));
    }
}
