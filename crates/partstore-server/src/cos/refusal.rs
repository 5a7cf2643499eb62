//! [`Refusal`]: an error answer, with the protocol's code, and as XML.

use std::fmt;

use hyper::header::HeaderValue;
use hyper::{Response, StatusCode};
use partstore::Error;

use crate::cos::answer::{self, Body, RequestId};
use crate::cos::xml;

/// Why a request is refused, as the client is told.
#[derive(Debug)]
pub struct Refusal {
    pub status: StatusCode,
    pub code: &'static str,
    pub message: String,
    /// Headers of the answer.
    pub headers: Vec<(&'static str, String)>,
}

/// Makes a refusal of a code that the library's [`Error`] does not have.
macro_rules! refusals {
    ($($name:ident $code:literal $status:ident;)*) => {
        impl Refusal {
            $(pub fn $name(message: impl Into<String>) -> Self {
                Self { status: StatusCode::$status, code: $code, message: message.into(), headers: Vec::new() }
            })*
        }
    };
}

refusals! {
    access_denied "AccessDenied" FORBIDDEN;
    access_forbidden "AccessForbidden" FORBIDDEN;
    append_position "AppendPositionErr" CONFLICT;
    already_owned "BucketAlreadyOwnedByYou" CONFLICT;
    file_already_exists "FileAlreadyExists" CONFLICT;
    entity_too_large "EntityTooLarge" BAD_REQUEST;
    entity_too_small "EntityTooSmall" BAD_REQUEST;
    incomplete_body "IncompleteBody" BAD_REQUEST;
    internal "InternalError" INTERNAL_SERVER_ERROR;
    invalid_access_key "InvalidAccessKeyId" FORBIDDEN;
    invalid_argument "InvalidArgument" BAD_REQUEST;
    invalid_bucket_name "InvalidBucketName" BAD_REQUEST;
    invalid_range "InvalidRange" RANGE_NOT_SATISFIABLE;
    invalid_sha1 "InvalidSHA1Digest" BAD_REQUEST;
    invalid_uri "InvalidURI" BAD_REQUEST;
    key_too_long "KeyTooLong" BAD_REQUEST;
    malformed_post "MalformedPOSTRequest" BAD_REQUEST;
    malformed_xml "MalformedXML" BAD_REQUEST;
    metadata_too_large "MetadataTooLarge" BAD_REQUEST;
    method_not_allowed "MethodNotAllowed" METHOD_NOT_ALLOWED;
    missing_content_length "MissingContentLength" LENGTH_REQUIRED;
    missing_content_md5 "MissingContentMD5" BAD_REQUEST;
    no_such_copy_source "NoSuchCopySource" NOT_FOUND;
    no_such_configuration "NoSuchConfiguration" NOT_FOUND;
    not_appendable "ObjectNotAppendable" CONFLICT;
    // Not a 501: the SDKs would try again, for many seconds.
    not_supported "OperationNotSupported" BAD_REQUEST;
    path_conflict "PathConflict" CONFLICT;
    precondition_failed "PreconditionFailed" PRECONDITION_FAILED;
    request_time_out "RequestTimeOut" BAD_REQUEST;
    signature_does_not_match "SignatureDoesNotMatch" FORBIDDEN;
    sse_not_supported "SSEContentNotSupported" BAD_REQUEST;
    time_too_skewed "RequestTimeTooSkewed" FORBIDDEN;
    xml_size_limit "XMLSizeLimit" BAD_REQUEST;
}

impl fmt::Display for Refusal {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.message)
    }
}

impl std::error::Error for Refusal {}

impl From<Error> for Refusal {
    /// The library knows the protocol's codes. Details of a failure within the store are only logged.
    fn from(error: Error) -> Self {
        let error = match error {
            // What the server said of a body that it gave to the store.
            Error::BodyUnreadable { received, source } => match source.downcast::<Self>() {
                Ok(refusal) => return refusal,
                Err(source) => Error::BodyUnreadable { received, source },
            },
            error => error,
        };
        let status = StatusCode::from_u16(error.http_status());
        let status = status.unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        if status.is_server_error() {
            let cause = std::error::Error::source(&error).map(ToString::to_string);
            tracing::error!(%error, cause, "the store");
        }
        let message = if status.is_server_error() {
            "the store could not do this; see its log".to_owned()
        } else {
            error.to_string()
        };
        let code = error.code();
        Self {
            status,
            code,
            message,
            headers: Vec::new(),
        }
    }
}

impl Refusal {
    /// With a header of the answer.
    pub fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    /// The answer. `resource` is the path that was asked for, as the client wrote it.
    pub fn into_response(self, resource: &str, id: &RequestId) -> Response<Body> {
        let error = xml::Error {
            code: self.code,
            message: &self.message,
            // CONNECT has no path, and clients treat an empty element as missing.
            resource: Some(resource)
                .filter(|path| !path.is_empty())
                .unwrap_or("/"),
            request_id: &id.request,
            trace_id: &id.trace,
        };
        let mut response = answer::xml(&error).unwrap_or_else(|_| Response::new(answer::empty()));
        *response.status_mut() = self.status;
        if let Ok(trace) = HeaderValue::from_str(&id.trace) {
            response.headers_mut().insert("x-cos-trace-id", trace);
        }
        for (name, value) in &self.headers {
            answer::set(&mut response, name, value);
        }
        response
    }
}
