//! A client of one protocol. S3 is signed by `rusty-s3`; for COS no crate is kept, and its signature is a few lines.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use hmac::{Hmac, KeyInit, Mac};
use rusty_s3::actions::{
    AbortMultipartUpload, CompleteMultipartUpload, CreateBucket, CreateMultipartUpload,
    DeleteObject, GetObject, ListObjectsV2, PutObject, UploadPart,
};
use rusty_s3::{Bucket, Credentials, S3Action, UrlStyle};
use sha1::{Digest, Sha1};
use ureq::http::Request;

use crate::Failure;

pub const BUCKET: &str = "soak-1250000000";
pub const KEY_ID: &str = "AKIDsoak";
pub const SECRET: &str = "soak-secret";
const SIGNED_FOR: Duration = Duration::from_hours(1);
/// A server that does not answer for so long hangs. The run may stand still in the meantime.
const PATIENCE: Duration = Duration::from_mins(15);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    S3,
    Cos,
}

impl Protocol {
    /// The least length of a part that is not the last one.
    pub fn min_part(self) -> usize {
        match self {
            Self::S3 => 5 << 20,
            Self::Cos => 1 << 20,
        }
    }
}

/// What is asked of the server.
#[derive(Clone, Copy, Debug)]
pub enum Call<'a> {
    MakeBucket,
    List,
    Get(&'a str),
    Put(&'a str),
    Delete(&'a str),
    Initiate(&'a str),
    PutPart(&'a str, &'a str, u16),
    Complete(&'a str, &'a str),
    Abort(&'a str, &'a str),
}

pub struct Answer {
    pub status: u16,
    pub etag: String,
    pub body: Vec<u8>,
}

impl Answer {
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The texts of all elements of a name.
    pub fn elements(&self, name: &str) -> Vec<String> {
        let (open, close) = (format!("<{name}>"), format!("</{name}>"));
        let text = self.text();
        let behind = text.split(&open).skip(1);
        behind
            .filter_map(|text| Some(text.split_once(&close)?.0.to_owned()))
            .collect()
    }
}

pub struct Client {
    pub protocol: Protocol,
    agent: ureq::Agent,
    bucket: Bucket,
    credentials: Credentials,
    address: String,
}

impl Client {
    /// To this port of the machine.
    pub fn new(protocol: Protocol, port: u16) -> Result<Self, Failure> {
        let address = format!("http://127.0.0.1:{port}");
        let config = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .timeout_global(Some(PATIENCE));
        Ok(Self {
            protocol,
            agent: config.build().into(),
            bucket: Bucket::new(address.parse()?, UrlStyle::Path, BUCKET, "local")?,
            credentials: Credentials::new(KEY_ID, SECRET),
            address,
        })
    }

    /// Sends a request. An error means that no whole answer came.
    pub fn send(&self, call: Call<'_>, body: &[u8]) -> Result<Answer, Failure> {
        let (method, target) = target(call);
        let request = Request::builder().method(method);
        let request = match self.protocol {
            Protocol::S3 => request.uri(self.s3(call)),
            Protocol::Cos => request
                .uri(format!("{}{target}", self.address))
                .header("Authorization", cos(method, &target)),
        };
        let mut answer = if body.is_empty() {
            self.agent
                .run(request.header("Content-Length", "0").body(())?)?
        } else {
            self.agent.run(request.body(body)?)?
        };
        let etag = answer.headers().get("ETag");
        Ok(Answer {
            status: answer.status().as_u16(),
            etag: etag.map_or(String::new(), |etag| {
                String::from_utf8_lossy(etag.as_bytes()).into_owned()
            }),
            body: answer
                .body_mut()
                .with_config()
                .limit(1 << 30)
                .read_to_vec()?,
        })
    }

    /// The signed address of a call.
    fn s3(&self, call: Call<'_>) -> String {
        let (bucket, keys) = (&self.bucket, &self.credentials);
        let signed = match call {
            Call::MakeBucket => CreateBucket::new(bucket, keys).sign(SIGNED_FOR),
            Call::List => ListObjectsV2::new(bucket, Some(keys)).sign(SIGNED_FOR),
            Call::Get(key) => GetObject::new(bucket, Some(keys), key).sign(SIGNED_FOR),
            Call::Put(key) => PutObject::new(bucket, Some(keys), key).sign(SIGNED_FOR),
            Call::Delete(key) => DeleteObject::new(bucket, Some(keys), key).sign(SIGNED_FOR),
            Call::Initiate(key) => {
                CreateMultipartUpload::new(bucket, Some(keys), key).sign(SIGNED_FOR)
            }
            Call::PutPart(key, id, number) => {
                UploadPart::new(bucket, Some(keys), key, number, id).sign(SIGNED_FOR)
            }
            Call::Complete(key, id) => {
                // The list is in the body, which is not signed.
                let none = std::iter::empty::<&str>();
                CompleteMultipartUpload::new(bucket, Some(keys), key, id, none).sign(SIGNED_FOR)
            }
            Call::Abort(key, id) => {
                AbortMultipartUpload::new(bucket, Some(keys), key, id).sign(SIGNED_FOR)
            }
        };
        signed.to_string()
    }
}

/// The method of a call, and its path with the query.
fn target(call: Call<'_>) -> (&'static str, String) {
    let path = |key: &str| format!("/{BUCKET}/{key}");
    match call {
        Call::MakeBucket => ("PUT", path("")),
        Call::List => ("GET", path("")),
        Call::Get(key) => ("GET", path(key)),
        Call::Put(key) => ("PUT", path(key)),
        Call::Delete(key) => ("DELETE", path(key)),
        Call::Initiate(key) => ("POST", path(key) + "?uploads"),
        Call::PutPart(key, id, number) => (
            "PUT",
            format!("{}?partNumber={number}&uploadId={id}", path(key)),
        ),
        Call::Complete(key, id) => ("POST", format!("{}?uploadId={id}", path(key))),
        Call::Abort(key, id) => ("DELETE", format!("{}?uploadId={id}", path(key))),
    }
}

/// The signature of COS over method and path.
fn cos(method: &str, target: &str) -> String {
    let path = target.split('?').next().unwrap_or(target);
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    let now = now.map_or(0, |since| since.as_secs());
    let times = format!("{};{}", now - 60, now + SIGNED_FOR.as_secs());
    let content = format!("{}\n{path}\n\n\n", method.to_ascii_lowercase());
    let text = format!("sha1\n{times}\n{}\n", hex::encode(Sha1::digest(content)));
    let signature = mac(&mac(SECRET, &times), &text);
    format!(
        "q-sign-algorithm=sha1&q-ak={KEY_ID}&q-sign-time={times}&q-key-time={times}&q-header-list=&q-url-param-list=\
         &q-signature={signature}"
    )
}

fn mac(key: &str, text: &str) -> String {
    #[expect(clippy::expect_used, reason = "HMAC takes keys of any length")]
    let mut mac = Hmac::<Sha1>::new_from_slice(key.as_bytes()).expect("a key");
    mac.update(text.as_bytes());
    hex::encode(mac.finalize().into_bytes())
}
