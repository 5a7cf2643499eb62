//! Bodies between `s3s` and the store.

use std::ops::Range;
use std::time::Duration;

use futures_util::{StreamExt, stream};
use hyper::HeaderMap;
use partstore::{Checksums, PartOptions, PartStore};
use partstore_tokio::{AsyncObjectReader, AsyncPartStore, AsyncWriter, Writer};
use s3s::dto::StreamingBlob;
use s3s::{S3Result, TrailingHeaders};
use tokio::time::timeout;

use super::{checksums, error};
use crate::cos::body;
use crate::cos::refusal::Refusal;

/// Makes a call of the store, on one of its threads.
pub async fn blocking<T: Send + 'static>(
    store: &AsyncPartStore,
    call: impl FnOnce(&PartStore) -> S3Result<T> + Send + 'static,
) -> S3Result<T> {
    store.run(call).await
}

/// What a request declares about its body.
pub fn declared(headers: &HeaderMap) -> S3Result<PartOptions> {
    let number = |name| {
        let text = headers.get(name)?.to_str().ok()?;
        text.parse::<u64>().ok()
    };
    let mut options = PartOptions::new();
    let is_chunked = headers.contains_key("x-amz-decoded-content-length");
    let length = number("x-amz-decoded-content-length");
    if let Some(length) = length.or_else(|| number("content-length").filter(|_| !is_chunked)) {
        options = options.content_length(length);
    }
    if let Some(md5) = headers.get("content-md5") {
        let text = md5.to_str().unwrap_or_default();
        options = options.content_md5(text).map_err(error::of)?;
    }
    for checksum in checksums::declared(headers)?.iter() {
        options = options.checksum(checksum);
    }
    for algorithm in checksums::announced(headers)? {
        options = options.compute(algorithm);
    }
    Ok(options)
}

/// Sends a body to the store. If the client breaks off or is silent for too long, nothing of it remains.
pub async fn store<W: Writer>(
    (body, trailer): (Option<StreamingBlob>, Option<TrailingHeaders>),
    writer: AsyncWriter<W>,
    patience: Duration,
) -> S3Result<W::Stored> {
    let bytes = stream::try_unfold(body, move |body| async move {
        let Some(mut body) = body else {
            return Ok(None);
        };
        let next = timeout(patience, body.next()).await;
        let silent = |_| Refusal::request_time_out("the client has sent nothing for too long");
        match next.map_err(silent)? {
            None => Ok(None),
            Some(Ok(bytes)) => Ok(Some((bytes, Some(body)))),
            Some(Err(error)) => Err(broken_off(&*error)),
        }
    });
    let writer = writer.write_from(bytes).await.map_err(error::of)?;
    match behind(trailer.as_ref()) {
        Ok(declared) => writer.finish_with(declared).await.map_err(error::of),
        Err(refused) => {
            writer.discard().await;
            Err(refused)
        }
    }
}

/// What the trailer declares. It was read when the body ended.
fn behind(trailer: Option<&TrailingHeaders>) -> S3Result<Checksums> {
    let headers = trailer.and_then(TrailingHeaders::take).unwrap_or_default();
    checksums::declared(&headers)
}

/// `s3s` checks the signature of each chunk, and the hash of a signed body, while it comes in.
fn broken_off(error: &dyn std::error::Error) -> Refusal {
    let text = error.to_string();
    if text.to_ascii_lowercase().contains("signature") {
        return Refusal::signature_does_not_match(text);
    }
    if text.contains("Sha256Mismatch") {
        return Refusal {
            code: "XAmzContentSHA256Mismatch",
            ..Refusal::invalid_argument("the body is not the one that x-amz-content-sha256 says")
        };
    }
    Refusal::incomplete_body(format!("the body broke off: {text}"))
}

/// Some bytes of an object, read as the client takes them. The first are read at once, so that an unreadable object is
/// refused before a head is sent.
pub async fn read(source: AsyncObjectReader, range: Range<u64>) -> S3Result<StreamingBlob> {
    let bytes = body::sent(source, range).await.map_err(error::refused)?;
    Ok(StreamingBlob::wrap(bytes))
}
