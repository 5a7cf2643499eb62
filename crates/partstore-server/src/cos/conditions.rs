//! Conditional requests and ranges, of RFC 9110.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use hyper::HeaderMap;
use hyper::header::{HeaderName, IF_MATCH, IF_NONE_MATCH};
use partstore::{Condition, Error, Key, ObjectETag, PartStore};

use crate::cos::metadata;
use crate::cos::refusal::Refusal;
use crate::cos::request::{cos_header, digits, is_digits, text};

/// What conditions are compared with.
pub struct State<'a> {
    /// Quoted.
    pub etag: &'a str,
    pub modified: SystemTime,
}

/// The outcome of a request's conditions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    Met,
    /// The client has it already: 304.
    NotModified,
    /// 412.
    Failed,
}

/// The four conditional headers, with `prefix` before their names (`x-cos-copy-source-`, or nothing).
pub fn check(headers: &HeaderMap, prefix: &str, state: &State<'_>) -> Result<Outcome, Refusal> {
    let get = |name: &str| {
        let name = HeaderName::try_from(format!("{prefix}{name}"));
        let value = name.map_or(Ok(None), |name| text(headers, &name))?;
        // An empty value means that there is none.
        Ok::<_, Refusal>(value.filter(|value| !value.is_empty()))
    };
    let modified = whole_seconds(state.modified);
    if let Some(tags) = get("if-match")? {
        if !matches_strongly(tags, state.etag) {
            return Ok(Outcome::Failed);
        }
    } else if let Some(time) = get("if-unmodified-since")?.and_then(date)
        && modified > time
    {
        return Ok(Outcome::Failed);
    }
    if let Some(tags) = get("if-none-match")? {
        if matches_weakly(tags, state.etag) {
            return Ok(Outcome::NotModified);
        }
    } else if let Some(time) = get("if-modified-since")?.and_then(date)
        && modified <= time
    {
        return Ok(Outcome::NotModified);
    }
    Ok(Outcome::Met)
}

/// What a request that makes an object wants the object of its name to be.
#[derive(Clone, Debug)]
pub enum Before {
    /// The store checks it in the commit.
    Checked(Condition),
    /// One that exists, and matches the text of `If-Match`.
    Matching(String),
    /// None, by `x-cos-forbid-overwrite`, which has a refusal of its own.
    Forbidden,
}

impl Before {
    /// `If-None-Match: *`, `If-Match`, or `x-cos-forbid-overwrite`.
    pub fn of(headers: &HeaderMap) -> Result<Self, Refusal> {
        let forbidden = metadata::forbids_overwrite(headers)?;
        let wanted = cos_header(headers, IF_MATCH.as_str())?;
        match (wanted, text(headers, &IF_NONE_MATCH)?) {
            (None, None) if forbidden => Ok(Self::Forbidden),
            (None, None) => Ok(Self::Checked(Condition::Always)),
            (None, Some("*")) => Ok(Self::Checked(Condition::IfAbsent)),
            (Some(tag), None) if !forbidden => Ok(match tag.parse::<ObjectETag>() {
                Ok(etag) => Self::Checked(Condition::IfMatch(etag)),
                Err(_) => Self::Matching(tag.to_owned()),
            }),
            _ => Err(Refusal::not_supported(
                "a request that makes an object has If-None-Match: *, or If-Match",
            )),
        }
    }

    /// The same of a completion, whose upload may have said it.
    pub fn of_completion(self, metadata: &[u8]) -> Self {
        match self {
            Self::Checked(Condition::Always) if metadata::upload_forbids_overwrite(metadata) => {
                Self::Forbidden
            }
            said => said,
        }
    }

    /// The refusal that this condition has.
    pub fn explain(&self, refusal: Refusal) -> Refusal {
        match self {
            Self::Forbidden if refusal.code == "PreconditionFailed" => {
                Refusal::file_already_exists("an object of this name exists")
            }
            _ => refusal,
        }
    }

    /// What the store is to check: for `*`, that the object is the one that exists now.
    pub fn decide(&self, store: &PartStore, key: &Key) -> Result<Condition, Refusal> {
        match self {
            Self::Checked(condition) => Ok(*condition),
            Self::Forbidden => Ok(Condition::IfAbsent),
            Self::Matching(tag) => {
                let object = store.object_by_key(key)?;
                if !matches_strongly(tag, &object.etag.quoted()) {
                    return Err(Refusal::precondition_failed(
                        "the object of this name has another ETag",
                    ));
                }
                Ok(Condition::IfCurrent(object.upload.id()))
            }
        }
    }

    /// Makes an object under the condition. If another object gets the name in the meantime, looks again.
    pub fn hold<T>(
        &self,
        store: &PartStore,
        key: &Key,
        make: impl Fn(Condition) -> Result<T, Error>,
    ) -> Result<T, Refusal> {
        loop {
            let outcome = make(self.decide(store, key)?);
            let changed = matches!(
                outcome,
                Err(Error::PreconditionFailed { .. } | Error::NoSuchKey { .. })
            );
            match self {
                Self::Matching(_) if changed => {}
                _ => return outcome.map_err(|error| self.explain(error.into())),
            }
        }
    }
}

/// `If-Match`: a weak tag never matches (RFC 9110, 13.1.1).
fn matches_strongly(tags: &str, etag: &str) -> bool {
    matches_any(tags, |tag| tag == bare(etag))
}

