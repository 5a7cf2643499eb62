//! [`Described`]: what answers say of an object.

use std::time::SystemTime;

use hyper::header::{
    ACCEPT_RANGES, CACHE_CONTROL, CONTENT_TYPE, EXPIRES, HeaderName, HeaderValue, LAST_MODIFIED,
};
use hyper::{HeaderMap, Response, StatusCode};
use partstore::{Checksums, Object};

use super::append::NEXT_POSITION;
use crate::cos::answer::{self, Answer, Body, set, set_crc64};
use crate::cos::conditions::State;
use crate::cos::metadata;
use crate::cos::refusal::Refusal;
use crate::cos::request::Query;

/// What answers say of an object.
pub struct Described {
    /// Quoted.
    pub etag: String,
    pub size: u64,
    pub modified: SystemTime,
    pub checksums: Checksums,
    pub parts: u16,
    metadata: Vec<u8>,
}

impl Described {
    pub fn of(object: &Object) -> Self {
        Self {
            etag: object.etag.quoted(),
            size: object.size,
            modified: object.modified_at,
            checksums: object.checksums,
            parts: object.parts,
            metadata: object.metadata.clone(),
        }
    }

    pub fn state(&self) -> State<'_> {
        State {
            etag: &self.etag,
            modified: self.modified,
        }
    }

    pub fn metadata(&self) -> &[u8] {
        &self.metadata
    }

    pub fn last_modified(&self) -> HeaderValue {
        let text = httpdate::fmt_http_date(self.modified);
        HeaderValue::try_from(text).unwrap_or(HeaderValue::from_static(""))
    }

    pub fn not_modified(&self) -> Response<Body> {
        let mut response = answer::ok();
        *response.status_mut() = StatusCode::NOT_MODIFIED;
        // RFC 9110, 15.4.5: what a cache needs.
        let mut kept = metadata::headers(&self.metadata);
        for name in [CACHE_CONTROL, EXPIRES] {
            if let Some(value) = kept.remove(&name) {
                response.headers_mut().insert(name, value);
            }
        }
        set(&mut response, "etag", &self.etag);
        response
            .headers_mut()
            .insert(LAST_MODIFIED, self.last_modified());
        response
    }

    /// The headers of GET and HEAD; `response-*` parameters replace what the object has.
    pub fn response(&self, query: &Query) -> Answer {
        let mut response = answer::ok();
        *response.headers_mut() = metadata::headers(&self.metadata);
        let headers = response.headers_mut();
        let default = HeaderValue::from_static("application/octet-stream");
        headers.entry(CONTENT_TYPE).or_insert(default);
        replace(headers, query)?;
        headers.insert(LAST_MODIFIED, self.last_modified());
        headers.insert(ACCEPT_RANGES, HeaderValue::from_static("bytes"));
        set(&mut response, "etag", &self.etag);
        set_crc64(&mut response, &self.checksums);
        if metadata::is_appendable(&self.metadata) {
            set(&mut response, NEXT_POSITION, self.size.to_string());
        }
        if query.has("partNumber") {
            set(
                &mut response,
                "x-cos-mp-parts-count",
                self.parts.to_string(),
            );
        }
        Ok(response)
    }
}

/// They replace headers of the answer.
const REPLACING: [&str; 6] = [
    "response-cache-control",
    "response-content-disposition",
    "response-content-encoding",
    "response-content-language",
    "response-content-type",
    "response-expires",
];

fn replace(headers: &mut HeaderMap, query: &Query) -> Result<(), Refusal> {
    for parameter in REPLACING {
        let name = parameter.strip_prefix("response-");
        let Some((name, value)) = name.zip(query.filled(parameter)) else {
            continue;
        };
        let value = HeaderValue::from_str(value);
        let value = value.map_err(|_| {
            Refusal::invalid_argument(format!("{parameter} is not the value of a header"))
        })?;
        headers.insert(HeaderName::from_static(name), value);
    }
    Ok(())
}
