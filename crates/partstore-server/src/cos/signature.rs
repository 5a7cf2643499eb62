//! The signature of a request, as COS defines it ("request signature", 436/7778).
//!
//! ```text
//! SignKey      = hex(HMAC-SHA1(SecretKey, KeyTime))
//! HttpString   = method \n path \n parameters \n headers \n
//! StringToSign = "sha1" \n SignTime \n hex(SHA1(HttpString)) \n
//! Signature    = hex(HMAC-SHA1(SignKey, StringToSign))
//! ```
//!
//! A signature covers only the parameters and headers that it lists. It covers the body only by a listed
//! `Content-MD5`.

use std::time::{SystemTime, UNIX_EPOCH};

use hmac::{Hmac, KeyInit, Mac};
use hyper::header::{AUTHORIZATION, HOST};
use hyper::http::request::Parts;
use sha1::{Digest, Sha1};

use crate::cos::refusal::Refusal;
use crate::cos::request::{Host, Query, decode, encode, encode_bytes, text};
use crate::keys::Keys;

const COPY_SOURCE: &str = "x-cos-copy-source";

/// Checks who signed the request, when, and what.
pub fn verify(
    keys: &Keys,
    head: &Parts,
    (host, query): (&Host, &Query),
    now: SystemTime,
) -> Result<(), Refusal> {
    let signature = Signature::of(head, query)?;
    signature.verify(keys, head, (host, query), now)
}

/// The same of a form that has the whole signature in one field.
pub fn verify_text(
    keys: &Keys,
    text: &str,
    (head, host): (&Parts, &Host),
    now: SystemTime,
) -> Result<(), Refusal> {
    let query = Query::parse(head.uri.query().unwrap_or_default())?;
    Signature::parse(text)?.verify(keys, head, (host, &query), now)
}

/// Checks who signed the policy of a form, and when: `StringToSign = hex(SHA1(policy))`.
pub fn verify_policy<'a>(
    keys: &Keys,
    policy: &[u8],
    now: SystemTime,
    field: impl Fn(&str) -> Option<&'a str>,
) -> Result<(), Refusal> {
    let get = |name| field(name).ok_or_else(malformed);
    let secret = secret(keys, get("q-ak")?)?;
    let times = get("q-key-time")?;
    check_window(times, now)?;
    let key = hex::encode(hmac(secret.as_bytes(), times).finalize().into_bytes());
    let mac = hmac(key.as_bytes(), &hex::encode(Sha1::digest(policy)));
    let given = hex::decode(get("q-signature")?).map_err(|_| malformed())?;
    // In constant time.
    mac.verify_slice(&given)
        .map_err(|_| Refusal::signature_does_not_match("the signature is not that of this policy"))
}

fn secret<'a>(keys: &'a Keys, id: &str) -> Result<&'a str, Refusal> {
    let unknown = || Refusal::invalid_access_key("this access key id is not known");
    keys.secret(id).ok_or_else(unknown)
}

fn hmac(key: &[u8], message: &str) -> Hmac<Sha1> {
    #[expect(clippy::expect_used, reason = "HMAC takes keys of any length")]
    let mut mac = Hmac::<Sha1>::new_from_slice(key).expect("a key");
    mac.update(message.as_bytes());
    mac
}

fn malformed() -> Refusal {
    Refusal::access_denied("the request has no signature, or not one of COS's form")
}

/// How far the clock of a client may be ahead, seconds.
const TOLERANCE: u64 = 15 * 60;

/// `start;end` in unix seconds, both inclusive. By these two refusals the SDKs know that they must correct their clocks.
fn check_window(times: &str, now: SystemTime) -> Result<(), Refusal> {
    let times = times.split_once(';');
    let (start, end) = times.ok_or_else(malformed)?;
    let start: u64 = start.parse().map_err(|_| malformed())?;
    let end: u64 = end.parse().map_err(|_| malformed())?;
    let now = now
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_secs());
    if now.saturating_add(TOLERANCE) < start {
        return Err(Refusal::time_too_skewed(
            "the signature is not valid yet; compare the clocks",
        ));
    }
    if now > end {
        return Err(Refusal::access_denied("Request has expired"));
    }
    Ok(())
}

/// The most names that a signature lists.
const MAX_LISTED: usize = 200;

fn owned((name, value): (&str, &str)) -> (String, String) {
    (name.to_owned(), value.to_owned())
}

/// The fields of a signature.
struct Signature(Vec<(String, String)>);

impl Signature {
    /// From the `Authorization` header, or from the query of a presigned URL. The C SDK puts the whole text into `sign`.
    fn of(head: &Parts, query: &Query) -> Result<Self, Refusal> {
        let header = text(&head.headers, &AUTHORIZATION)?.filter(|header| !header.is_empty());
        let fields: Vec<_> = match header.or_else(|| query.filled("sign")) {
            Some(whole) => return Self::parse(whole),
            None => query
                .pairs()
                .filter(|(name, _)| name.starts_with("q-"))
                .map(owned)
                .collect(),
        };
        Self(fields).checked()
    }

