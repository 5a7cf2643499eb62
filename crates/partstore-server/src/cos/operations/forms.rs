//! POST Object: what a form in a page, or a mini program, uploads.

use std::ops::RangeInclusive;
use std::time::SystemTime;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use futures_util::{TryStreamExt, stream};
use hyper::header::{CONTENT_TYPE, HeaderName, HeaderValue};
use hyper::http::request::Parts;
use hyper::{HeaderMap, Response, StatusCode};
use multer::{Field, Multipart};
use partstore::{Key, Object, ObjectOptions, PartOptions};

use super::uploads::{location, scheme};
use crate::cos::answer::{self, Answer, Body, set};
use crate::cos::body::Upstream;
use crate::cos::conditions::Before;
use crate::cos::honoured;
use crate::cos::metadata::{self, FORBID_OVERWRITE};
use crate::cos::policy;
use crate::cos::refusal::Refusal;
use crate::cos::request::{Host, check_key, encode, text};
use crate::cos::service::Call;
use crate::cos::signature;
use crate::cos::xml;
use crate::keys::Keys;

/// The longest that one field other than the file may be, and all of them, bytes.
const MAX_FIELD_LEN: usize = 20 * 1024;
const MAX_FIELDS_LEN: usize = 64 * 1024;

/// `POST /` with a form. Its file comes last.
pub async fn post(call: Call) -> Answer {
    call.require_bucket().await?;
    let kind = text(call.headers(), &CONTENT_TYPE)?.unwrap_or_default();
    let boundary = multer::parse_boundary(kind).map_err(malformed)?;
    let answered = Answered::of(&call);
    let (head, rules, host) = (call.head.clone(), call.rules.clone(), call.host.clone());
    let store = call.service.store.clone();
    let bytes = call.body().into_stream();
    let mut form = Multipart::new(bytes, boundary);
    let (mut fields, file) = Fields::read(&mut form).await?;
    fields.set("bucket", answered.bucket.clone());
    let key = fields.key(&file)?;
    let lengths = match &rules.keys {
        Some(keys) => fields.verify(&(keys, &head, &host))?,
        None => fields.lengths()?,
    };
    let headers = fields.headers(&head)?;
    honoured::check(&headers)?;
    honoured::check_no_sha1(&headers)?;
    let options = ObjectOptions::new()
        .body(PartOptions::new())
        .metadata(metadata::of(&headers)?);
    let before = Before::of(&headers)?;
    let (name, wanted) = (Key::new(&answered.bucket, &key), before.clone());
    let writer = store.writer_by(move |store| {
        let condition = wanted.decide(store, &name)?;
        let writer = store.object_writer(name, options.only(condition));
        writer.map_err(|error| wanted.explain(error.into()))
    });
    let stored = Upstream::of(within(form, file, lengths))
        .store(writer.await?)
        .await;
    let object = stored.map_err(|refusal| before.explain(refusal))?;
    answered.answer(&fields, &key, &object)
}

fn malformed(error: multer::Error) -> Refusal {
    match error {
        multer::Error::StreamReadFailed(source) => match source.downcast::<Refusal>() {
            Ok(refusal) => *refusal,
            Err(other) => Refusal::incomplete_body(other.to_string()),
        },
        error @ (multer::Error::IncompleteFieldData { .. } | multer::Error::IncompleteHeaders) => {
            Refusal::incomplete_body(format!("the form broke off: {error}"))
        }
        error => Refusal::malformed_post(format!("the form is not understood: {error}")),
    }
}

/// Who may sign, and what a signature of the request as such is of.
type Signed<'a> = (&'a Keys, &'a Parts, &'a Host);

/// The fields before the file, with their names in lower case.
struct Fields(Vec<(String, String)>);

impl Fields {
    async fn read(form: &mut Multipart<'static>) -> Result<(Self, Field<'static>), Refusal> {
        let (mut fields, mut len) = (Self(Vec::new()), 0);
        loop {
            let field = form.next_field().await.map_err(malformed)?;
            let no_file = || Refusal::malformed_post("the form has no file");
            let mut field = field.ok_or_else(no_file)?;
            let name = field.name().unwrap_or_default().to_ascii_lowercase();
            if name == "file" {
                return Ok((fields, field));
            }
            let mut value = Vec::new();
            while let Some(bytes) = field.chunk().await.map_err(malformed)? {
                value.extend_from_slice(&bytes);
                len += bytes.len();
                if value.len() > MAX_FIELD_LEN || len > MAX_FIELDS_LEN {
                    return Err(Refusal::malformed_post(
                        "the fields of the form are too long",
                    ));
                }
            }
            let value = String::from_utf8(value);
            let value = value.map_err(|_| Refusal::malformed_post(format!("{name} is no text")))?;
            if fields.get(&name).is_some() {
                return Err(Refusal::malformed_post(format!("{name} is given twice")));
            }
            fields.0.push((name, value));
        }
    }

    fn get(&self, name: &str) -> Option<&str> {
        let mut fields = self.0.iter();
        fields.find_map(|(known, value)| (known == name).then_some(value.as_str()))
    }

    fn set(&mut self, name: &str, value: String) {
        self.0.retain(|(known, _)| known != name);
        self.0.push((name.to_owned(), value));
    }

    /// The key, with the name of the file for `${filename}`.
    fn key(&self, file: &Field<'_>) -> Result<String, Refusal> {
        let key = self.get("key").filter(|key| !key.is_empty());
        let key = key.ok_or_else(|| Refusal::invalid_argument("the form has no key"))?;
        let path = file.file_name().unwrap_or_default();
        let name = path.rsplit(['/', '\\']).next().unwrap_or_default();
        let key = key.replace("${filename}", name);
        check_key(&key)?;
        Ok(key)
    }

