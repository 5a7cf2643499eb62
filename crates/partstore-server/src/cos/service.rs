//! [`Service`]: from a request to the operation that it asks for.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use hyper::header::{
    CONTENT_LENGTH, CONTENT_TYPE, HeaderValue, IF_MATCH, IF_NONE_MATCH, SERVER, TRANSFER_ENCODING,
};
use hyper::http::Extensions;
use hyper::http::request::Parts;
use hyper::{HeaderMap, Method, Request, Response};
use partstore_tokio::AsyncPartStore;
use tokio::sync::Semaphore;

use crate::access::{Inbound, Told};
use crate::cos::answer::{self, Answer, Body, RequestId, set};
use crate::cos::body::Upstream;
use crate::cos::honoured;
use crate::cos::operations::{
    append, buckets, configurations, copies, deletes, forms, listings, objects, uploads,
};
use crate::cos::refusal::Refusal;
use crate::cos::request::{Host, Query, Target, digits, text};
use crate::cos::signature;
use crate::cross_origin::{self, Asked};
use crate::rules::{Current, Rules};
use crate::server::Front;

/// What all requests share.
pub struct Service {
    pub store: AsyncPartStore,
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
    pub rules: Arc<Rules>,
    pub target: Target,
    pub query: Query,
    pub head: Parts,
    pub host: Host,
    body: Inbound,
}

impl Call {
    pub fn headers(&self) -> &HeaderMap {
        &self.head.headers
    }

    pub fn body(self) -> Upstream {
        Upstream::new(self.body, self.service.patience)
    }

    /// R2: the length must be known.
    pub fn content_length(&self) -> Result<u64, Refusal> {
        let length = text(self.headers(), &CONTENT_LENGTH)?.and_then(digits);
        length.ok_or_else(|| Refusal::missing_content_length("a Content-Length is needed"))
    }

    /// Whether this is a form, which has its signature inside.
    fn is_form(&self) -> bool {
        let kind = self.headers().get(CONTENT_TYPE);
        let is_multipart =
            kind.is_some_and(|kind| kind.as_bytes().starts_with(b"multipart/form-data"));
        is_multipart
            && self.head.method == Method::POST
            && self.target.key.is_empty()
            && !self.query.has("delete")
    }
}

/// What pages of `--cors-origin` may read. `*` is everything, such as `x-cos-meta-*`, but not of a request with cookies. The
/// SDK for browsers needs those that are named.
const EXPOSED: [&str; 16] = [
    "*",
    "Accept-Ranges",
    "Content-Disposition",
    "Content-Encoding",
    "Content-Length",
    "Content-Range",
    "Date",
    "ETag",
    "Last-Modified",
    "Location",
    "x-cos-bucket-region",
    "x-cos-hash-crc64ecma",
    "x-cos-mp-parts-count",
    "x-cos-next-append-position",
    "x-cos-object-type",
    "x-cos-request-id",
];

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
        let asked = Asked::of(&head);
        let call = self.parse(head, body);
        if let Ok(call) = &call {
            told.bucket.clone_from(&call.target.bucket);
            told.key.clone_from(&call.target.key);
        }
        let bucket = (!told.bucket.is_empty()).then(|| told.bucket.clone());
        let known = (&service.store, &*service.rules.get());
        let allowed = cross_origin::find(known, &EXPOSED, asked, bucket).await;
        let answer = match call {
            Ok(call) if call.head.method == Method::OPTIONS => {
                allowed.as_ref().map(|_| answer::ok()).ok_or_else(|| {
                    Refusal::access_forbidden(
                        "no rule of this bucket allows this origin, method and headers",
                    )
                })
            }
            Ok(call) => perform(call).await,
            Err(refusal) => Err(refusal),
        };
        let mut answer = answer.unwrap_or_else(|refusal| {
            told.code = Some(refusal.code.into());
            refusal.into_response(&path, &id)
        });
        if let Some(allowed) = &allowed {
            allowed.let_read(&mut answer);
        }
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

    fn parse(self: Arc<Self>, head: Parts, body: Inbound) -> Result<Call, Refusal> {
        let rules = self.rules.get();
        let query = Query::parse(head.uri.query().unwrap_or_default())?;
        let host = Host::of(&head, &rules.domains)?;
        let target = Target::parse(&host, head.uri.path())?;
        Ok(Call {
            service: self,
            rules,
            target,
            query,
            head,
            host,
            body,
        })
    }
}

/// Checks the signature, and does what is asked for.
async fn perform(call: Call) -> Answer {
    let is_form = call.is_form();
    if let Some(keys) = call.rules.keys.as_ref().filter(|_| !is_form) {
        let named = (&call.host, &call.query);
        signature::verify(keys, &call.head, named, SystemTime::now())?;
    }
    // hyper would only undo the chunks, and the rest would be stored as data.
    match text(call.headers(), &TRANSFER_ENCODING)? {
        Some(coding) if !coding.trim().eq_ignore_ascii_case("chunked") => {
            return Err(Refusal::not_supported(
                "the Transfer-Encoding can only be chunked",
            ));
        }
        _ => {}
    }
    let call = call.without_version()?;
    if !call.head.method.is_safe() {
        honoured::check(call.headers())?;
        check_conditions(&call)?;
    }
    match (call.target.bucket.is_empty(), call.target.key.is_empty()) {
        (true, _) => of_all_buckets(call).await,
        (false, true) if is_form => forms::post(call.writing(&[])?).await,
        (false, true) => of_a_bucket(call).await,
        (false, false) => of_an_object(call).await,
    }
}

