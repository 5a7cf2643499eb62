//! Who signs a request, and which bucket its host names.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use hyper::HeaderMap;
use hyper::header::{AUTHORIZATION, DATE};
use s3s::auth::{S3Auth, SecretKey};
use s3s::host::{S3Host, VirtualHost};
use s3s::{S3Result, s3_error};

use super::error;
use crate::rules::Current;

/// Secrets, by the rules that hold now.
pub struct Secrets(pub Arc<Current>);

#[async_trait::async_trait]
impl S3Auth for Secrets {
    async fn get_secret_key(&self, access_key: &str) -> S3Result<SecretKey> {
        let rules = self.0.get();
        let keys = rules.keys.as_ref();
        let secret = keys.and_then(|keys| keys.secret(access_key));
        let unknown = || s3_error!(InvalidAccessKeyId, "there is no such access key");
        secret.map(SecretKey::from).ok_or_else(unknown)
    }
}

/// How far the time of a signature may be from the server's.
const SKEW: Duration = Duration::from_mins(15);

/// Refuses a signature of version 2 in the headers that is of another time: `s3s` does not look at that, and whoever has seen
/// one could send it again for ever. (A presigned URL says when it expires.)
pub fn check_time(headers: &HeaderMap, now: SystemTime) -> S3Result<()> {
    let signed = headers.get(AUTHORIZATION);
    if !signed.is_some_and(|signed| signed.as_bytes().starts_with(b"AWS ")) {
        return Ok(());
    }
    let date = headers.get("x-amz-date").or_else(|| headers.get(DATE));
    let date = date.and_then(|date| httpdate::parse_http_date(date.to_str().ok()?).ok());
    let Some(date) = date else {
        return Err(error::new("AccessDenied", "a signed request has a date"));
    };
    let apart = now
        .duration_since(date)
        .or_else(|_| date.duration_since(now));
    if apart.is_ok_and(|apart| apart <= SKEW) {
        return Ok(());
    }
    let message = "the request was signed more than 15 minutes from the server's time";
    Err(error::new("RequestTimeTooSkewed", message))
}

/// The longest that a presigned URL of version 4 may count, seconds.
const WEEK: u64 = 7 * 24 * 60 * 60;

/// Refuses a presigned URL that would count for more than a week.
pub fn check_expiry(query: &str) -> S3Result<()> {
    let mut pairs = query.split('&').filter_map(|pair| pair.split_once('='));
    let expires = pairs.find(|(name, _)| *name == "X-Amz-Expires");
    let seconds = expires.and_then(|(_, text)| text.parse::<u64>().ok());
    if seconds.is_some_and(|seconds| seconds > WEEK) {
        let message = "X-Amz-Expires is at most 604800 seconds, a week";
        return Err(error::new("AuthorizationQueryParametersError", message));
    }
    Ok(())
}

/// Hosts of the server's own domains: the labels before one are a bucket. In all other hosts the path begins with it.
pub struct Domains(pub Arc<Current>);

impl Domains {
    /// The labels of a host before one of the domains.
    pub fn bucket_of<'a>(&self, host: &'a str) -> Option<&'a str> {
        let name = match host.rsplit_once(':') {
            Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
            _ => host,
        };
        let rules = self.0.get();
        rules.domains.iter().find_map(|domain| {
            let before = name.len().checked_sub(domain.len())?;
            let (labels, own) = name.split_at_checked(before)?;
            let bucket = labels.strip_suffix('.')?;
            (own.eq_ignore_ascii_case(domain) && !bucket.is_empty()).then_some(bucket)
        })
    }
}

impl S3Host for Domains {
    fn parse_host_header<'a>(&'a self, host: &'a str) -> S3Result<VirtualHost<'a>> {
        Ok(match self.bucket_of(host) {
            Some(bucket) => VirtualHost::new(host).with_bucket(bucket),
            None => VirtualHost::new(host),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signature_of_version_2_is_of_a_quarter_of_an_hour() {
        let code = |signed: &str, dates: &[(&'static str, &str)]| {
            let mut headers = HeaderMap::new();
            headers.insert(AUTHORIZATION, signed.parse().unwrap());
            for (name, date) in dates {
                headers.insert(*name, date.parse().unwrap());
            }
            let now = SystemTime::UNIX_EPOCH + Duration::from_secs(784_111_777);
            let refused = check_time(&headers, now).err();
            refused.map(|refused| refused.code().as_str().to_owned())
        };
        let now = "Sun, 06 Nov 1994 08:49:37 GMT";
        for (date, is_taken) in [
            (now, true),
            ("Sun, 06 Nov 1994 09:04:37 GMT", true),
            ("Sun, 06 Nov 1994 08:34:37 GMT", true),
            ("Sun, 06 Nov 1994 09:04:38 GMT", false),
            ("Sun, 06 Nov 1994 08:34:36 GMT", false),
        ] {
            let refused = (!is_taken).then(|| "RequestTimeTooSkewed".to_owned());
            assert_eq!(code("AWS ID:x", &[("date", date)]), refused, "{date}");
            let other = [("date", now), ("x-amz-date", date)];
            assert_eq!(code("AWS ID:x", &other), refused, "{date}");
        }
        assert_eq!(code("AWS ID:x", &[]).as_deref(), Some("AccessDenied"));
        assert_eq!(code("AWS4-HMAC-SHA256 x", &[]), None);
    }
}
