//! Bodies between the sockets, which are asynchronous, and the store, which is not.
//!
//! A body that comes in is gathered to batches here. Each batch is given to the store on a blocking thread, while the
//! next one is gathered. So a client, however slow, holds such a thread only while a batch is hashed and written. At most
//! two batches of a body exist at a time, so a client that is faster than the disk waits in its socket.

use std::io::{self, Read};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures_util::stream::{self, BoxStream, Stream};
use futures_util::{StreamExt, TryStreamExt};
use http_body_util::{BodyExt, StreamBody};
use hyper::body::Frame;
use partstore::{Error, Object, ObjectWriter, Part, PartWriter};
use tokio::task::{JoinHandle, spawn_blocking};
use tokio::time::timeout;

use crate::access::Inbound;
use crate::cos::answer::Body;
use crate::cos::refusal::Refusal;

/// Bytes of a batch, without its last frame.
const BATCH_LEN: usize = 512 * 1024;
/// Shorter frames are copied together. Uncopied, each would keep a whole buffer of the connection in memory.
const SHORT_FRAME: usize = 16 * 1024;
/// Bytes that are read from the store at a time.
const READ_LEN: usize = 512 * 1024;

/// Runs a call of the store on a thread that may block.
pub async fn blocking<T, E>(
    call: impl FnOnce() -> Result<T, E> + Send + 'static,
) -> Result<T, Refusal>
where
    T: Send + 'static,
    E: Into<Refusal> + Send + 'static,
{
    joined(spawn_blocking(call)).await
}

async fn joined<T, E: Into<Refusal>>(task: JoinHandle<Result<T, E>>) -> Result<T, Refusal> {
    match task.await {
        Ok(result) => result.map_err(Into::into),
        Err(panic) => Err(Refusal::internal(panic.to_string())),
    }
}

/// What a body is written to.
pub trait Writer: Sized + Send + 'static {
    /// What the store makes of the body.
    type Stored: Send + 'static;

    fn append(&mut self, bytes: &[u8]) -> Result<(), Error>;
    fn finish(self) -> Result<Self::Stored, Error>;
}

impl Writer for PartWriter {
    type Stored = Part;

    fn append(&mut self, bytes: &[u8]) -> Result<(), Error> {
        Self::append(self, bytes)
    }

    fn finish(self) -> Result<Part, Error> {
        Self::finish(self)
    }
}

impl Writer for ObjectWriter {
    type Stored = Object;

    fn append(&mut self, bytes: &[u8]) -> Result<(), Error> {
        Self::append(self, bytes)
    }

    fn finish(self) -> Result<Object, Error> {
        Self::finish(self)
    }
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

    async fn batch(&mut self) -> Result<Vec<Bytes>, Refusal> {
        let (mut batch, mut short, mut len) = (Vec::new(), BytesMut::new(), 0);
        while len < BATCH_LEN {
            let Some(bytes) = self.next().await? else {
                break;
            };
            len += bytes.len();
            if bytes.len() < SHORT_FRAME {
                short.extend_from_slice(&bytes);
                continue;
            }
            batch.extend([short.split().freeze(), bytes]);
        }
        batch.push(short.freeze());
        batch.retain(|bytes| !bytes.is_empty());
        Ok(batch)
    }

    /// Sends the body to the store. If the client breaks off or is refused, nothing of it remains.
    pub async fn store<W: Writer>(mut self, mut writer: W) -> Result<W::Stored, Refusal> {
        let mut gathered = self.batch().await;
        loop {
            let batch = match gathered {
                Ok(batch) if batch.is_empty() => return blocking(move || writer.finish()).await,
                Ok(batch) => batch,
                // Dropping the writer removes its file, which takes time when the file is long.
                Err(refusal) => {
                    return blocking(move || {
                        drop(writer);
                        Err(refusal)
                    })
                    .await;
                }
            };
            let writing = spawn_blocking(move || {
                for bytes in batch {
                    writer.append(&bytes)?;
                }
                Ok::<_, Error>(writer)
            });
            gathered = self.batch().await;
            writer = joined(writing).await?;
        }
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

/// A body of `len` bytes from `source`, read as the client takes it. The first bytes are read at once, so that an
/// unreadable object is refused before a head is sent.
pub async fn from_reader(source: impl Read + Send + 'static, len: u64) -> Result<Body, Refusal> {
    let source = source.take(len);
    let read = blocking(move || read_some(source).map_err(|_| unreadable()));
    let (begin, source) = read.await?;
    let chunks = stream::try_unfold((Some(begin), source), async |(begin, source)| {
        let (chunk, source) = match begin {
            Some(chunk) => (chunk, source),
            None => spawn_blocking(move || read_some(source))
                .await
                .map_err(io::Error::other)??,
        };
        io::Result::Ok((!chunk.is_empty()).then(|| (Frame::data(chunk), (None, source))))
    });
    Ok(StreamBody::new(chunks).boxed_unsync())
}

fn unreadable() -> Refusal {
    Refusal::internal("the object cannot be read; see the log of the store")
}

fn read_some<R: Read>(mut source: io::Take<R>) -> io::Result<(Bytes, io::Take<R>)> {
    let mut chunk =
        Vec::with_capacity(READ_LEN.min(usize::try_from(source.limit()).unwrap_or(READ_LEN)));
    let read = source
        .by_ref()
        .take(READ_LEN as u64)
        .read_to_end(&mut chunk);
    if let Err(error) = read {
        // The head has been sent, so the connection can only be broken off.
        tracing::error!(%error, "an object cannot be read");
        return Err(error);
    }
    Ok((chunk.into(), source))
}