/// `If-None-Match`: a weak tag matches as a strong one does.
fn matches_weakly(tags: &str, etag: &str) -> bool {
    matches_any(tags, |tag| bare(tag.trim_start_matches("W/")) == bare(etag))
}

/// An ETag has no comma. Some clients omit the quotes.
fn matches_any(tags: &str, is_match: impl Fn(&str) -> bool) -> bool {
    let mut tags = tags.split(',').map(|tag| bare(tag.trim()));
    tags.any(|tag| tag == "*" || is_match(tag))
}

fn bare(tag: &str) -> &str {
    tag.trim_matches('"')
}

/// A value that is not a date is ignored.
fn date(text: &str) -> Option<SystemTime> {
    httpdate::parse_http_date(text).ok()
}

fn whole_seconds(time: SystemTime) -> SystemTime {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    UNIX_EPOCH + Duration::from_secs(since.as_secs())
}

/// Bytes of an object: `first` and how many.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    pub first: u64,
    pub len: u64,
}

/// The `Range` of a request. Several ranges, other units and malformed ranges are ignored, and such a request gets the
/// whole object (RFC 9110, 14.2).
///
/// # Errors
/// `InvalidRange` when the object has no such bytes.
pub fn range(value: Option<&str>, size: u64) -> Result<Option<Span>, Refusal> {
    let range = value.and_then(|value| value.trim().strip_prefix("bytes="));
    let Some((first, last)) = range.and_then(|range| range.split_once('-')) else {
        return Ok(None);
    };
    let number = |text: &str| match text {
        "" => Some(None),
        _ if is_digits(text) => Some(Some(text.parse().unwrap_or(u64::MAX))),
        _ => None,
    };
    let (first, end) = match (number(first), number(last)) {
        (Some(Some(first)), Some(None)) => (first, size),
        (Some(Some(first)), Some(Some(last))) if first <= last => {
            (first, size.min(last.saturating_add(1)))
        }
        (Some(None), Some(Some(suffix))) => (
            size.saturating_sub(suffix),
            if suffix == 0 { 0 } else { size },
        ),
        _ => return Ok(None),
    };
    if first >= end {
        return Err(
            Refusal::invalid_range(format!("the object has {size} bytes"))
                .with("content-range", format!("bytes */{size}")),
        );
    }
    Ok(Some(Span {
        first,
        len: end - first,
    }))
}

/// `bytes=first-last` of a copy: both numbers are needed, both are inclusive, and both lie within the source.
pub fn copy_range(value: &str, size: u64) -> Result<Span, Refusal> {
    let ends = value
        .strip_prefix("bytes=")
        .and_then(|range| range.split_once('-'));
    let ends = ends.and_then(|(first, last)| Some((digits(first)?, digits(last)?)));
    match ends {
        Some((first, last)) if first <= last && last < size => Ok(Span {
            first,
            len: last - first + 1,
        }),
        Some((first, last)) if first <= last => Err(Refusal::invalid_range(format!(
            "the source has {size} bytes"
        ))),
        _ => Err(Refusal::invalid_argument(
            "x-cos-copy-source-range must be bytes=first-last",
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn span(first: u64, len: u64) -> Span {
        Span { first, len }
    }

    #[test]
    fn ranges_are_heeded_refused_or_passed_over() {
        let of = |value, size| range(Some(value), size).map_err(|refusal| refusal.code);
        assert_eq!(of("bytes=0-0", 10), Ok(Some(span(0, 1))));
        assert_eq!(of("bytes=3-", 10), Ok(Some(span(3, 7))));
        assert_eq!(of("bytes=3-99", 10), Ok(Some(span(3, 7))));
        assert_eq!(
            of("bytes=3-99999999999999999999999", 10),
            Ok(Some(span(3, 7)))
        );
        assert_eq!(of("bytes=-4", 10), Ok(Some(span(6, 4))));
        assert_eq!(of("bytes=-40", 10), Ok(Some(span(0, 10))));
        for refused in ["bytes=10-", "bytes=10-12", "bytes=-0"] {
            assert_eq!(of(refused, 10), Err("InvalidRange"), "{refused}");
        }
        assert_eq!(of("bytes=0-0", 0), Err("InvalidRange"));
        for other in [
            "bytes=5-3",
            "bytes=0-1,3-4",
            "lines=0-1",
            "bytes=",
            "bytes=-",
            "bytes=a-b",
            "bytes=+1-2",
        ] {
            assert_eq!(of(other, 10), Ok(None), "{other}");
        }
    }

    #[test]
    fn weak_tags_match_only_who_has_it_already() {
        for (tags, strongly, weakly) in [
            (r#""a""#, true, true),
            ("a", true, true),
            ("*", true, true),
            (r#"W/"a""#, false, true),
            (r#""b", W/"a""#, false, true),
            (r#""b", "a""#, true, true),
            (r#""b""#, false, false),
        ] {
            assert_eq!(matches_strongly(tags, r#""a""#), strongly, "{tags}");
            assert_eq!(matches_weakly(tags, r#""a""#), weakly, "{tags}");
        }
    }

    #[test]
    fn a_copy_takes_bytes_that_are_there() {
        let of = |value| copy_range(value, 10).map_err(|refusal| refusal.code);
        assert_eq!(of("bytes=0-9"), Ok(span(0, 10)));
        assert_eq!(of("bytes=0-10"), Err("InvalidRange"));
        for refused in ["bytes=3-2", "bytes=3-", "bytes=-3", "3-4", "bytes=a-b"] {
            assert_eq!(of(refused), Err("InvalidArgument"), "{refused}");
        }
    }
}
