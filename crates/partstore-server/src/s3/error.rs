//! Errors, in the protocol's codes.

use partstore::Error;
use s3s::{S3Error, S3ErrorCode};

use crate::cos::refusal::Refusal;

/// The answer to a call that the store has refused.
pub fn of(error: Error) -> S3Error {
    refused(Refusal::from(error))
}

/// The same, of what both protocols share.
pub fn refused(refusal: Refusal) -> S3Error {
    let mut error = new(refusal.code, refusal.message);
    error.set_status_code(refusal.status);
    error
}

/// An error with this code, which brings its status along.
pub fn new(code: &'static str, message: impl Into<String>) -> S3Error {
    let code = S3ErrorCode::from_bytes(code.as_bytes()).unwrap_or(S3ErrorCode::InternalError);
    S3Error::with_message(code, message.into())
}

pub fn invalid(message: impl Into<String>) -> S3Error {
    new("InvalidArgument", message)
}

/// What an unversioned store without this feature answers to a request that wants it.
pub fn not_implemented(what: &str) -> S3Error {
    new("NotImplemented", format!("{what} is not supported"))
}

/// The answer to a read of a configuration that nothing has, with the protocol's code for this one.
pub fn absent(code: &'static str) -> S3Error {
    let mut error = new(code, "there is no configuration of this kind");
    error.set_status_code(hyper::StatusCode::NOT_FOUND);
    error
}
