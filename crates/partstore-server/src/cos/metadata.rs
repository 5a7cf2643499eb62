//! The headers that an object keeps. A client gives them when it initiates the upload, and gets them when it reads.
//!
//! They are stored in the upload's metadata, as lines of `name: value`. No value can break a line, because a header
//! holds no line end.

use hyper::HeaderMap;
use hyper::header::{HeaderName, HeaderValue};

use crate::cos::refusal::Refusal;
use crate::cos::request::cos_header;

const KEPT: [&str; 7] = [
    "cache-control",
    "content-disposition",
    "content-encoding",
    "content-language",
    "content-type",
    "expires",
    "x-cos-storage-class",
];
const META: &str = "x-cos-meta-";
/// Names and values of `x-cos-meta-*` together, bytes.
const MAX_META_LEN: usize = 4096;

/// The headers to keep, as bytes for the upload's metadata.
pub fn of(headers: &HeaderMap) -> Result<Vec<u8>, Refusal> {
    let (mut lines, mut meta_len) = (Vec::new(), 0);
    for (name, value) in headers {
        let is_meta = name.as_str().starts_with(META);
        if is_meta {
            meta_len += name.as_str().len() + value.len();
        }
        if is_meta || KEPT.contains(&name.as_str()) {
            lines.extend_from_slice(name.as_str().as_bytes());
            lines.extend_from_slice(b": ");
            lines.extend_from_slice(value.as_bytes());
            lines.push(b'\n');
        }
    }
    if meta_len > MAX_META_LEN {
        return Err(Refusal::metadata_too_large(format!(
            "x-cos-meta-* are {meta_len} bytes; at most {MAX_META_LEN} are allowed"
        )));
    }
    Ok(lines)
}

/// Refuses what a client that writes would rely on and this server does not do.
pub fn check_honoured(headers: &HeaderMap) -> Result<(), Refusal> {
    match cos_header(headers, "x-cos-server-side-encryption")? {
        None => {}
        Some("AES256") => return Err(Refusal::not_implemented("this server does not encrypt")),
        Some(_) => {
            return Err(Refusal::sse_not_supported(
                "the encryption can only be AES256",
            ));
        }
    }
    for name in [
        "x-cos-server-side-encryption-customer-algorithm",
        "x-cos-forbid-overwrite",
        "x-cos-callback",
        "if-modified-since",
        "if-unmodified-since",
    ] {
        // Clients may also say that overwriting is not forbidden.
        let is_meant = |value| (name, value) != ("x-cos-forbid-overwrite", "false");
        if cos_header(headers, name)?.is_some_and(is_meant) {
            return Err(Refusal::not_implemented(format!(
                "this server does not know {name}"
            )));
        }
    }
    Ok(())
}

/// The headers that were kept.
pub fn headers(metadata: &[u8]) -> HeaderMap {
    let lines = metadata.split(|byte| *byte == b'\n');
    let pairs = lines.filter_map(|line| {
        let colon = line.windows(2).position(|two| two == b": ")?;
        let (name, value) = line.split_at(colon);
        let name = HeaderName::from_bytes(name).ok()?;
        Some((name, HeaderValue::from_bytes(value.get(2..)?).ok()?))
    });
    pairs.collect()
}

/// The storage class that was asked for. All classes are stored alike.
pub fn storage_class(metadata: &[u8]) -> String {
    let headers = headers(metadata);
    let class = headers
        .get("x-cos-storage-class")
        .and_then(|class| class.to_str().ok());
    class.unwrap_or("STANDARD").to_owned()
}
