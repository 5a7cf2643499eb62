//! [`S3Front`]: requests on their way to `s3s`, and what the log says of them.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use hyper::header::{ALLOW, CONTENT_TYPE, HOST, HeaderValue, SERVER};
use hyper::{HeaderMap, Method, Request, Response, StatusCode};
use partstore_tokio::AsyncPartStore;
use percent_encoding::percent_decode_str;
use s3s::service::{S3Service, S3ServiceBuilder};
use s3s::{Body, HttpError, S3Result};

use super::Objects;
use super::auth::{Domains, Secrets};
use super::{auth, buckets, error, hoisted, parameters, ranges};
use crate::access::{Inbound, Told};
use crate::cos::answer::RequestId;
use crate::cross_origin::{self, Allowed, Asked};
use crate::rules::Current;
use crate::server::Front;

/// Answers requests of S3.
pub struct S3Front {
    service: S3Service,
    domains: Domains,
    store: AsyncPartStore,
    rules: Arc<Current>,
}

/// What pages of `--cors-origin` may read.
const EXPOSED: [&str; 16] = [
    "Accept-Ranges",
    "Content-Disposition",
    "Content-Encoding",
    "Content-Length",
    "Content-Range",
    "Date",
    "ETag",
    "Last-Modified",
    "x-amz-checksum-crc32",
    "x-amz-checksum-crc32c",
    "x-amz-checksum-crc64nvme",
    "x-amz-checksum-sha1",
    "x-amz-checksum-sha256",
    "x-amz-checksum-type",
    "x-amz-mp-parts-count",
    "x-amz-request-id",
];

impl S3Front {
    /// A client may be silent for so long in the middle of a body.
    pub fn new(store: AsyncPartStore, rules: &Arc<Current>, patience: Duration) -> Self {
        let mut builder = S3ServiceBuilder::new(Objects {
            store: store.clone(),
            rules: rules.clone(),
            patience,
        });
        builder.set_auth(Secrets(rules.clone()));
        builder.set_host(Domains(rules.clone()));
        builder.set_validation(Names);
        Self {
            service: builder.build(),
            domains: Domains(rules.clone()),
            store,
            rules: rules.clone(),
        }
    }

    /// What a request is about, for the log.
    fn names(&self, request: &Request<Inbound>) -> Told {
        let path = percent_decode_str(request.uri().path()).decode_utf8_lossy();
        let path = path.strip_prefix('/').unwrap_or(&path);
        let host = request.headers().get(HOST);
        let host = host.and_then(|host| host.to_str().ok()).unwrap_or_default();
        let (bucket, key) = match self.domains.bucket_of(host) {
            Some(bucket) => (bucket, path),
            None => path.split_once('/').unwrap_or((path, "")),
        };
        Told {
            bucket: bucket.to_owned(),
            key: key.to_owned(),
            id: RequestId::new().request,
            ..Told::default()
        }
    }

    async fn answer_signed(
        &self,
        request: Request<Body>,
        told: &Told,
    ) -> Result<Response<Body>, HttpError> {
        if let Err(refused) = check(&request, !told.key.is_empty()) {
            let answer = refused.to_http_response();
            return answer.map_err(|error| HttpError::new(Box::new(error)));
        }
        self.service.call(request).await
    }

    /// `OPTIONS`, which a browser never signs.
    fn preflight(allowed: Option<&Allowed>, mut told: Told) -> Response<Body> {
        let mut response = Response::new(Body::empty());
        if let Some(allowed) = allowed {
            allowed.let_read(&mut response);
        } else {
            let message = "no rule of this bucket allows this origin, method and headers";
            let refused = error::new("AccessForbidden", message);
            *response.status_mut() = StatusCode::FORBIDDEN;
            told.code = Some(refused.code().as_str().to_owned().into());
        }
        Self::finish(response, told)
    }

    fn finish(mut response: Response<Body>, told: Told) -> Response<Body> {
        if let Ok(id) = HeaderValue::from_str(&told.id) {
            response.headers_mut().insert("x-amz-request-id", id);
        }
        let server = HeaderValue::from_static("partstore");
        response.headers_mut().insert(SERVER, server);
        response.extensions_mut().insert(told);
        response
    }
}

/// What `s3s` must not see.
fn check(request: &Request<Body>, is_of_an_object: bool) -> S3Result<()> {
    let known = [
        Method::GET,
        Method::HEAD,
        Method::PUT,
        Method::POST,
        Method::DELETE,
    ];
    if !known.contains(request.method()) {
        let mut refused = error::new("MethodNotAllowed", "the method is none of S3");
        let mut headers = HeaderMap::new();
        let names = HeaderValue::from_static("GET, HEAD, PUT, POST, DELETE, OPTIONS");
        headers.insert(ALLOW, names);
        refused.set_headers(headers);
        return Err(refused);
    }
    if is_form(request) {
        return Err(error::not_implemented("a form"));
    }
    auth::check_time(request.headers(), SystemTime::now())?;
    auth::check_expiry(request.uri().query().unwrap_or_default())?;
    buckets::check_owner(request.headers())?;
    parameters::check(request, is_of_an_object)
}

