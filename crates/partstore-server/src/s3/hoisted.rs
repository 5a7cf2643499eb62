//! Headers that a presigned URL has in its query. Some SDKs move them there, and S3 takes them for headers.

use hyper::header::{HeaderName, HeaderValue};
use hyper::http::request::Parts;
use percent_encoding::percent_decode_str;

use super::refused;

const META: &str = "x-amz-meta-";
const CLASS: &str = "x-amz-storage-class";

/// Moves to the headers what an object keeps, and what is [`refused`], as the query is signed as well. `s3s` reads
/// neither there. Checksums stay: the SDK for JavaScript puts that of an empty body into each URL.
pub fn unfold(head: &mut Parts) {
    let query = head.uri.query().unwrap_or_default();
    if !query.contains("X-Amz-Signature=") {
        return;
    }
    for pair in query.split('&') {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        if let Some((name, value)) = header(name, value)
            && !head.headers.contains_key(&name)
        {
            head.headers.insert(name, value);
        }
    }
}

fn header(name: &str, value: &str) -> Option<(HeaderName, HeaderValue)> {
    let name = percent_decode_str(name).decode_utf8().ok()?;
    let name = name.to_ascii_lowercase();
    let is_meant = name.starts_with(META) || name == CLASS || refused::asks(&name).is_some();
    let value: Vec<u8> = percent_decode_str(value).collect();
    let name = is_meant.then(|| HeaderName::from_bytes(name.as_bytes()).ok())??;
    Some((name, HeaderValue::from_bytes(&value).ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use hyper::Request;

    #[test]
    fn metadata_of_a_presigned_url_is_a_header_and_a_checksum_is_none() {
        let query = "X-Amz-Signature=0&x-amz-meta-a%20b=1&x-amz-meta-color=light%20red&x-amz-acl=private\
                     &x-amz-checksum-crc32=AAAAAA%3D%3D&x-id=PutObject";
        let request = Request::put(format!("/bucket/key?{query}"));
        let (mut head, ()) = request.body(()).unwrap().into_parts();
        unfold(&mut head);
        assert_eq!(head.headers["x-amz-meta-color"], "light red");
        assert_eq!(head.headers["x-amz-acl"], "private");
        assert_eq!(head.headers.len(), 2);
    }

    #[test]
    fn a_query_without_a_signature_has_no_headers() {
        let request = Request::put("/bucket/key?x-amz-meta-color=red");
        let (mut head, ()) = request.body(()).unwrap().into_parts();
        unfold(&mut head);
        assert!(head.headers.is_empty());
    }
}
