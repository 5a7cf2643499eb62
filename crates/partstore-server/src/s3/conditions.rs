//! Conditions of requests: on what is read, and on what a write replaces.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use hyper::HeaderMap;
use hyper::header::{ETAG, HeaderName, HeaderValue, LAST_MODIFIED};
use partstore::{Condition, Error, Key, Object, ObjectETag, PartStore};
use s3s::dto::{ETag, ETagCondition, Timestamp};
use s3s::{S3Error, S3Result};

use super::error;

/// The ETag of an object, as the protocol has it.
pub fn etag(etag: ObjectETag) -> ETag {
    ETag::Strong(etag.to_string())
}

/// What a write wants the current object of its key to be.
pub fn on_write(
    store: &PartStore,
    key: &Key,
    (if_match, if_none_match): (Option<&ETagCondition>, Option<&ETagCondition>),
) -> S3Result<Condition> {
    match (if_match, if_none_match) {
        (None, None) => Ok(Condition::Always),
        (None, Some(ETagCondition::Any)) => Ok(Condition::IfAbsent),
        (Some(ETagCondition::Any), None) => match store.object_by_key(key.clone()) {
            Ok(object) => Ok(Condition::IfCurrent(object.upload.id())),
            Err(Error::NoSuchKey { .. }) => Err(failed()),
            Err(error) => Err(error::of(error)),
        },
        (Some(ETagCondition::ETag(wanted)), None) => {
            let parsed = wanted.as_strong().and_then(|text| text.parse().ok());
            parsed.map(Condition::IfMatch).ok_or_else(failed)
        }
        _ => Err(error::not_implemented("this combination of conditions")),
    }
}

fn failed() -> S3Error {
    error::new(
        "PreconditionFailed",
        "a condition of the request does not hold",
    )
}

/// The conditions of a read.
pub struct OnRead<'a> {
    pub matching: Option<&'a ETagCondition>,
    pub not_matching: Option<&'a ETagCondition>,
    pub modified_since: Option<&'a Timestamp>,
    pub unmodified_since: Option<&'a Timestamp>,
}

impl OnRead<'_> {
    /// RFC 9110, section 13.2.2.
    pub fn check(&self, object: &Object) -> S3Result<()> {
        let own = etag(object.etag);
        let is = |wanted: &ETagCondition, weak: bool| match wanted {
            ETagCondition::Any => true,
            ETagCondition::ETag(other) if weak => other.weak_cmp(&own),
            ETagCondition::ETag(other) => other.strong_cmp(&own),
        };
        let modified = Timestamp::from(whole_seconds(object.modified_at));
        match (self.matching, self.unmodified_since) {
            (Some(wanted), _) if !is(wanted, false) => return Err(failed()),
            (None, Some(since)) if modified > *since => return Err(failed()),
            _ => {}
        }
        match (self.not_matching, self.modified_since) {
            (Some(known), _) if is(known, true) => Err(not_modified(object)),
            (None, Some(since)) if modified <= *since => Err(not_modified(object)),
            _ => Ok(()),
        }
    }
}

/// Headers have no fractions of a second.
fn whole_seconds(time: SystemTime) -> SystemTime {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    UNIX_EPOCH + Duration::from_secs(since.as_secs())
}

fn not_modified(object: &Object) -> S3Error {
    let mut answer = error::new("NotModified", "the object is the one that is known");
    answer.set_status_code(hyper::StatusCode::NOT_MODIFIED);
    let mut headers = super::headers::answered(&object.metadata);
    let kept = ["cache-control", "expires"].map(|name| Some((name, headers.remove(name)?)));
    let mut headers: HeaderMap = kept
        .into_iter()
        .flatten()
        .map(|(name, value)| (HeaderName::from_static(name), value))
        .collect();
    let modified = httpdate::fmt_http_date(object.modified_at);
    headers.extend(text(ETAG, &object.etag.quoted()));
    headers.extend(text(LAST_MODIFIED, &modified));
    answer.set_headers(headers);
    answer
}

fn text(name: HeaderName, value: &str) -> Option<(HeaderName, HeaderValue)> {
    Some((name, HeaderValue::from_str(value).ok()?))
}
