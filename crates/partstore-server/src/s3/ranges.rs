//! A `Range` that HTTP passes over: several ranges, another unit, or what is none. S3 answers all of the object then,
//! and `s3s` would refuse the request.

use hyper::header::{AUTHORIZATION, HeaderValue, RANGE};
use hyper::http::request::Parts;
use percent_encoding::percent_decode_str;
use s3s::dto::Range;

/// Takes a range away that means nothing. One that is signed must stay as it is, and `s3s` refuses that.
pub fn pass_over(head: &mut Parts) {
    let Some(range) = head.headers.get(RANGE) else {
        return;
    };
    let is_known = range.to_str().is_ok_and(|text| Range::parse(text).is_ok());
    if is_known || is_signed(head) {
        return;
    }
    let clipped = range.to_str().ok().and_then(clipped);
    match clipped {
        Some(clipped) => head.headers.insert(RANGE, clipped),
        None => head.headers.remove(RANGE),
    };
}

/// A range whose last byte has a number that is larger than any object's, to the end.
fn clipped(text: &str) -> Option<HeaderValue> {
    let (first, last) = text.strip_prefix("bytes=")?.split_once('-')?;
    if last.is_empty() || !last.bytes().all(|digit| digit.is_ascii_digit()) {
        return None;
    }
    let open = format!("bytes={first}-");
    let parsed = Range::parse(&open).ok()?;
    let Range::Int { first, .. } = parsed else {
        return None;
    };
    let is_behind = last.parse::<u64>().is_ok_and(|last| last < first);
    if is_behind {
        return None;
    }
    HeaderValue::from_str(&open).ok()
}

/// Whether the signature holds only with this range. One of version 2 never has it.
fn is_signed(head: &Parts) -> bool {
    let of_header = head.headers.get(AUTHORIZATION);
    let of_header = of_header.and_then(|value| value.to_str().ok());
    let signed = of_header.and_then(|value| value.split_once("SignedHeaders="));
    let query = head.uri.query().unwrap_or_default();
    let signed = signed.or_else(|| query.split_once("X-Amz-SignedHeaders="));
    let Some((_, names)) = signed else {
        return false;
    };
    let names = names.split([',', '&']).next().unwrap_or_default();
    let names = percent_decode_str(names).decode_utf8_lossy();
    names.split(';').any(|name| name.trim() == "range")
}

#[cfg(test)]
mod tests {
    use super::*;
    use hyper::Request;

    fn passed(range: &str, uri: &str, authorization: &str) -> Option<String> {
        let request = Request::get(uri)
            .header(RANGE, range)
            .header(AUTHORIZATION, authorization);
        let (mut head, ()) = request.body(()).unwrap().into_parts();
        pass_over(&mut head);
        let range = head.headers.get(RANGE)?;
        Some(range.to_str().unwrap().to_owned())
    }

    #[test]
    fn what_is_no_range_of_bytes_is_passed_over() {
        for (range, left) in [
            ("bytes=0-1", Some("bytes=0-1")),
            ("bytes=5-", Some("bytes=5-")),
            ("bytes=-5", Some("bytes=-5")),
            ("bytes=5-99999999999999999999", Some("bytes=5-")),
            ("bytes=5-4", None),
            ("bytes=9223372036854775806-9223372036854775805", None),
            ("bytes=0-1,5-6", None),
            ("bytes=a-b", None),
            ("lines=0-1", None),
            ("", None),
        ] {
            let uri = "/b/k?X-Amz-SignedHeaders=host&X-Amz-Signature=0";
            let got = passed(range, uri, "AWS id:signature");
            assert_eq!(got.as_deref(), left, "{range}");
        }
    }

    #[test]
    fn what_is_signed_stays() {
        let range = "bytes=0-1,5-6";
        let of_header =
            "AWS4-HMAC-SHA256 Credential=a, SignedHeaders=host;range;x-amz-date, Signature=0";
        for (uri, authorization) in [
            ("/b/k", of_header),
            (
                "/b/k?X-Amz-SignedHeaders=host%3Brange&X-Amz-Signature=0",
                "",
            ),
            ("/b/k?X-Amz-SignedHeaders=host%3brange", ""),
        ] {
            let got = passed(range, uri, authorization);
            assert_eq!(got.as_deref(), Some(range), "{uri}");
        }
    }
}
