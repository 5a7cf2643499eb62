//! `--admin`: what those who run the server look at. It has an address of its own, and asks for no keys. It changes
//! nothing that somebody refers to. For `partstore --server` it does [`backup`], if that is allowed, and what is [`asked`].
//!
//! [`health`] is for balancers and supervisors, [`figures`] for Prometheus. The page is for a person: it asks for
//! [`status`] again and again, and draws it.

mod asked;
mod backup;
mod figures;
mod guard;
mod health;
mod oldest;
mod status;
mod told;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http_body_util::Full;
use hyper::header::{ALLOW, CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderValue};
use hyper::{Method, Request, Response, StatusCode};
use metrics_exporter_prometheus::PrometheusHandle;
use partstore::PartStore;
use partstore_tokio::AsyncPartStore;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

pub use told::Told;

use crate::access::Inbound;
use crate::args::Args;
use crate::server::Front;
use crate::traffic::{SPAN, Traffic};
use crate::{Failure, opening};
use oldest::{Found, Oldest};

/// How long the store may take to say how it is.
const PATIENCE: Duration = Duration::from_secs(5);
/// How long a search may take before the answer does without it.
const GLANCE: Duration = Duration::from_secs(1);
const PAGE: &str = include_str!("page.html");
/// The page is all of one file.
const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; connect-src 'self'; img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// Answers those who run the server. Without one nothing is counted.
pub struct Admin {
    told: Told,
    oldest: Arc<Oldest>,
    store: AsyncPartStore,
    recorded: PrometheusHandle,
    /// Bytes that bodies leave free.
    headroom: u64,
    /// Below this directory backups may be taken.
    backups: Option<PathBuf>,
    /// One backup at a time.
    backing_up: Arc<tokio::sync::Mutex<()>>,
    /// One verify or sweep at a time.
    working: Arc<tokio::sync::Mutex<()>>,
    /// One search of all parts at a time.
    searching: Arc<tokio::sync::Mutex<()>>,
    /// Where the bytes are.
    at: At,
    /// The directory of the store, if it has one.
    data: Option<PathBuf>,
    /// Where the store is, for a person.
    place: String,
    began: Instant,
}

/// Where a store keeps its bytes.
#[derive(Clone)]
enum At {
    Directory(PathBuf),
    Bucket(String),
}

impl At {
    fn of(args: &Args) -> Result<Self, Failure> {
        Ok(match &args.data {
            Some(data) => Self::Directory(std::path::absolute(data)?),
            None => Self::Bucket(args.blobs.clone().unwrap_or_default()),
        })
    }

    fn borrow(&self) -> partstore_reports::At<'_> {
        match self {
            Self::Directory(path) => partstore_reports::At::Directory(path),
            Self::Bucket(address) => partstore_reports::At::Bucket(address),
        }
    }
}

type Answer = Response<Full<Bytes>>;

impl Admin {
    pub fn new(store: AsyncPartStore, args: &Args, told: Told) -> Result<Self, Failure> {
        Ok(Self {
            told,
            oldest: Arc::default(),
            store,
            recorded: figures::record()?,
            headroom: args.headroom,
            backups: args.backups.as_ref().map(std::path::absolute).transpose()?,
            backing_up: Arc::default(),
            working: Arc::default(),
            searching: Arc::default(),
            at: At::of(args)?,
            data: args.data.clone(),
            place: opening::place(args),
            began: Instant::now(),
        })
    }

    /// What requests are counted in.
    pub fn traffic(&self) -> Arc<Traffic> {
        Arc::clone(self.told.traffic())
    }

    /// Ends a span now and then, until the server stops. What was recorded is added up then, also if nobody asks for
    /// it: otherwise each request would stay in memory.
    pub async fn keep(self: Arc<Self>, stop: CancellationToken) {
        let spans = async {
            loop {
                tokio::time::sleep(SPAN).await;
                self.told.traffic().end_span();
                self.recorded.run_upkeep();
            }
        };
        stop.run_until_cancelled(spans).await;
    }

    async fn answer_to(&self, method: &Method, path: &str) -> Answer {
        if ![Method::GET, Method::HEAD].contains(method) {
            let mut refusal = text(StatusCode::METHOD_NOT_ALLOWED, "only GET and HEAD\n");
            let allowed = HeaderValue::from_static("GET, HEAD");
            refusal.headers_mut().insert(ALLOW, allowed);
            return refusal;
        }
        match path {
            "/" => page(),
            "/health" | "/health/ready" => health::ready(self).await,
            "/health/live" => text(StatusCode::OK, "live\n"),
            "/metrics" => figures::figures(self).await,
            "/status.json" => status::status(self).await,
            _ => text(
                StatusCode::NOT_FOUND,
                "/, /health, /health/live, /health/ready, /metrics, /status.json\n",
            ),
        }
    }

    /// Asks the store, which may hang.
    async fn ask<T: Send + 'static>(
        &self,
        question: impl FnOnce(&PartStore) -> partstore::Result<T> + Send + 'static,
    ) -> Result<T, Failure> {
        match timeout(PATIENCE, self.store.run(question)).await {
            Ok(answer) => Ok(answer?),
            Err(_) => Err(format!("the store has not answered for {PATIENCE:?}").into()),
        }
    }

    /// What is known of the oldest open upload. A search of many uploads goes on behind the answer, and the next one
    /// has its result.
    async fn oldest(&self) -> Option<Found> {
        let oldest = Arc::clone(&self.oldest);
        let search = self.store.run(move |store| oldest.look(store));
        let _ = timeout(GLANCE, search).await;
        self.oldest.known()
    }
}

impl Front for Admin {
    const NAME: &'static str = "admin";
    /// Nobody else would learn what a verify has found.
    const ENDS_WITH_CLIENT: bool = true;
    type Body = Full<Bytes>;

    async fn answer(self: Arc<Self>, request: Request<Inbound>) -> Answer {
        let (request, _) = request.into_parts();
        match (&request.method, request.uri.path()) {
            (&Method::POST, "/backup") => backup::back_up(&self, &request).await,
            (&Method::GET, "/info.json") => asked::info(&self, &request).await,
            (&Method::GET, "/ls.json") => asked::list(&self, &request).await,
            (&Method::GET, "/where.json") => asked::locate(&self, &request).await,
            (&Method::POST, "/verify") => asked::verify(&self, &request).await,
            (&Method::POST, "/sweep") => asked::sweep(&self, &request).await,
            (method, path) => self.answer_to(method, path).await,
        }
    }

    fn panicked(&self) -> Answer {
        text(StatusCode::INTERNAL_SERVER_ERROR, "a fault; see the log\n")
    }
}

fn page() -> Answer {
    let mut page = answer(StatusCode::OK, "text/html; charset=utf-8", PAGE);
    let policy = HeaderValue::from_static(POLICY);
    page.headers_mut().insert(CONTENT_SECURITY_POLICY, policy);
    page
}

fn text(status: StatusCode, text: impl Into<Bytes>) -> Answer {
    answer(status, "text/plain; charset=utf-8", text)
}

fn answer(status: StatusCode, kind: &'static str, body: impl Into<Bytes>) -> Answer {
    let mut answer = Response::new(Full::new(body.into()));
    *answer.status_mut() = status;
    let headers = answer.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(
        "x-content-type-options",
        HeaderValue::from_static("nosniff"),
    );
    answer
}