    /// From one text.
    fn parse(text: &str) -> Result<Self, Refusal> {
        let fields = text.split('&');
        let fields = fields.filter_map(|field| field.trim().split_once('='));
        Self(fields.map(owned).collect()).checked()
    }

    fn checked(self) -> Result<Self, Refusal> {
        match self.field("q-sign-algorithm")? {
            "sha1" => Ok(self),
            _ => Err(malformed()),
        }
    }

    fn field(&self, name: &str) -> Result<&str, Refusal> {
        let mut fields = self.0.iter();
        let found = fields.find_map(|(known, value)| (known == name).then_some(value.as_str()));
        found.ok_or_else(malformed)
    }

    fn verify(
        &self,
        keys: &Keys,
        head: &Parts,
        (host, query): (&Host, &Query),
        now: SystemTime,
    ) -> Result<(), Refusal> {
        let secret = secret(keys, self.field("q-ak")?)?;
        for field in ["q-key-time", "q-sign-time"] {
            check_window(self.field(field)?, now)?;
        }
        let given = self.field("q-signature")?;
        let given = hex::decode(given).map_err(|_| malformed())?;
        // The Node SDK signs the host with its port, the Python SDK without.
        for host in host.with_and_without_port() {
            let content = self.http_string(head, query, host)?;
            // In constant time.
            if self.mac(secret, &content)?.verify_slice(&given).is_ok() {
                return self.check_copy(head);
            }
        }
        Err(Refusal::signature_does_not_match(
            "the signature is not that of this request; compare its key, method, path, parameters and headers",
        ))
    }

    fn mac(&self, secret: &str, http_string: &str) -> Result<Hmac<Sha1>, Refusal> {
        let key = hmac(secret.as_bytes(), self.field("q-key-time")?);
        let key = hex::encode(key.finalize().into_bytes());
        let content = hex::encode(Sha1::digest(http_string));
        let sign_time = self.field("q-sign-time")?;
        let text = format!("sha1\n{sign_time}\n{content}\n");
        Ok(hmac(key.as_bytes(), &text))
    }

    /// Whoever was given a URL to write one object must not make that object a copy of any other one. So the source of
    /// a copy must be signed. (The SDKs sign all headers of COS.)
    fn check_copy(&self, head: &Parts) -> Result<(), Refusal> {
        let list = self.field("q-header-list")?.to_ascii_lowercase();
        let is_signed = list.split(';').any(|name| name == COPY_SOURCE);
        if head.headers.contains_key(COPY_SOURCE) && !is_signed {
            return Err(Refusal::access_denied(format!(
                "{COPY_SOURCE} is not signed"
            )));
        }
        Ok(())
    }

    fn http_string(&self, head: &Parts, query: &Query, host: &str) -> Result<String, Refusal> {
        let method = head.method.as_str().to_ascii_lowercase();
        let path = decode(head.uri.path())?;
        let parameters = query
            .pairs()
            .map(|(name, value)| (encode(name).to_ascii_lowercase(), encode(value)));
        let others = head.headers.iter().filter(|(name, _)| *name != HOST);
        let headers = others
            .map(|(name, value)| (name.as_str(), value.as_bytes()))
            .chain([("host", host.as_bytes())])
            .map(|(name, value)| (encode(name).to_ascii_lowercase(), encode_bytes(value)));
        let parameters = self.listed("q-url-param-list", parameters)?;
        let headers = self.listed("q-header-list", headers)?;
        Ok(format!("{method}\n{path}\n{parameters}\n{headers}\n"))
    }

