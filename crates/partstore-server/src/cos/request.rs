//! What a request asks for: bucket, key, query, and the headers that are numbers.

use std::net::IpAddr;
use std::str::FromStr;

use hyper::HeaderMap;
use hyper::header::{HOST, HeaderName};
use hyper::http::request::Parts;
use hyper::http::uri::Authority;
use percent_encoding::percent_decode_str;

use crate::cos::refusal::Refusal;

/// COS: "You can use any UTF-8 characters", and "the encoded length can be up to 850 bytes" (436/13324). So it is the length
/// in UTF-8, whatever the URL makes of it.
const MAX_KEY_LEN: usize = 850;

/// The host that the client asks: that of the target if it is a whole URI, otherwise `Host` (RFC 9112, 3.2.2). The
/// signature and the operation use the same host.
#[derive(Clone, Debug)]
pub struct Host {
    /// With the port, if it has one, as the client wrote it.
    pub text: String,
    name: String,
    bucket: Option<String>,
}

impl Host {
    pub fn of(head: &Parts, domains: &[String]) -> Result<Self, Refusal> {
        if let Some(authority) = head.uri.authority() {
            return Self::parse(authority.as_str(), domains);
        }
        let host = text(&head.headers, &HOST)?;
        let host = host.ok_or_else(|| Refusal::invalid_argument("there is no Host header"))?;
        Self::parse(host, domains)
    }

    /// An empty host holds no bucket.
    pub fn parse(text: &str, domains: &[String]) -> Result<Self, Refusal> {
        let malformed = || Refusal::invalid_argument(format!("{text:?} is no host"));
        let name = match text.parse::<Authority>() {
            Ok(parsed) if !text.contains('@') => parsed.host().to_ascii_lowercase(),
            Err(_) if text.is_empty() => String::new(),
            _ => return Err(malformed()),
        };
        Ok(Self {
            text: text.to_owned(),
            bucket: bucket_of(&name, domains).map(str::to_owned),
            name,
        })
    }

    /// The host as it was written, and without its port.
    pub fn with_and_without_port(&self) -> [&str; 2] {
        let len = self.name.len().min(self.text.len());
        [&self.text, self.text.get(..len).unwrap_or_default()]
    }

    pub fn bucket(&self) -> Option<&str> {
        self.bucket.as_deref()
    }

    /// `REGION` of `BUCKET.cos.REGION.…`.
    pub fn region(&self) -> Option<&str> {
        let mut labels = self.name.split('.').skip_while(|label| *label != "cos");
        labels.nth(1)
    }
}

/// What stands before one of the server's domains. Of other hosts it is the first label, unless the host is an address,
/// has but one label (`localhost`), or is that of all buckets (`service.cos.…`, `cos.REGION.…`).
fn bucket_of<'a>(host: &'a str, domains: &[String]) -> Option<&'a str> {
    for domain in domains {
        if let Some(before) = host.strip_suffix(domain.as_str()) {
            if before.is_empty() {
                return None;
            }
            if let Some(bucket) = before.strip_suffix('.') {
                return Some(bucket);
            }
        }
    }
    let is_address = host.trim_matches(['[', ']']).parse::<IpAddr>().is_ok();
    let is_of_all = host.starts_with("cos.") || host.starts_with("service.cos.");
    let (bucket, _) = host.split_once('.')?;
    (!is_address && !is_of_all).then_some(bucket)
}

/// A bucket, an object in it, or all buckets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// Empty for all buckets.
    pub bucket: String,
    /// Empty for the bucket itself.
    pub key: String,
}

impl Target {
    /// The bucket is that of the host, or the first segment of the path when the host has none.
    pub fn parse(host: &Host, path: &str) -> Result<Self, Refusal> {
        let path = path.strip_prefix('/').unwrap_or(path);
        let (bucket, key) = match host.bucket() {
            Some(bucket) => (bucket, path),
            None => path.split_once('/').unwrap_or((path, "")),
        };
        let (bucket, key) = (bucket.to_owned(), decode(key)?);
        let is_all = bucket.is_empty() && path.is_empty();
        if !is_all && !is_bucket_name(&bucket) {
            return Err(Refusal::invalid_bucket_name(format!(
                "{bucket:?} is no bucket: 1 to 63 of a-z, 0-9 and -, in the first label of Host, or first in the path when Host is an address"
            )));
        }
        check_key(&key)?;
        Ok(Self { bucket, key })
    }
}

fn is_bucket_name(name: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    (1..=63).contains(&name.len()) && name.bytes().all(allowed)
}

/// A key may be anything that COS allows and XML can hold.
pub fn check_key(key: &str) -> Result<(), Refusal> {
    let length = key.len();
    if length > MAX_KEY_LEN {
        return Err(Refusal::key_too_long(format!(
            "the key has {length} bytes of UTF-8; at most {MAX_KEY_LEN} are allowed"
        )));
    }
    if key.starts_with(['/', '\\']) {
        return Err(Refusal::invalid_argument(
            "a key does not begin with / or \\",
        ));
    }
    if key.contains(|c: char| c.is_control() || matches!(c, '\u{fffe}' | '\u{ffff}')) {
        return Err(Refusal::invalid_argument("a key has no control characters"));
    }
    Ok(())
}

/// What COS calls `UrlEncode`: everything but letters, digits and `-_.~`.
pub fn encode(text: &str) -> String {
    encode_bytes(text.as_bytes())
}

/// The same of bytes that need not be UTF-8.
pub fn encode_bytes(bytes: &[u8]) -> String {
    const LEFT: &percent_encoding::AsciiSet = &percent_encoding::NON_ALPHANUMERIC
        .remove(b'-')
        .remove(b'_')
        .remove(b'.')
        .remove(b'~');
    percent_encoding::percent_encode(bytes, LEFT).to_string()
}

