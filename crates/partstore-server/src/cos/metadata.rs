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
pub const META: &str = "x-cos-meta-";
/// Kept with an upload, for its completion. No answer has it.
pub const FORBID_OVERWRITE: &str = "x-cos-forbid-overwrite";
/// Kept with an object that began with an append.
const OBJECT_TYPE: &str = "x-cos-object-type";
const APPENDABLE: &str = "appendable";
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
        let is_kept = is_meta || KEPT.contains(&name.as_str());
        // An empty value means that there is none.
        if is_kept && !value.is_empty() {
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

/// The headers that were kept for the object.
pub fn headers(metadata: &[u8]) -> HeaderMap {
    let mut headers = all(metadata);
    headers.remove(FORBID_OVERWRITE);
    headers
}

/// Whether an upload was initiated by a request that replaces no object.
pub fn upload_forbids_overwrite(metadata: &[u8]) -> bool {
    all(metadata).contains_key(FORBID_OVERWRITE)
}

fn all(metadata: &[u8]) -> HeaderMap {
    let lines = metadata.split(|byte| *byte == b'\n');
    let pairs = lines.filter_map(|line| {
        let colon = line.windows(2).position(|two| two == b": ")?;
        let (name, value) = line.split_at(colon);
        let name = HeaderName::from_bytes(name).ok()?;
        Some((name, HeaderValue::from_bytes(value.get(2..)?).ok()?))
    });
    pairs.collect()
}

/// What an upload keeps: that of its object, and whether that may replace another one.
pub fn of_upload(headers: &HeaderMap) -> Result<Vec<u8>, Refusal> {
    let mut lines = of(headers)?;
    if forbids_overwrite(headers)? {
        lines.extend_from_slice(FORBID_OVERWRITE.as_bytes());
        lines.extend_from_slice(b": true\n");
    }
    Ok(lines)
}

/// What an object keeps to which bytes can be appended.
pub fn of_appendable(headers: &HeaderMap) -> Result<Vec<u8>, Refusal> {
    let mut lines = of(headers)?;
    lines.extend_from_slice(format!("{OBJECT_TYPE}: {APPENDABLE}\n").as_bytes());
    Ok(lines)
}

/// Whether bytes can be appended to the object.
pub fn is_appendable(metadata: &[u8]) -> bool {
    all(metadata).contains_key(OBJECT_TYPE)
}

/// What a copy keeps: it did not begin with an append.
pub fn of_copy(metadata: &[u8]) -> Vec<u8> {
    let lines = metadata.split_inclusive(|byte| *byte == b'\n');
    let kept = lines.filter(|line| !line.starts_with(OBJECT_TYPE.as_bytes()));
    kept.flatten().copied().collect()
}

/// Whether a request says that it replaces no object.
pub fn forbids_overwrite(headers: &HeaderMap) -> Result<bool, Refusal> {
    let value = cos_header(headers, FORBID_OVERWRITE)?;
    Ok(value.is_some_and(|value| value.eq_ignore_ascii_case("true")))
}

/// The storage class that was asked for. All classes are stored alike.
pub fn storage_class(metadata: &[u8]) -> String {
    let headers = headers(metadata);
    let class = headers
        .get("x-cos-storage-class")
        .and_then(|class| class.to_str().ok());
    class.unwrap_or("STANDARD").to_owned()
}
