//! Answers: bodies, XML, and the headers that all of them have.

use std::fmt::Write as _;
use std::time::{SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Empty, Full};
use hyper::header::{CONTENT_TYPE, HeaderName, HeaderValue};
use hyper::{Response, StatusCode};
use partstore::Checksums;
use serde::Serialize;

use crate::cos::refusal::Refusal;

pub type Body = UnsyncBoxBody<Bytes, std::io::Error>;
pub type Answer = Result<Response<Body>, Refusal>;

pub fn empty() -> Body {
    Empty::new().map_err(|never| match never {}).boxed_unsync()
}

/// 200 without a body.
pub fn ok() -> Response<Body> {
    Response::new(empty())
}

/// The answer to a part or an object that was stored. The ETag is quoted.
pub fn stored(etag: &str, checksums: &Checksums) -> Response<Body> {
    let mut response = ok();
    set(&mut response, "etag", etag);
    set_crc64(&mut response, checksums);
    response
}

/// 204, which has no body by definition.
pub fn no_content() -> Response<Body> {
    let mut response = ok();
    *response.status_mut() = StatusCode::NO_CONTENT;
    response
}

/// 200 with `document`.
pub fn xml(document: &impl Serialize) -> Answer {
    let body = quick_xml::se::to_string(document);
    let body = body.map_err(|error| Refusal::internal(error.to_string()))?;
    // A bare carriage return would be read as the end of a line.
    let body = body.replace(not_in_xml, "\u{fffd}");
    Ok(self::document(&body.replace('\r', "&#13;")))
}

/// 200 with the text of a document.
pub fn document(text: &str) -> Response<Body> {
    let whole = format!(r#"<?xml version="1.0" encoding="UTF-8"?>{text}"#);
    let body = Full::new(Bytes::from(whole)).map_err(|never| match never {});
    let mut response = Response::new(body.boxed_unsync());
    let kind = HeaderValue::from_static("application/xml");
    response.headers_mut().insert(CONTENT_TYPE, kind);
    response
}

/// Characters that XML cannot hold, not even escaped. Clients may still name an upload, or a prefix, with them.
fn not_in_xml(c: char) -> bool {
    (c < ' ' && !matches!(c, '\t' | '\n' | '\r')) || matches!(c, '\u{fffe}' | '\u{ffff}')
}

/// Sets a header, unless its value holds what a header cannot.
pub fn set(response: &mut Response<Body>, name: &'static str, value: impl AsRef<str>) {
    if let Ok(value) = HeaderValue::from_str(value.as_ref()) {
        let name = HeaderName::from_static(name);
        response.headers_mut().insert(name, value);
    }
}

/// CRC-64/XZ, as an unsigned decimal number.
pub fn set_crc64(response: &mut Response<Body>, checksums: &Checksums) {
    if let Some(crc64) = checksums.crc64_xz() {
        set(response, "x-cos-hash-crc64ecma", crc64.to_string());
    }
}

/// The id by which an answer is found in the log.
pub struct RequestId {
    pub request: String,
    pub trace: String,
}

impl RequestId {
    /// Seconds and 96 random bits, as COS has it: the base64 form of hex digits with `_` between.
    pub fn new() -> Self {
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        let seconds = now.map_or(0, |since| since.as_secs());
        let mut text = format!("{seconds:08x}");
        for _ in 0..3 {
            let _ = write!(text, "_{:x}", fastrand::u32(..));
        }
        let trace = STANDARD.encode(fastrand::u128(..).to_be_bytes());
        Self {
            request: STANDARD.encode(text),
            trace,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http_body_util::BodyExt;

    #[derive(serde::Serialize)]
    struct Named<'a> {
        #[serde(rename = "Key")]
        key: &'a str,
    }

    #[tokio::test]
    async fn names_come_through_xml_as_far_as_it_can_hold_them() {
        let answer = xml(&Named {
            key: "<a\r\n\tb\u{1}",
        });
        let body = answer.unwrap().into_body().collect().await.unwrap();
        let text = String::from_utf8(body.to_bytes().to_vec()).unwrap();
        assert!(
            text.ends_with("<Key>&lt;a&#13;\n\tb\u{fffd}</Key></Named>"),
            "{text}"
        );
    }
}
