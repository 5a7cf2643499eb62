//! The operations of the protocol, by what they work on.

pub mod buckets;
pub mod copies;
pub mod objects;
pub mod uploads;

use std::time::SystemTime;

use hyper::HeaderMap;
use hyper::header::IF_NONE_MATCH;

use crate::names::Overwrite;
use crate::refusal::Refusal;
use crate::request::text;

/// A time as the XML of the protocol has it.
fn iso(time: SystemTime) -> String {
    humantime::format_rfc3339_millis(time).to_string()
}

/// Whether the request may replace an object. Of the conditions for writing, only `If-None-Match: *` is known.
fn overwrite(headers: &HeaderMap) -> Result<Overwrite, Refusal> {
    match text(headers, &IF_NONE_MATCH)? {
        None => Ok(Overwrite::Allowed),
        Some("*") => Ok(Overwrite::Refused),
        Some(_) => Err(Refusal::not_implemented(
            "only If-None-Match: * is known here",
        )),
    }
}