    fn policy(&self) -> Result<Option<Vec<u8>>, Refusal> {
        let policy = self.get("policy").filter(|policy| !policy.is_empty());
        let decoded = policy.map(|policy| STANDARD.decode(policy)).transpose();
        decoded.map_err(|_| Refusal::malformed_post("the policy is not base64"))
    }

    /// The lengths that the policy allows. Of a server without keys it is not signed, and still binds.
    fn lengths(&self) -> Result<RangeInclusive<u64>, Refusal> {
        match self.policy()? {
            None => Ok(0..=u64::MAX),
            Some(policy) => policy::check(&policy, SystemTime::now(), |name| {
                // The policy calls it by its name in other signatures.
                let name = if name == "q-sign-time" {
                    "q-key-time"
                } else {
                    name
                };
                self.get(name).map(str::to_owned)
            }),
        }
    }

    /// Checks the signature: of the policy, or of the request as such, in the field `Signature`.
    fn verify(&self, call: &Signed<'_>) -> Result<RangeInclusive<u64>, Refusal> {
        let (keys, head, host) = call;
        let now = SystemTime::now();
        if let Some(whole) = self.get("signature") {
            signature::verify_text(keys, whole, (head, host), now)?;
        } else {
            let policy = self.policy()?;
            let policy = policy.ok_or_else(|| Refusal::access_denied("the form has no policy"))?;
            signature::verify_policy(keys, &policy, now, |name| self.get(name))?;
        }
        self.lengths()
    }

    /// What the object keeps, and what else stands for a header. The SDK for mini programs has one that is no field.
    fn headers(&self, head: &Parts) -> Result<HeaderMap, Refusal> {
        let mut headers = HeaderMap::new();
        if let Some(value) = head.headers.get(FORBID_OVERWRITE) {
            headers.insert(HeaderName::from_static(FORBID_OVERWRITE), value.clone());
        }
        for (name, value) in &self.0 {
            let Ok(header) = HeaderName::try_from(name.as_str()) else {
                continue;
            };
            let value = HeaderValue::from_bytes(value.as_bytes());
            let value =
                value.map_err(|_| Refusal::malformed_post(format!("{name} is no header")))?;
            headers.insert(header, value);
        }
        Ok(headers)
    }
}

/// The bytes of a file, which must be of an allowed length, in a form that comes to its end. Otherwise the file is not
/// stored.
fn within(
    form: Multipart<'static>,
    file: Field<'static>,
    lengths: RangeInclusive<u64>,
) -> impl futures_util::Stream<Item = Result<Bytes, Refusal>> + Send {
    stream::try_unfold((form, Some(file), 0_u64), move |(form, file, len)| {
        let lengths = lengths.clone();
        async move {
            let Some(mut open) = file else {
                return Ok(None);
            };
            let bytes = open.try_next().await.map_err(malformed)?;
            let len = len + bytes.as_ref().map_or(0, Bytes::len) as u64;
            if len > *lengths.end() {
                return Err(Refusal::entity_too_large(
                    "the policy allows no file so long",
                ));
            }
            if let Some(bytes) = bytes {
                return Ok(Some((bytes, (form, Some(open), len))));
            }
            if len < *lengths.start() {
                return Err(Refusal::entity_too_small(
                    "the policy allows no file so short",
                ));
            }
            drop(open);
            pass_over(form).await?;
            Ok(None)
        }
    })
}

/// What follows the file is ignored, as COS does.
async fn pass_over(mut form: Multipart<'static>) -> Result<(), Refusal> {
    while form.next_field().await.map_err(malformed)?.is_some() {}
    Ok(())
}

/// What an answer says of the request.
struct Answered {
    bucket: String,
    /// Where the bucket is.
    base: String,
}

impl Answered {
    fn of(call: &Call) -> Self {
        Self {
            base: location(scheme(call), &call.host, &call.target),
            bucket: call.target.bucket.clone(),
        }
    }

    fn answer(self, fields: &Fields, key: &str, object: &Object) -> Answer {
        let etag = object.etag.quoted();
        let path: Vec<_> = key.split('/').map(encode).collect();
        let location = self.base + &path.join("/");
        let (redirect, status) = (
            fields.get("success_action_redirect"),
            fields.get("success_action_status"),
        );
        let mut response = match (redirect.filter(|to| !to.is_empty()), status) {
            (Some(to), _) => {
                let joint = if to.contains('?') { '&' } else { '?' };
                let pairs = [
                    ("bucket", &self.bucket),
                    ("key", &key.to_owned()),
                    ("etag", &etag),
                ];
                let pairs = pairs.map(|(name, value)| format!("{name}={}", encode(value)));
                let mut response = with_status(StatusCode::SEE_OTHER);
                set(
                    &mut response,
                    "location",
                    format!("{to}{joint}{}", pairs.join("&")),
                );
                return Ok(response);
            }
            (None, Some("200")) => answer::ok(),
            (None, Some("201")) => {
                let mut response = answer::xml(&xml::PostResponse {
                    location: location.clone(),
                    bucket: &self.bucket,
                    key,
                    etag: etag.clone(),
                })?;
                *response.status_mut() = StatusCode::CREATED;
                response
            }
            _ => answer::no_content(),
        };
        set(&mut response, "etag", &etag);
        set(&mut response, "location", location);
        answer::set_crc64(&mut response, &object.checksums);
        Ok(response)
    }
}

fn with_status(status: StatusCode) -> Response<Body> {
    let mut response = answer::ok();
    *response.status_mut() = status;
    response
}
