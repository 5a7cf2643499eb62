//! [`Gateway`]: from a request to the operation that it asks for.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use hyper::body::Incoming;
use hyper::header::{CONTENT_LENGTH, SERVER};
use hyper::http::Extensions;
use hyper::http::request::Parts;
use hyper::{HeaderMap, Method, Request, Response, header::HeaderValue};
use partstore::PartStore;
use tokio::sync::Semaphore;

use crate::answer::{Answer, Body, RequestId, set};
use crate::body::Upstream;
use crate::names::Names;
use crate::operations::{buckets, copies, deletes, objects, uploads};
use crate::refusal::Refusal;
use crate::request::{Query, Target, host_of, text};
use crate::signature::KeyPair;

/// What all requests share.
pub struct Gateway {
    pub store: PartStore,
    pub names: Names,
    /// `None`: anybody may do anything.
    pub keys: Option<KeyPair>,
    /// How long a client may be silent in the middle of a body.
    pub patience: Duration,
    /// Permits for copies.
    pub copies: Semaphore,
    /// How the names of headers are written: see [`spelling`](crate::spelling).
    pub spelling: Extensions,
}

/// One request: its head, understood, and its body, not begun.
pub struct Call {
    pub gateway: Arc<Gateway>,
    pub target: Target,
    pub query: Query,
    pub headers: HeaderMap,
    /// As the client wrote it, for the `Location` of an object.
    pub host: String,
    body: Incoming,
}

impl Call {
    pub fn body(self) -> Upstream {
        Upstream::new(self.body, self.gateway.patience)
    }

    /// R2: the length must be known.
    pub fn content_length(&self) -> Result<u64, Refusal> {
        let length = text(&self.headers, &CONTENT_LENGTH)?.and_then(|length| length.parse().ok());
        length.ok_or_else(|| Refusal::missing_content_length("a Content-Length is needed"))
    }
}

impl Gateway {
    /// Answers a request. Once begun it is carried through, whether or not its client waits for
    /// the answer: so nothing is left half-done by a client that goes.
    pub async fn answer(self: Arc<Self>, request: Request<Incoming>) -> Response<Body> {
        let (head, body) = request.into_parts();
        let spelling = self.spelling.clone();
        let id = RequestId::new();
        let (method, uri) = (head.method.clone(), head.uri.clone());
        let answer = match self.admit(head, body) {
            Ok((method, call)) => dispatch(&method, call).await,
            Err(refusal) => Err(refusal),
        };
        let code = answer.as_ref().err().map(|refusal| refusal.code);
        let mut response = answer.unwrap_or_else(|refusal| refusal.into_response(uri.path(), &id));
        tracing::info!(%method, path = uri.path(), status = response.status().as_u16(), code, id = id.request);
        set(&mut response, "x-cos-request-id", &id.request);
        response
            .headers_mut()
            .insert(SERVER, HeaderValue::from_static("partstore"));
        *response.extensions_mut() = spelling;
        response
    }

    /// Understands the head of a request, and checks its signature.
    fn admit(self: Arc<Self>, head: Parts, body: Incoming) -> Result<(Method, Call), Refusal> {
        let query = Query::parse(head.uri.query().unwrap_or_default())?;
        let host = host_of(&head)?;
        let target = Target::parse(&host, head.uri.path())?;
        if let Some(keys) = &self.keys {
            keys.verify(&head, &query, SystemTime::now())?;
        }
        let call = Call {
            gateway: self,
            target,
            query,
            headers: head.headers,
            host,
            body,
        };
        Ok((head.method, call))
    }
}

/// Sub-resources of COS that this gateway does not have. A request for one must not be taken for another of the
/// same method: `PUT /key?acl` does not replace the object.
const NOT_HERE: [&str; 30] = [
    "accelerate",
    "acl",
    "append",
    "cors",
    "domain",
    "domaincertificate",
    "encryption",
    "intelligenttiering",
    "inventory",
    "legal-hold",
    "lifecycle",
    "location",
    "logging",
    "notification",
    "object-lock",
    "origin",
    "policy",
    "referer",
    "replication",
    "restore",
    "retention",
    "select",
    "symlink",
    "tagging",
    "torrent",
    "versionId",
    "versioning",
    "versions",
    "website",
    "ci-process",
];

async fn dispatch(method: &Method, call: Call) -> Answer {
    if let Some(name) = NOT_HERE.iter().find(|name| call.query.has(name)) {
        return Err(Refusal::not_implemented(format!(
            "this gateway does not have ?{name}"
        )));
    }
    let is_part = call.query.has("partNumber") || call.query.has("uploadId");
    let is_copy = call.headers.contains_key("x-cos-copy-source");
    let names_upload = call.query.has("uploadId");
    let lists_uploads = call.query.has("uploads");
    match (method.as_str(), call.target.key.is_empty()) {
        // Aborting the upload of no key must not delete the bucket.
        (_, true) if is_part => Err(Refusal::invalid_argument("an upload belongs to a key")),
        ("HEAD", true) => buckets::head(&call),
        ("POST", true) if call.query.has("delete") => deletes::delete_objects(call).await,
        ("GET", true) if lists_uploads => uploads::list(call).await,
        ("GET", true) => buckets::list(call).await,
        ("PUT", true) => buckets::create(call).await,
        ("DELETE", true) => buckets::delete(call).await,
        ("PUT", false) if is_part && is_copy => copies::copy_part(call).await,
        ("PUT", false) if is_part => uploads::put_part(call).await,
        ("PUT", false) if is_copy => copies::copy_object(call).await,
        ("PUT", false) => objects::put(call).await,
        ("POST", false) if lists_uploads => uploads::initiate(call).await,
        ("POST", false) if names_upload => uploads::complete(call).await,
        ("GET", false) if names_upload => uploads::list_parts(call).await,
        ("GET", false) => objects::get(call, objects::Wanted::Bytes).await,
        ("HEAD", false) => objects::get(call, objects::Wanted::Headers).await,
        ("DELETE", false) if names_upload => uploads::abort(call).await,
        ("DELETE", false) => objects::delete(call).await,
        _ => Err(Refusal::method_not_allowed(format!(
            "{method} does nothing here"
        ))),
    }
}
