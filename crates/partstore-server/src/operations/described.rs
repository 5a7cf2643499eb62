//! [`Described`]: what answers say of an object.

use std::time::SystemTime;

use hyper::header::{ACCEPT_RANGES, CONTENT_TYPE, HeaderName, HeaderValue, LAST_MODIFIED};
use hyper::{HeaderMap, Response, StatusCode};
use partstore::{Object, ObjectReader};

use crate::answer::{self, Answer, Body, set, set_crc64};
use crate::conditions::State;
use crate::metadata;
use crate::names::{Names, Origin};
use crate::refusal::Refusal;
use crate::request::{Query, Target};
use crate::service::READ;

/// What answers say of an object.
pub struct Described {
    /// Quoted.
    pub etag: String,
    pub size: u64,
    pub modified: SystemTime,
    pub crc64: u64,
    pub parts: u16,
    metadata: Vec<u8>,
}

impl Described {
    /// The ETag of an object that was put at once is the MD5 of its bytes.
    pub fn new(reader: &ObjectReader, origin: Origin) -> Self {
        let described = Self::of(reader.object());
        match (origin, reader.parts()) {
            (Origin::Direct, [only]) => Self {
                etag: only.part.etag.quoted(),
                ..described
            },
            _ => described,
        }
    }

    fn of(object: &Object) -> Self {
        Self {
            etag: object.etag.quoted(),
            size: object.size,
            modified: object.completed_at,
            crc64: object.crc64,
            parts: object.parts,
            metadata: object.metadata.clone(),
        }
    }

    /// Describes the object of a name, if it exists. Parts are read only when the ETag is that of a part.
    pub fn find(names: &Names, target: &Target) -> Result<Option<Self>, Refusal> {
        Ok(match names.look_at(target)? {
            Some((object, Origin::Direct)) if object.parts == 1 => {
                let opened = names.open(target)?;
                opened.map(|(reader, origin)| Self::new(&reader, origin))
            }
            found => found.map(|(object, _)| Self::of(&object)),
        })
    }

    pub fn state(&self) -> State<'_> {
        State {
            etag: &self.etag,
            modified: self.modified,
        }
    }

    pub fn storage_class(&self) -> String {
        metadata::storage_class(&self.metadata)
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
        set_crc64(&mut response, self.crc64);
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

fn replace(headers: &mut HeaderMap, query: &Query) -> Result<(), Refusal> {
    for parameter in READ {
        let name = parameter.strip_prefix("response-");
        let Some((name, value)) = name.zip(query.get(parameter)) else {
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
