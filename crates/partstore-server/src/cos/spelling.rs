//! Header names as COS spells them. HTTP ignores their case. But the Python SDK gives its users the names as they came
//! (`response['ETag']`), and looks up `Content-Length` and `x-cos-hash-crc64ecma` itself.
//!
//! hyper writes names in lower case, unless an answer carries the spelling of a message that hyper has read. So the
//! server reads one such message at its start.

use std::convert::Infallible;
use std::fmt::Write as _;
use std::io;

use hyper::http::Extensions;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use parking_lot::Mutex;
use tokio::io::{AsyncWriteExt, duplex};

use crate::cos::answer;

const NAMES: [&str; 25] = [
    "Accept-Ranges",
    "Access-Control-Allow-Headers",
    "Access-Control-Allow-Methods",
    "Access-Control-Allow-Origin",
    "Access-Control-Expose-Headers",
    "Access-Control-Max-Age",
    "Allow",
    "Cache-Control",
    "Connection",
    "Content-Disposition",
    "Content-Encoding",
    "Content-Language",
    "Content-Length",
    "Content-Range",
    "Content-Type",
    "Date",
    "ETag",
    "Expires",
    "Last-Modified",
    "Location",
    "Server",
    "Vary",
    "x-cos-hash-crc64ecma",
    "x-cos-request-id",
    "x-cos-trace-id",
];

/// What an answer carries to be written with these names.
pub async fn learn() -> io::Result<Extensions> {
    let mut message = "GET / HTTP/1.1\r\nHost: spelling\r\n".to_owned();
    for name in NAMES {
        let value = if name == "Content-Length" { "0" } else { "x" };
        let _ = write!(message, "{name}: {value}\r\n");
    }
    message += "\r\n";
    let (mut client, server) = duplex(message.len());
    client.write_all(message.as_bytes()).await?;
    client.shutdown().await?;
    let learnt = Mutex::new(Extensions::new());
    let service = service_fn(|request: Request<_>| {
        let (head, _) = Request::into_parts(request);
        *learnt.lock() = head.extensions;
        async { Ok::<_, Infallible>(Response::new(answer::empty())) }
    });
    let mut reader = http1::Builder::new();
    reader.preserve_header_case(true).half_close(true);
    let _ = reader.serve_connection(TokioIo::new(server), service).await;
    Ok(learnt.into_inner())
}