    /// The pairs whose names the field `list` has, in order. The page's own example does not write
    /// them in lower case.
    fn listed(
        &self,
        list: &str,
        pairs: impl Iterator<Item = (String, String)>,
    ) -> Result<String, Refusal> {
        let list = self.field(list)?.to_ascii_lowercase();
        let names: Vec<_> = list.split(';').filter(|name| !name.is_empty()).collect();
        if names.len() > MAX_LISTED {
            return Err(malformed());
        }
        let mut listed: Vec<_> = pairs
            .filter(|(name, _)| names.contains(&name.as_str()))
            .collect();
        listed.sort();
        if let Some(absent) = names
            .iter()
            .find(|name| !listed.iter().any(|(known, _)| known == *name))
        {
            return Err(Refusal::signature_does_not_match(format!(
                "the signature lists {absent:?}, which the request does not have"
            )));
        }
        let pairs: Vec<_> = listed
            .iter()
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        Ok(pairs.join("&"))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use hyper::Request;
    use hyper::header::HeaderValue;

    use super::*;

    /// A pair that the server knows.
    struct KeyPair {
        id: String,
        secret: String,
    }

    /// The example of COS's page on the request signature.
    fn documented() -> (KeyPair, Parts) {
        let pair = KeyPair {
            id: "AKIDQjz3ltompVjBni5LitkWHFlFpwkn9U5q".into(),
            secret: "BQYIM75p8x0iWVFSIgqEKwFprpRSVHlz".into(),
        };
        let authorization = format!(
            "q-sign-algorithm=sha1&q-ak={}&q-sign-time=1557989151;1557996351&q-key-time=1557989151;1557996351\
             &q-header-list=content-length;content-md5;content-type;date;host;x-cos-acl;x-cos-grant-read\
             &q-url-param-list=&q-signature=3b8851a11a569213c17ba8fa7dcf2abec6935172",
            pair.id
        );
        let request = Request::put("/exampleobject(%E8%85%BE%E8%AE%AF%E4%BA%91)")
            .header("Date", "Thu, 16 May 2019 06:45:51 GMT")
            .header(
                "Host",
                "examplebucket-1250000000.cos.ap-beijing.myqcloud.com",
            )
            .header("Content-Type", "text/plain")
            .header("Content-Length", "13")
            .header("Content-MD5", "mQ/fVh815F3k6TAUm8m0eg==")
            .header("x-cos-acl", "private")
            .header("x-cos-grant-read", "uin=\"100000000011\"")
            .header("Authorization", authorization);
        (pair, request.body(()).unwrap().into_parts().0)
    }

    fn at(seconds: u64) -> SystemTime {
        UNIX_EPOCH + Duration::from_secs(seconds)
    }

    fn code(pair: &KeyPair, head: &Parts, now: SystemTime) -> Option<&'static str> {
        let query = Query::parse(head.uri.query().unwrap_or_default()).unwrap();
        let keys = Keys::one(&pair.id, &pair.secret);
        verify(&keys, head, (&Host::of(head, &[]).unwrap(), &query), now)
            .err()
            .map(|refusal| refusal.code)
    }

    #[test]
    fn the_documented_request_has_the_documented_signature() {
        let (pair, head) = documented();
        assert_eq!(code(&pair, &head, at(1_557_989_151)), None);
        assert_eq!(code(&pair, &head, at(1_557_989_151 - 900)), None);
        assert_eq!(code(&pair, &head, at(1_557_996_351)), None);
        assert_eq!(
            code(&pair, &head, at(1_557_989_151 - 901)),
            Some("RequestTimeTooSkewed")
        );
        assert_eq!(code(&pair, &head, at(1_557_996_352)), Some("AccessDenied"));
    }

    fn replace(head: &mut Parts, name: &'static str, value: &'static str) {
        head.headers.insert(name, HeaderValue::from_static(value));
    }

    fn add(head: &mut Parts, name: &'static str, value: &'static str) {
        head.headers.append(name, HeaderValue::from_static(value));
    }

    /// By a pair that the server does not know.
    const STRANGER: &str = "q-sign-algorithm=sha1&q-ak=x";

    type Change = fn(&mut KeyPair, &mut Parts);

    #[test]
    fn a_change_of_anything_signed_is_seen_and_of_anything_else_is_not() {
        let now = at(1_557_990_000);
        let refused = Some("SignatureDoesNotMatch");
        let changes: [(Change, Option<&str>); 8] = [
            (|_, head| head.method = hyper::Method::GET, refused),
            (|_, head| head.uri = "/other".parse().unwrap(), refused),
            (|_, head| replace(head, "x-cos-acl", "public-read"), refused),
            (|_, head| add(head, "x-cos-acl", "private"), refused),
            (|_, head| _ = head.headers.remove("x-cos-acl"), refused),
            (|pair, _| pair.secret.push('x'), refused),
            (
                |_, head| replace(head, "authorization", STRANGER),
                Some("InvalidAccessKeyId"),
            ),
            (|_, head| add(head, "user-agent", "x"), None),
        ];
        for (at, (change, expected)) in changes.into_iter().enumerate() {
            let (mut pair, mut head) = documented();
            change(&mut pair, &mut head);
            assert_eq!(code(&pair, &head, now), expected, "change {at}");
        }
    }

    #[test]
    fn the_host_may_be_signed_without_its_port() {
        let (pair, mut head) = documented();
        let host = "examplebucket-1250000000.cos.ap-beijing.myqcloud.com:9000";
        head.headers.insert("host", host.parse().unwrap());
        assert_eq!(code(&pair, &head, at(1_557_990_000)), None);
        head.headers.insert("host", "other:9000".parse().unwrap());
        assert_eq!(
            code(&pair, &head, at(1_557_990_000)),
            Some("SignatureDoesNotMatch")
        );
    }

    #[test]
    fn what_is_no_signature_is_denied() {
        for authorization in [
            "",
            "Basic abc",
            "q-sign-algorithm=sha1",
            "q-sign-algorithm=md5&q-ak=x",
        ] {
            let (pair, mut head) = documented();
            head.headers
                .insert("authorization", authorization.parse().unwrap());
            assert_eq!(
                code(&pair, &head, at(1_557_990_000)),
                Some("AccessDenied"),
                "{authorization}"
            );
        }
    }
}
