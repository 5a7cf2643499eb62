//! [`Service`]: from a request to the operation that it asks for.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use hyper::header::{CONTENT_LENGTH, IF_MATCH, IF_NONE_MATCH, SERVER};
use hyper::http::Extensions;
use hyper::http::request::Parts;
use hyper::{HeaderMap, Method, Request, Response, header::HeaderValue};
use partstore::PartStore;
use tokio::sync::Semaphore;

use crate::access::{Inbound, Told};
use crate::cos::answer::{Answer, Body, RequestId, set};
use crate::cos::body::Upstream;
use crate::cos::metadata;
use crate::cos::operations::{buckets, copies, deletes, listings, objects, uploads};
use crate::cos::refusal::Refusal;
use crate::cos::request::{Host, Query, Target, digits, text};
use crate::cos::signature;
use crate::rules::Current;
use crate::server::Front;

/// What all requests share.
pub struct Service {
    pub store: PartStore,
    pub rules: Arc<Current>,
    /// How long a client may be silent in the middle of a body.
    pub patience: Duration,
    /// Permits for copies.
    pub copies: Semaphore,
    /// How the names of headers are written: see [`spelling`](crate::cos::spelling).
    pub spelling: Extensions,
}

/// One request: its head, parsed, and its body, unread.
pub struct Call {
    pub service: Arc<Service>,
    pub target: Target,
    pub query: Query,
    pub headers: HeaderMap,
    pub host: Host,
    body: Inbound,
}

impl Call {
    pub fn body(self) -> Upstream {
        Upstream::new(self.body, self.service.patience)
    }

    /// R2: the length must be known.
    pub fn content_length(&self) -> Result<u64, Refusal> {
        let length = text(&self.headers, &CONTENT_LENGTH)?.and_then(digits);
        length.ok_or_else(|| Refusal::missing_content_length("a Content-Length is needed"))
    }
}

impl Front for Service {
    const NAME: &'static str = "cos";
    type Body = Body;

    async fn answer(self: Arc<Self>, request: Request<Inbound>) -> Response<Body> {
        let (head, body) = request.into_parts();
        let service = self.clone();
        let (id, path) = (RequestId::new(), head.uri.path().to_owned());
        let mut told = Told {
            id: id.request.clone(),
            ..Told::default()
        };
        let answer = match self.admit(head, body) {
            Ok((method, call)) => {
                told.bucket.clone_from(&call.target.bucket);
                told.key.clone_from(&call.target.key);
                dispatch(&method, call).await
            }
            Err(refusal) => Err(refusal),
        };
        let answer = answer.unwrap_or_else(|refusal| {
            told.code = Some(refusal.code.into());
            refusal.into_response(&path, &id)
        });
        service.signed(answer, told)
    }

    fn panicked(&self) -> Response<Body> {
        let (refusal, id) = (Refusal::internal("a fault; see the log"), RequestId::new());
        let told = Told {
            code: Some(refusal.code.into()),
            id: id.request.clone(),
            ..Told::default()
        };
        self.signed(refusal.into_response("/", &id), told)
    }
}

impl Service {
    /// What all answers have.
    fn signed(&self, mut response: Response<Body>, told: Told) -> Response<Body> {
        set(&mut response, "x-cos-request-id", &told.id);
        let server = HeaderValue::from_static("partstore");
        response.headers_mut().insert(SERVER, server);
        *response.extensions_mut() = self.spelling.clone();
        response.extensions_mut().insert(told);
        response
    }

    /// Parses the head of a request, and checks its signature.
    fn admit(self: Arc<Self>, head: Parts, body: Inbound) -> Result<(Method, Call), Refusal> {
        let rules = self.rules.get();
        let query = Query::parse(head.uri.query().unwrap_or_default())?;
        let host = Host::of(&head)?;
        let target = Target::parse(&host, head.uri.path())?;
        if let Some(keys) = &rules.keys {
            signature::verify(keys, &head, (&host, &query), SystemTime::now())?;
        }
        let call = Call {
            service: self,
            target,
            query,
            headers: head.headers,
            host,
            body,
        };
        Ok((head.method, call))
    }
}

