//! The headers that an object keeps, in the form that the protocol of COS has: `x-amz-meta-NAME` is `x-cos-meta-NAME`.
//! So each protocol gives back what the other has taken.

use hyper::HeaderMap;
use hyper::header::{CONTENT_ENCODING, CONTENT_TYPE, HeaderName, HeaderValue};
use s3s::S3Result;

use super::error;
use crate::cos::metadata;

const OURS: &str = "x-amz-meta-";
const THEIRS: &str = metadata::META;
const CLASS: [&str; 2] = ["x-amz-storage-class", "x-cos-storage-class"];
/// What an object without a type is.
const BYTES: &str = "binary/octet-stream";

/// The metadata of an object, from the headers of a request.
pub fn kept(request: &HeaderMap) -> S3Result<Vec<u8>> {
    let mut headers = HeaderMap::new();
    for (name, value) in request {
        if let Some(name) = renamed(name.as_str(), (OURS, THEIRS), CLASS) {
            headers.append(name, value.clone());
        } else if name == CONTENT_ENCODING {
            headers.extend(without_chunks(value).map(|value| (CONTENT_ENCODING, value)));
        } else if !name.as_str().starts_with("x-") {
            headers.append(name, value.clone());
        }
    }
    metadata::of(&headers).map_err(error::refused)
}

/// The headers of an answer, from the metadata of an object.
pub fn answered(metadata: &[u8]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in &metadata::headers(metadata) {
        let [class, theirs] = CLASS;
        let renamed = renamed(name.as_str(), (THEIRS, OURS), [theirs, class]);
        headers.append(renamed.unwrap_or_else(|| name.clone()), value.clone());
    }
    if headers
        .get(CLASS[0])
        .is_some_and(|class| class == "STANDARD")
    {
        headers.remove(CLASS[0]);
    }
    headers
        .entry(CONTENT_TYPE)
        .or_insert(HeaderValue::from_static(BYTES));
    headers
}

fn renamed(name: &str, (from, to): (&str, &str), class: [&str; 2]) -> Option<HeaderName> {
    let new = match name.strip_prefix(from) {
        Some(rest) => format!("{to}{rest}"),
        None if name == class[0] => class[1].to_owned(),
        None => return None,
    };
    HeaderName::from_bytes(new.as_bytes()).ok()
}

/// `aws-chunked` is how a body comes, and not how the object is encoded.
fn without_chunks(value: &HeaderValue) -> Option<HeaderValue> {
    let text = value.to_str().ok()?;
    let left: Vec<_> = text
        .split(',')
        .map(str::trim)
        .filter(|one| !one.is_empty() && !one.eq_ignore_ascii_case("aws-chunked"))
        .collect();
    (!left.is_empty()).then(|| HeaderValue::from_str(&left.join(", ")).ok())?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_is_answered_and_chunks_are_no_encoding() {
        let request: HeaderMap = [
            ("x-amz-meta-color", "red"),
            ("content-encoding", "aws-chunked, gzip"),
            ("x-amz-storage-class", "STANDARD_IA"),
            ("x-amz-date", "today"),
        ]
        .into_iter()
        .map(|(name, value)| {
            let name = HeaderName::from_static(name);
            (name, HeaderValue::from_static(value))
        })
        .collect();
        let answer = answered(&kept(&request).unwrap());
        assert_eq!(answer["x-amz-meta-color"], "red");
        assert_eq!(answer["content-encoding"], "gzip");
        assert_eq!(answer["x-amz-storage-class"], "STANDARD_IA");
        assert_eq!(answer["content-type"], BYTES);
        assert_eq!(answer.len(), 4);
    }
}
