//! Bodies between `s3s` and the store.

use std::io::{self, Read, Seek, SeekFrom};
use std::ops::Range;
use std::time::Duration;

use bytes::Bytes;
use futures_util::{StreamExt, stream};
use hyper::HeaderMap;
use partstore::{
    Checksums, Error, Object, ObjectReader, ObjectWriter, Part, PartOptions, PartWriter,
};
use s3s::dto::StreamingBlob;
use s3s::{S3Result, TrailingHeaders};
use tokio::task::spawn_blocking;
use tokio::time::timeout;

use super::{checksums, error};
use crate::cos::body::{Upstream, Writer};
use crate::cos::refusal::Refusal;

/// Bytes that are read from the store at a time.
const READ_LEN: usize = 512 * 1024;

/// Runs a call of the store on a thread that may block.
pub async fn blocking<T: Send + 'static>(
    call: impl FnOnce() -> S3Result<T> + Send + 'static,
) -> S3Result<T> {
    let fault = |panic: tokio::task::JoinError| error::new("InternalError", panic.to_string());
    spawn_blocking(call).await.map_err(fault)?
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

/// A writer whose body may have checksums behind it.
pub struct Trailed<W> {
    pub writer: W,
    pub trailer: Option<TrailingHeaders>,
}

impl<W> Trailed<W> {
    /// What the trailer declares. It was read when the body ended.
    fn declared(trailer: Option<&TrailingHeaders>) -> Result<Checksums, Error> {
        let headers = trailer.and_then(TrailingHeaders::take).unwrap_or_default();
        let refused = |error: s3s::S3Error| Error::InvalidArgument {
            argument: "trailer",
            found: error.message().unwrap_or_default().to_owned(),
            expected: "checksums",
        };
        checksums::declared(&headers).map_err(refused)
    }
}

impl Writer for Trailed<PartWriter> {
    type Stored = Part;

    fn append(&mut self, bytes: &[u8]) -> Result<(), Error> {
        self.writer.append(bytes)
    }

    fn finish(self) -> Result<Part, Error> {
        let declared = Self::declared(self.trailer.as_ref())?;
        self.writer.finish_with(&declared)
    }
}

impl Writer for Trailed<ObjectWriter> {
    type Stored = Object;

    fn append(&mut self, bytes: &[u8]) -> Result<(), Error> {
        self.writer.append(bytes)
    }

    fn finish(self) -> Result<Object, Error> {
        let declared = Self::declared(self.trailer.as_ref())?;
        self.writer.finish_with(&declared)
    }
}

/// Sends a body to the store. If the client breaks off or is silent for too long, nothing of it remains.
pub async fn store<W: Writer>(
    body: Option<StreamingBlob>,
    writer: W,
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
    let stored = Upstream::of(bytes).store(writer).await;
    stored.map_err(error::refused)
}

/// `s3s` checks the signature of each chunk, and the hash of a signed body, while it comes in.
fn broken_off(error: &dyn std::error::Error) -> Refusal {
    let text = error.to_string();
    if text.to_ascii_lowercase().contains("signature") {
        return Refusal::signature_does_not_match(text);
    }
    Refusal::incomplete_body(format!("the body broke off: {text}"))
}

/// Some bytes of an object, read as the client takes them. The first are read at once, so that an unreadable object is
/// refused before a head is sent.
pub async fn read(mut source: ObjectReader, range: Range<u64>) -> S3Result<StreamingBlob> {
    let first = spawn_blocking(move || {
        source.seek(SeekFrom::Start(range.start))?;
        read_some(source.take(range.end - range.start))
    });
    let first = first.await.map_err(io::Error::other).and_then(|read| read);
    let unreadable = |error| {
        tracing::error!(%error, "an object cannot be read");
        error::new("InternalError", "the object cannot be read; see the log")
    };
    let (begin, source) = first.map_err(unreadable)?;
    let chunks = stream::try_unfold((Some(begin), source), async |(begin, source)| {
        let (chunk, source) = match begin {
            Some(chunk) => (chunk, source),
            None => spawn_blocking(move || read_some(source))
                .await
                .map_err(io::Error::other)??,
        };
        io::Result::Ok((!chunk.is_empty()).then_some((chunk, (None, source))))
    });
    Ok(StreamingBlob::wrap(chunks))
}

type Source = io::Take<ObjectReader>;

fn read_some(mut source: Source) -> io::Result<(Bytes, Source)> {
    let left = usize::try_from(source.limit()).unwrap_or(READ_LEN);
    let mut chunk = Vec::with_capacity(READ_LEN.min(left));
    source
        .by_ref()
        .take(READ_LEN as u64)
        .read_to_end(&mut chunk)?;
    Ok((chunk.into(), source))
}