impl Call {
    /// Refuses parameters that the operation does not know, because they may ask for something else: `PUT /key?acl`
    /// must not replace the object, and `DELETE /?style` must not remove the bucket.
    fn with(self, known: &[&str]) -> Result<Self, Refusal> {
        let is_known = |name: &str| {
            name.starts_with("q-")
                || name.starts_with("x-cos-")
                || known.iter().any(|known| known.eq_ignore_ascii_case(name))
        };
        if let Some((name, _)) = self.query.pairs().find(|(name, _)| !is_known(name)) {
            return Err(Refusal::not_implemented(format!(
                "this server does not know ?{name} here"
            )));
        }
        Ok(self)
    }
}

const LIST_UPLOADS: [&str; 7] = [
    "uploads",
    "prefix",
    "delimiter",
    "encoding-type",
    "max-uploads",
    "key-marker",
    "upload-id-marker",
];
const LIST_OBJECTS: [&str; 5] = ["prefix", "delimiter", "encoding-type", "max-keys", "marker"];
const LIST_PARTS: [&str; 4] = [
    "uploadId",
    "encoding-type",
    "max-parts",
    "part-number-marker",
];
const PART: [&str; 2] = ["partNumber", "uploadId"];
/// The `response-*` parameters replace headers of the answer.
pub const READ: [&str; 7] = [
    "partNumber",
    "response-cache-control",
    "response-content-disposition",
    "response-content-encoding",
    "response-content-language",
    "response-content-type",
    "response-expires",
];

async fn dispatch(method: &Method, call: Call) -> Answer {
    let is_part = call.query.has("partNumber") || call.query.has("uploadId");
    let is_copy = call.headers.contains_key("x-cos-copy-source");
    let names_upload = call.query.has("uploadId");
    let lists_uploads = call.query.has("uploads");
    if !method.is_safe() {
        metadata::check_honoured(&call.headers)?;
        let makes_object = match *method {
            Method::PUT => !is_part && !call.target.key.is_empty(),
            _ => *method == Method::POST && names_upload,
        };
        for name in [IF_MATCH, IF_NONE_MATCH] {
            if !makes_object && call.headers.contains_key(&name) {
                let nothing = format!("{name} is not known where no object is made");
                return Err(Refusal::not_implemented(nothing));
            }
        }
    }
    match (method.as_str(), call.target.key.is_empty()) {
        // Aborting the upload of no key must not delete the bucket.
        (_, true) if is_part => Err(Refusal::invalid_argument("an upload belongs to a key")),
        ("HEAD", true) => buckets::head(call.with(&[])?).await,
        ("POST", true) if call.query.has("delete") => {
            deletes::delete_objects(call.with(&["delete"])?).await
        }
        ("GET", true) if lists_uploads => listings::list_uploads(call.with(&LIST_UPLOADS)?).await,
        ("GET", true) => buckets::list(call.with(&LIST_OBJECTS)?).await,
        ("PUT", true) => buckets::create(call.with(&[])?).await,
        ("DELETE", true) => buckets::delete(call.with(&[])?).await,
        ("PUT", false) if is_part && is_copy => copies::copy_part(call.with(&PART)?).await,
        ("PUT", false) if is_part => uploads::put_part(call.with(&PART)?).await,
        ("PUT", false) if is_copy => copies::copy_object(call.with(&[])?).await,
        ("PUT", false) => objects::put(call.with(&[])?).await,
        ("POST", false) if lists_uploads => uploads::initiate(call.with(&["uploads"])?).await,
        ("POST", false) if names_upload => uploads::complete(call.with(&["uploadId"])?).await,
        ("GET", false) if names_upload => listings::list_parts(call.with(&LIST_PARTS)?).await,
        ("GET", false) => objects::get(call.with(&READ)?, objects::Wanted::Bytes).await,
        ("HEAD", false) => objects::get(call.with(&READ)?, objects::Wanted::Headers).await,
        ("DELETE", false) if names_upload => uploads::abort(call.with(&["uploadId"])?).await,
        ("DELETE", false) => objects::delete(call.with(&[])?).await,
        _ => {
            call.with(&[])?;
            let nothing = format!("{method} does nothing here");
            Err(Refusal::method_not_allowed(nothing))
        }
    }
}