/// Decodes strictly: what is malformed, or not UTF-8, is refused.
pub fn decode(text: &str) -> Result<String, Refusal> {
    let well_formed = text.split('%').skip(1).all(|after| {
        let digits = after.as_bytes().first_chunk::<2>();
        digits.is_some_and(|digits| digits.iter().all(u8::is_ascii_hexdigit))
    });
    let decoded = percent_decode_str(text).decode_utf8();
    match decoded {
        Ok(text) if well_formed => Ok(text.into_owned()),
        _ => Err(Refusal::invalid_uri("the URI is not percent-encoded UTF-8")),
    }
}

/// The most parameters that a request has. (No operation knows more than ten, and a signature has seven.)
const MAX_PARAMETERS: usize = 100;

/// The parameters of a query, decoded, with their names in lower case. Signatures do not distinguish `uploadId` from
/// `UPLOADID`, so nothing else may.
#[derive(Debug, Default)]
pub struct Query(Vec<(String, String)>);

impl Query {
    pub fn parse(query: &str) -> Result<Self, Refusal> {
        let mut pairs: Vec<(String, String)> = Vec::new();
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            // Forms write a space as +, and so do clients.
            let name = decode(&name.replace('+', " "))?.to_ascii_lowercase();
            let value = decode(&value.replace('+', " "))?;
            if pairs.iter().any(|(known, _)| *known == name) {
                return Err(Refusal::invalid_argument(format!(
                    "{name:?} is given twice"
                )));
            }
            if pairs.len() == MAX_PARAMETERS {
                return Err(Refusal::invalid_argument(format!(
                    "there are more than {MAX_PARAMETERS} parameters"
                )));
            }
            pairs.push((name, value));
        }
        Ok(Self(pairs))
    }

    pub fn has(&self, name: &str) -> bool {
        self.get(name).is_some()
    }

    pub fn get(&self, name: &str) -> Option<&str> {
        let mut pairs = self.pairs();
        pairs.find_map(|(known, value)| known.eq_ignore_ascii_case(name).then_some(value))
    }

    /// The value, if it exists and is not empty.
    pub fn filled(&self, name: &str) -> Option<&str> {
        self.get(name).filter(|value| !value.is_empty())
    }

    /// The value, or nothing.
    pub fn text(&self, name: &str) -> String {
        self.get(name).unwrap_or_default().to_owned()
    }

    /// A page length: at least `least`, and up to 1000, also the default.
    pub fn page_length(&self, name: &'static str, least: u32) -> Result<u32, Refusal> {
        let length = self.filled(name).map_or(Some(1000), digits);
        let length = length.filter(|length| (least..=1000).contains(length));
        length.ok_or_else(|| {
            Refusal::invalid_argument(format!(
                "{name} must be an integer between {least} and 1000"
            ))
        })
    }

    /// Whether names are to be listed percent-encoded.
    pub fn encoding(&self) -> Result<Encoding, Refusal> {
        match self.filled("encoding-type") {
            None => Ok(Encoding::Plain),
            Some("url") => Ok(Encoding::Url),
            Some(_) => Err(Refusal::invalid_argument("encoding-type can only be url")),
        }
    }

    pub fn pairs(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
    }
}

/// How a listing writes names.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Encoding {
    Plain,
    Url,
}

impl Encoding {
    pub fn name(self) -> Option<&'static str> {
        (self == Self::Url).then_some("url")
    }

    pub fn write(self, text: &str) -> String {
        match self {
            Self::Plain => text.to_owned(),
            Self::Url => encode(text),
        }
    }
}

/// A number of digits only. `std` would also take a sign.
pub fn digits<T: FromStr>(text: &str) -> Option<T> {
    text.parse().ok().filter(|_| is_digits(text))
}

pub fn is_digits(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// A header as text. One that is there twice, or is not text, is refused.
pub fn text<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Result<Option<&'a str>, Refusal> {
    let mut values = headers.get_all(name).iter();
    let (first, second) = (values.next(), values.next());
    let Some(value) = first else { return Ok(None) };
    match value.to_str() {
        Ok(text) if second.is_none() => Ok(Some(text)),
        _ => Err(Refusal::invalid_argument(format!(
            "the header {name} is not one text"
        ))),
    }
}

/// A header of COS's own, if it has a value.
pub fn cos_header<'a>(
    headers: &'a HeaderMap,
    name: &'static str,
) -> Result<Option<&'a str>, Refusal> {
    let value = text(headers, &HeaderName::from_static(name))?;
    Ok(value.filter(|value| !value.is_empty()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_names_a_bucket_or_none() {
        let domains = ["storage.example.com".to_owned()];
        for (host, bucket) in [
            ("photos-1.cos.ap-beijing.myqcloud.com", Some("photos-1")),
            ("photos-1.storage.example.com:80", Some("photos-1")),
            ("Storage.example.com", None),
            ("otherstorage.example.com", Some("otherstorage")),
            ("service.cos.myqcloud.com", None),
            ("cos.ap-beijing.myqcloud.com", None),
            ("127.0.0.1:9000", None),
            ("[::1]:9000", None),
            ("localhost", None),
            ("", None),
        ] {
            let parsed = Host::parse(host, &domains).unwrap();
            assert_eq!(parsed.bucket(), bucket, "{host}");
        }
        let host = Host::parse("photos-1.cos.ap-beijing.myqcloud.com", &domains).unwrap();
        assert_eq!(host.region(), Some("ap-beijing"));
    }
}