/// `s3s` would read the file of a form into memory, and only then look who has sent it.
fn is_form(request: &Request<Body>) -> bool {
    let kind = request.headers().get(CONTENT_TYPE);
    let kind = kind.and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    let kind = kind.trim_start().to_ascii_lowercase();
    request.method() == Method::POST && kind.starts_with("multipart/")
}

/// Writes what XML cannot hold in another way, since names may have it. A bare carriage return would be read as the end of a
/// line. Other control characters have no form at all; `encoding-type=url` shows them.
fn keep_well_formed(response: &mut Response<Body>) {
    let kind = response.headers().get(CONTENT_TYPE);
    if kind.is_none_or(|kind| kind.as_bytes() != b"application/xml") {
        return;
    }
    // The bytes of an object are a stream.
    let Some(body) = response.body().bytes() else {
        return;
    };
    let is_plain = |byte: &u8| *byte >= b' ' || matches!(byte, b'\t' | b'\n');
    if body.iter().all(is_plain) {
        return;
    }
    let mut written = Vec::with_capacity(body.len());
    for byte in &body {
        match byte {
            b'\r' => written.extend_from_slice(b"&#13;"),
            byte if is_plain(byte) => written.push(*byte),
            _ => written.extend_from_slice("\u{fffd}".as_bytes()),
        }
    }
    *response.body_mut() = Body::from(Bytes::from(written));
}

/// The code of an error. `s3s` has already written it out.
fn code_of(response: &Response<Body>) -> Option<String> {
    let status = response.status();
    if !status.is_client_error() && !status.is_server_error() {
        return None;
    }
    let body = response.body().bytes().unwrap_or_default();
    let text = String::from_utf8_lossy(&body);
    let code = text
        .split_once("<Code>")
        .and_then(|(_, rest)| Some(rest.split_once("</Code>")?.0.to_owned()));
    // The answer to a HEAD has no body.
    code.or_else(|| status.canonical_reason().map(str::to_owned))
}

/// Buckets of COS have names that AWS does not allow. The store says what it takes.
struct Names;

impl s3s::validation::NameValidation for Names {
    fn validate_bucket_name(&self, name: &str) -> bool {
        !name.is_empty() && name.len() <= 255
    }
}

impl Front for S3Front {
    const NAME: &'static str = "s3";
    type Body = Body;

    async fn answer(self: Arc<Self>, request: Request<Inbound>) -> Response<Body> {
        let mut told = self.names(&request);
        let (mut head, body) = request.into_parts();
        let bucket = (!told.bucket.is_empty()).then(|| told.bucket.clone());
        let known = (&self.store, &*self.rules.get());
        let allowed = cross_origin::find(known, &EXPOSED, Asked::of(&head), bucket).await;
        if head.method == Method::OPTIONS {
            return Self::preflight(allowed.as_ref(), told);
        }
        hoisted::unfold(&mut head);
        ranges::pass_over(&mut head);
        let request = Request::from_parts(head, Body::http_body_unsync(body));
        match self.answer_signed(request, &told).await {
            Ok(mut response) => {
                keep_well_formed(&mut response);
                if let Some(allowed) = &allowed {
                    allowed.let_read(&mut response);
                }
                told.code = code_of(&response).map(Into::into);
                Self::finish(response, told)
            }
            Err(error) => {
                tracing::debug!(?error, "a request broke off");
                let mut response = Response::new(Body::empty());
                *response.status_mut() = StatusCode::BAD_REQUEST;
                Self::finish(response, told)
            }
        }
    }

    fn panicked(&self) -> Response<Body> {
        let mut response = Response::new(Body::empty());
        *response.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
        let told = Told {
            code: Some("InternalError".into()),
            id: RequestId::new().request,
            ..Told::default()
        };
        Self::finish(response, told)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_come_through_xml_as_far_as_it_can_hold_them() {
        let written = |kind: &'static str| {
            let mut response = Response::new(Body::from(Bytes::from("<Key>a\r\n\tb\u{1}ü</Key>")));
            let kind = HeaderValue::from_static(kind);
            response.headers_mut().insert(CONTENT_TYPE, kind);
            keep_well_formed(&mut response);
            response.into_body().bytes().unwrap()
        };
        let xml = "<Key>a&#13;\n\tb\u{fffd}ü</Key>";
        assert_eq!(written("application/xml"), xml.as_bytes());
        assert_eq!(
            written("text/plain"),
            "<Key>a\r\n\tb\u{1}ü</Key>".as_bytes()
        );
    }
}