/// Where no object is made, `If-Match` would be ignored, and so would a digest where no body is stored.
fn check_conditions(call: &Call) -> Result<(), Refusal> {
    let is_part = call.query.has("partNumber");
    let makes_object = match call.head.method {
        Method::PUT => !is_part && !call.target.key.is_empty(),
        _ => call.head.method == Method::POST && call.query.has("uploadId"),
    };
    let forbids = call.headers().contains_key("x-cos-forbid-overwrite");
    for name in [IF_MATCH, IF_NONE_MATCH] {
        if !makes_object && call.headers().contains_key(&name) {
            let nothing = format!("{name} is not known where no object is made");
            return Err(Refusal::not_supported(nothing));
        }
    }
    let is_copy = call.headers().contains_key("x-cos-copy-source");
    if call.head.method != Method::PUT || call.target.key.is_empty() || is_copy {
        honoured::check_no_sha1(call.headers())?;
    }
    if forbids && is_part {
        return Err(Refusal::not_supported(
            "x-cos-forbid-overwrite is not known of a part",
        ));
    }
    Ok(())
}

async fn of_all_buckets(call: Call) -> Answer {
    match call.head.method.as_str() {
        "GET" => buckets::list_all(call.reading(None)?).await,
        _ => Err(does_nothing(&call, "GET, OPTIONS")),
    }
}

const PART: [&str; 2] = ["partNumber", "uploadId"];

async fn of_a_bucket(call: Call) -> Answer {
    let names_upload = PART.iter().any(|name| call.query.has(name));
    let configuration = configurations::asked(&call.query);
    match (call.head.method.as_str(), configuration) {
        // Aborting the upload of no key must not delete the bucket.
        _ if names_upload => Err(Refusal::invalid_argument("an upload belongs to a key")),
        ("GET", Some(name)) => configurations::get(call.reading(Some(name))?, name).await,
        ("PUT", Some("cors")) => configurations::put_cors(call.writing(&["cors"])?).await,
        ("PUT", Some("lifecycle")) => {
            configurations::put_lifecycle(call.writing(&["lifecycle"])?).await
        }
        ("DELETE", Some(name)) => configurations::delete(call.writing(&[name])?, name).await,
        ("HEAD", _) => buckets::head(call.reading(None)?).await,
        ("POST", _) if call.query.has("delete") => {
            deletes::delete_objects(call.writing(&["delete"])?).await
        }
        ("GET", _) if call.query.has("uploads") => {
            listings::list_uploads(call.reading(Some("uploads"))?).await
        }
        ("GET", _) if call.query.has("versions") => {
            buckets::list_versions(call.reading(Some("versions"))?).await
        }
        ("GET", _) => buckets::list(call.reading(None)?).await,
        ("PUT", _) => buckets::create(call.writing(&[])?).await,
        ("DELETE", _) => buckets::delete(call.writing(&[])?).await,
        _ => Err(does_nothing(&call.writing(&[])?, COMMON)),
    }
}

async fn of_an_object(call: Call) -> Answer {
    let is_part = PART.iter().any(|name| call.query.has(name));
    let is_copy = call.headers().contains_key("x-cos-copy-source");
    let names_upload = call.query.has("uploadId");
    let configuration = configurations::asked(&call.query);
    match (call.head.method.as_str(), configuration) {
        ("GET", Some(name)) => configurations::get_of_object(call.reading(Some(name))?, name).await,
        ("PUT", _) if is_part && is_copy => copies::copy_part(call.writing(&PART)?).await,
        ("PUT", _) if is_part => uploads::put_part(call.writing(&PART)?).await,
        ("PUT", _) if is_copy => copies::copy_object(call.writing(&[])?).await,
        ("PUT", _) => objects::put(call.writing(&[])?).await,
        ("POST", _) if call.query.has("append") => {
            append::append(call.writing(&["append", "position"])?).await
        }
        ("POST", _) if call.query.has("uploads") => {
            uploads::initiate(call.writing(&["uploads"])?).await
        }
        ("POST", _) if names_upload => uploads::complete(call.writing(&["uploadId"])?).await,
        ("GET", _) if names_upload => listings::list_parts(call.reading(None)?).await,
        ("GET", _) => objects::get(call.reading(None)?, objects::Wanted::Bytes).await,
        ("HEAD", _) => objects::get(call.reading(None)?, objects::Wanted::Headers).await,
        ("DELETE", _) if names_upload => uploads::abort(call.writing(&["uploadId"])?).await,
        ("DELETE", _) => objects::delete(call.writing(&[])?).await,
        _ => Err(does_nothing(&call.writing(&[])?, COMMON)),
    }
}

/// What all buckets and objects know.
const COMMON: &str = "DELETE, GET, HEAD, OPTIONS, PUT";

fn does_nothing(call: &Call, allowed: &'static str) -> Refusal {
    let nothing = format!("{} does nothing here", call.head.method);
    Refusal::method_not_allowed(nothing).with("allow", allowed)
}
