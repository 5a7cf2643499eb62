//! Bodies between HTTP and the store. `partstore-tokio` brings them to the store's threads and back.

use std::io;
use std::ops::Range;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures_util::stream::{self, BoxStream, Stream};
use futures_util::{StreamExt, TryStreamExt};
use http_body_util::{BodyExt, StreamBody};
use hyper::body::Frame;
use partstore::PartStore;
use partstore_tokio::{AsyncPartStore, AsyncReader, AsyncWriter, Reader, Writer};
use tokio::time::timeout;

use crate::access::Inbound;
use crate::cos::answer::Body;
use crate::cos::refusal::Refusal;
use crate::one_by_one::OneByOne;

/// Makes a call of the store, on one of its threads.
pub async fn blocking<T: Send + 'static, E: Into<Refusal> + Send + 'static>(
    store: &AsyncPartStore,
    call: impl FnOnce(&PartStore) -> Result<T, E> + Send + 'static,
) -> Result<T, Refusal> {
    store.run(call).await.map_err(Into::into)
}

/// The next bytes of a body, and `None` at its end.
async fn next(body: &mut Inbound, patience: Duration) -> Result<Option<Bytes>, Refusal> {
    loop {
        let frame = timeout(patience, body.frame()).await;
        let silent = |_| Refusal::request_time_out("the client has sent nothing for too long");
        match frame.map_err(silent)? {
            None => return Ok(None),
            Some(Err(error)) => {
                return Err(Refusal::incomplete_body(format!(
                    "the body broke off: {error}"
                )));
            }
            // Trailers are ignored.
            Some(Ok(frame)) => match frame.into_data() {
                Ok(bytes) if !bytes.is_empty() => return Ok(Some(bytes)),
                _ => {}
            },
        }
    }
}

/// Bytes that come in.
pub struct Upstream(BoxStream<'static, Result<Bytes, Refusal>>);

impl Upstream {
    /// A body whose client may be silent for so long.
    pub fn new(body: Inbound, patience: Duration) -> Self {
        Self::of(stream::try_unfold(body, move |mut body| async move {
            let bytes = next(&mut body, patience).await?;
            Ok(bytes.map(|bytes| (bytes, body)))
        }))
    }

    pub fn of(bytes: impl Stream<Item = Result<Bytes, Refusal>> + Send + 'static) -> Self {
        Self(bytes.boxed())
    }

    pub fn into_stream(self) -> BoxStream<'static, Result<Bytes, Refusal>> {
        self.0
    }

    /// The next bytes; `None` at the end.
    async fn next(&mut self) -> Result<Option<Bytes>, Refusal> {
        self.0.try_next().await
    }

    /// Sends the body to the store. If the client breaks off or is refused, nothing of it remains.
    pub async fn store<W: Writer>(self, writer: AsyncWriter<W>) -> Result<W::Stored, Refusal> {
        let writer = writer.write_from(self.0).await?;
        Ok(writer.finish().await?)
    }

    /// The whole body, which must not be longer than `limit` bytes.
    pub async fn collect(mut self, limit: usize) -> Result<Bytes, Refusal> {
        let mut whole = BytesMut::new();
        while let Some(bytes) = self.next().await? {
            if whole.len() + bytes.len() > limit {
                return Err(Refusal::xml_size_limit(format!(
                    "the body has more than {limit} bytes"
                )));
            }
            whole.extend_from_slice(&bytes);
        }
        Ok(whole.freeze())
    }
}

/// Some bytes of an object, read as the client takes them. The first are read at once, so that an unreadable object is
/// refused before a head is sent.
pub async fn read<R: Reader>(
    source: AsyncReader<R>,
    range: Range<u64>,
) -> Result<impl Stream<Item = io::Result<Bytes>> + Send + 'static, Refusal> {
    let bytes = source.into_stream(range).begun().await.map_err(|error| {
        tracing::error!(%error, "an object cannot be read");
        Refusal::internal("the object cannot be read; see the log of the store")
    })?;
    // The head has been sent, so the connection can only be broken off.
    Ok(bytes.map_err(|error| {
        tracing::error!(%error, "an object cannot be read");
        io::Error::other(error)
    }))
}

/// The same, for an answer.
pub async fn sent<R: Reader>(
    source: AsyncReader<R>,
    range: Range<u64>,
) -> Result<OneByOne<impl Stream<Item = io::Result<Bytes>> + Send + 'static>, Refusal> {
    read(source, range).await.map(OneByOne::new)
}

/// The same, as the body of an answer.
pub async fn answered<R: Reader>(
    source: AsyncReader<R>,
    range: Range<u64>,
) -> Result<Body, Refusal> {
    let frames = sent(source, range).await?.map_ok(Frame::data);
    Ok(StreamBody::new(frames).boxed_unsync())
}
