//! The access log: one line for each request, when the last byte of its answer was taken, or its client has left.

use std::borrow::Cow;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Instant;

use bytes::Bytes;
use hyper::body::{Body, Frame, Incoming, SizeHint};
use hyper::{Method, Request, Response, StatusCode};

use crate::traffic::Traffic;

/// What a front tells of a request, as an extension of its answer.
#[derive(Clone, Default)]
pub struct Told {
    pub bucket: String,
    pub key: String,
    /// The protocol's code of an error.
    pub code: Option<Cow<'static, str>>,
    /// The id by which the client knows the request.
    pub id: String,
}

/// The status of a request whose client has left before its answer. Some other servers have the same.
const NO_ANSWER: u16 = 499;

/// One request, from its head to its line.
pub struct Access(Line);

/// What its head has said.
struct Asked {
    protocol: &'static str,
    client: SocketAddr,
    method: Method,
    path: String,
    begun: Instant,
    received: Arc<AtomicU64>,
    /// `None` for requests that are not counted.
    traffic: Option<Arc<Traffic>>,
}

impl Access {
    /// Counts what comes in.
    pub fn begin(
        (protocol, traffic): (&'static str, Option<Arc<Traffic>>),
        client: SocketAddr,
        request: Request<Incoming>,
    ) -> (Self, Request<Inbound>) {
        let received = Arc::new(AtomicU64::new(0));
        if let Some(traffic) = &traffic {
            traffic.begins();
        }
        let asked = Asked {
            protocol,
            client,
            method: request.method().clone(),
            path: request.uri().path().to_owned(),
            begun: Instant::now(),
            received: received.clone(),
            traffic: traffic.clone(),
        };
        let inbound = |body| Inbound {
            body,
            received,
            traffic,
        };
        let line = Line {
            asked,
            status: None,
            told: Told::default(),
            sent: 0,
        };
        (Self(line), request.map(inbound))
    }

    /// Counts what goes out, and writes the line at its end.
    pub fn answer<B>(self, mut response: Response<B>) -> Response<Outbound<B>> {
        let Self(mut line) = self;
        line.told = response.extensions_mut().remove().unwrap_or_default();
        line.status = Some(response.status());
        response.map(|body| Outbound { body, line })
    }
}

/// Written when it is dropped.
struct Line {
    asked: Asked,
    /// `None` if it has no answer.
    status: Option<StatusCode>,
    told: Told,
    sent: u64,
}

impl Drop for Line {
    fn drop(&mut self) {
        let (access, told) = (&self.asked, &self.told);
        tracing::info!(
            target: "access",
            protocol = access.protocol,
            client = %access.client,
            method = %access.method,
            path = access.path,
            bucket = told.bucket,
            key = told.key,
            status = self.status.map_or(NO_ANSWER, |status| status.as_u16()),
            code = told.code.as_deref(),
            bytes_in = access.received.load(Ordering::Relaxed),
            bytes_out = self.sent,
            ms = u64::try_from(access.begun.elapsed().as_millis()).unwrap_or(u64::MAX),
            id = told.id,
        );
        if let Some(traffic) = &access.traffic {
            let (asked, took) = ((access.protocol, &access.method), access.begun.elapsed());
            // It is no failure of the server.
            let status = self.status.unwrap_or(StatusCode::REQUEST_TIMEOUT);
            traffic.ends(asked, status, took);
        }
    }
}

/// The body of a request.
pub struct Inbound {
    body: Incoming,
    received: Arc<AtomicU64>,
    traffic: Option<Arc<Traffic>>,
}

impl Body for Inbound {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let frame = Pin::new(&mut self.body).poll_frame(context);
        if let Poll::Ready(Some(Ok(frame))) = &frame {
            let len = frame.data_ref().map_or(0, Bytes::len) as u64;
            self.received.fetch_add(len, Ordering::Relaxed);
            if let Some(traffic) = &self.traffic {
                traffic.receives(len);
            }
        }
        frame
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// The body of an answer.
pub struct Outbound<B> {
    body: B,
    line: Line,
}

impl<B: Body<Data = Bytes> + Unpin> Body for Outbound<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        let frame = Pin::new(&mut self.body).poll_frame(context);
        if let Poll::Ready(Some(Ok(frame))) = &frame {
            let len = frame.data_ref().map_or(0, Bytes::len) as u64;
            self.line.sent += len;
            if let Some(traffic) = &self.line.asked.traffic {
                traffic.sends(len);
            }
        }
        frame
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
