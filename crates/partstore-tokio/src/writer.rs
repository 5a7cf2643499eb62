//! [`AsyncWriter`]: a body that comes in as a stream.
//!
//! The bytes are gathered to batches. Each batch is written on a thread of the pool, while the next one is gathered. The
//! writer travels to that thread and back, so a body that is silent holds none.

use std::error;
use std::fmt;
use std::io;
use std::mem::take;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::{Bytes, BytesMut};
use futures_util::future::try_join;
use futures_util::{Stream, StreamExt};
use partstore::{Checksums, Error, Object, ObjectWriter, Part, PartWriter, Result};
use tokio::io::AsyncRead;
use tokio_util::io::ReaderStream;

use crate::pool::{Held, Pool};

/// Shorter items are copied together. Uncopied, each would keep a whole buffer of its connection in memory.
const SHORT: usize = 16 * 1024;
/// Bytes that are read of an `AsyncRead` at a time.
const READ_LEN: usize = 64 * 1024;

/// Receives a part. [`AsyncPartStore::part_writer`](crate::AsyncPartStore::part_writer) makes it.
pub type AsyncPartWriter = AsyncWriter<PartWriter>;
/// Receives an object. [`AsyncPartStore::object_writer`](crate::AsyncPartStore::object_writer) makes it.
pub type AsyncObjectWriter = AsyncWriter<ObjectWriter>;

/// A writer of the store: a [`PartWriter`] or an [`ObjectWriter`].
pub trait Writer: private::Sealed + Send + Sized + 'static {
    /// What the store makes of the body.
    type Stored: Send + 'static;

    #[doc(hidden)]
    fn append(&mut self, bytes: &[u8]) -> Result<()>;
    #[doc(hidden)]
    fn finish_with(self, declared: &Checksums) -> Result<Self::Stored>;
}

mod private {
    pub trait Sealed {}
    impl Sealed for partstore::PartWriter {}
    impl Sealed for partstore::ObjectWriter {}
}

impl Writer for PartWriter {
    type Stored = Part;

    fn append(&mut self, bytes: &[u8]) -> Result<()> {
        Self::append(self, bytes)
    }

    fn finish_with(self, declared: &Checksums) -> Result<Part> {
        Self::finish_with(self, declared)
    }
}

impl Writer for ObjectWriter {
    type Stored = Object;

    fn append(&mut self, bytes: &[u8]) -> Result<()> {
        Self::append(self, bytes)
    }

    fn finish_with(self, declared: &Checksums) -> Result<Object> {
        Self::finish_with(self, declared)
    }
}

/// Receives the body of a part or an object: from streams, and then [`finish`](Self::finish).
///
/// Nothing is stored before `finish` returns `Ok`. Each call takes the writer and gives it back. So a call that fails, or
/// whose future is dropped, ends the body, and nothing of it remains. The same holds if the writer is dropped. What it had
/// written is removed on a thread of the pool, soon afterwards.
#[must_use = "a body is stored by finish"]
pub struct AsyncWriter<W: Writer> {
    writer: Held<W>,
    pool: Pool,
    limits: Limits,
    /// Bytes that were received and are not yet with the store. They are fewer than a batch.
    rest: Batch,
    received: u64,
}

impl<W: Writer> AsyncWriter<W> {
    pub(crate) fn new(writer: Held<W>, pool: Pool, limits: Limits) -> Self {
        Self {
            writer,
            pool,
            rest: Batch::of(&limits),
            limits,
            received: 0,
        }
    }

    /// Returns how many bytes were received so far.
    #[must_use]
    pub fn received(&self) -> u64 {
        self.received
    }

    /// Receives a stream to its end. More may follow.
    ///
    /// A stream is asked for bytes only while fewer than [a batch](crate::AsyncOptions::batch_len) are gathered. So a
    /// stream that is faster than the disk waits, and with it the socket behind it.
    ///
    /// # Errors
    /// - [`Error::BodyUnreadable`]: the stream failed. Its source is the stream's error.
    /// - Others as for [`PartWriter::append`], also while the stream is silent.
    pub async fn write_from<S, E>(mut self, stream: S) -> Result<Self>
    where
        S: Stream<Item = Result<Bytes, E>>,
        E: Into<Box<dyn error::Error + Send + Sync>>,
    {
        let mut stream = pin!(stream);
        let mut batch = take(&mut self.rest);
        loop {
            let more = batch.fill(&mut stream, &self.limits, &mut self.received);
            let end = match more.await {
                Ok(end) => end,
                Err(error) => return self.refuse(error).await,
            };
            if end {
                self.rest = batch;
                return Ok(self);
            }
            let writing = self.pool.start(append(self.writer, batch));
            batch = Batch::of(&self.limits);
            let gathering = async {
                if self.limits.are_reached() {
                    return Ok(false);
                }
                let more = batch.fill(&mut stream, &self.limits, &mut self.received);
                more.await
            };
            // The store's error is told at once. That of the stream waits for the writer, which is then dropped.
            let (writer, gathered) = try_join(writing, async { Ok(gathering.await) }).await?;
            self.writer = writer;
            match gathered {
                Ok(false) => {}
                Ok(true) => {
                    self.rest = batch;
                    return Ok(self);
                }
                Err(error) => return self.refuse(error).await,
            }
        }
    }

    /// Receives a reader to its end. More may follow.
    ///
    /// # Errors
    /// As for [`write_from`](Self::write_from).
    pub async fn write_from_reader(self, reader: impl AsyncRead) -> Result<Self> {
        let reader = pin!(reader);
        let stream = ReaderStream::with_capacity(reader, READ_LEN);
        self.write_from(stream).await
    }

    /// Ends the body and stores it.
    ///
    /// `Ok` and `Err` mean what they mean for [`PartWriter::finish`] and [`ObjectWriter::finish`]. A future that is
    /// dropped while the commit runs leaves either all of the body stored or nothing.
    ///
    /// # Errors
    /// As for [`PartWriter::finish`] and [`ObjectWriter::finish`].
    pub async fn finish(self) -> Result<W::Stored> {
        self.finish_with(Checksums::new()).await
    }

    /// Does what [`finish`](Self::finish) does, and checks what is declared behind the body, as S3's trailers do.
    ///
    /// # Errors
    /// As for [`PartWriter::finish_with`] and [`ObjectWriter::finish_with`].
    pub async fn finish_with(self, declared: Checksums) -> Result<W::Stored> {
        let (writer, rest) = (self.writer, self.rest);
        let finish = move || {
            let mut writer = writer.into_inner();
            rest.append_to(&mut writer)?;
            writer.finish_with(&declared)
        };
        self.pool.start(finish).await
    }

    /// Ends the body without storing it. When this returns, nothing of it remains.
    pub async fn discard(self) {
        self.writer.discarded().await;
    }

    async fn refuse(self, error: Error) -> Result<Self> {
        self.discard().await;
        Err(error)
    }
}

/// Writes a batch, and gives the writer back. After an error the writer is dropped on the thread that got it.
fn append<W: Writer>(
    writer: Held<W>,
    batch: Batch,
) -> impl FnOnce() -> Result<Held<W>> + Send + 'static {
    move || {
        let mut writer = writer;
        match batch.append_to(&mut *writer) {
            Ok(()) => Ok(writer),
            Err(error) => {
                drop(writer.into_inner());
                Err(error)
            }
        }
    }
}

/// How much bodies gather.
#[derive(Clone)]
pub(crate) struct Limits {
    batch_len: usize,
    gather_len: usize,
    /// Bytes that all bodies have gathered.
    gathered: Arc<AtomicUsize>,
}

impl Limits {
    pub(crate) fn new(batch_len: usize, gather_len: usize) -> Self {
        let gathered = Arc::default();
        Self {
            batch_len,
            gather_len,
            gathered,
        }
    }

    /// How much of a body makes a batch now: one item of its stream, if all bodies have gathered much.
    fn of_a_batch(&self) -> usize {
        if self.are_reached() {
            1
        } else {
            self.batch_len
        }
    }

    /// Whether all bodies have gathered much. Then none gathers while it is written.
    fn are_reached(&self) -> bool {
        self.gathered.load(Ordering::Relaxed) > self.gather_len
    }
}

/// Bytes that are gathered, until they are written.
#[derive(Default)]
struct Batch {
    pieces: Vec<Bytes>,
    short: BytesMut,
    len: usize,
    /// Those of all bodies.
    gathered: Arc<AtomicUsize>,
}

impl Batch {
    fn of(limits: &Limits) -> Self {
        let mut batch = Self::default();
        batch.gathered = Arc::clone(&limits.gathered);
        batch
    }

    /// Gathers up to a batch. Returns whether the stream has ended.
    async fn fill<S, E>(
        &mut self,
        stream: &mut S,
        limits: &Limits,
        received: &mut u64,
    ) -> Result<bool>
    where
        S: Stream<Item = Result<Bytes, E>> + Unpin,
        E: Into<Box<dyn error::Error + Send + Sync>>,
    {
        while self.len < limits.of_a_batch() {
            match stream.next().await {
                None => return Ok(true),
                Some(Err(error)) => return Err(unreadable(*received, error.into())),
                Some(Ok(bytes)) => {
                    *received += bytes.len() as u64;
                    self.push(bytes);
                }
            }
        }
        Ok(false)
    }

    fn push(&mut self, bytes: Bytes) {
        self.len += bytes.len();
        self.gathered.fetch_add(bytes.len(), Ordering::Relaxed);
        if bytes.len() < SHORT {
            self.short.extend_from_slice(&bytes);
        } else {
            self.end_short();
            self.pieces.push(bytes);
        }
    }

    fn end_short(&mut self) {
        if !self.short.is_empty() {
            self.pieces.push(self.short.split().freeze());
        }
    }

    fn append_to<W: Writer>(mut self, writer: &mut W) -> Result<()> {
        self.end_short();
        self.pieces
            .iter()
            .try_for_each(|bytes| writer.append(bytes))
    }
}

impl Drop for Batch {
    fn drop(&mut self) {
        self.gathered.fetch_sub(self.len, Ordering::Relaxed);
    }
}

fn unreadable(received: u64, error: Box<dyn error::Error + Send + Sync>) -> Error {
    let source = match error.downcast::<io::Error>() {
        Ok(error) => *error,
        Err(other) => io::Error::other(other),
    };
    Error::BodyUnreadable { received, source }
}

impl<W: Writer> fmt::Debug for AsyncWriter<W> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AsyncWriter")
            .field("received", &self.received)
            .finish_non_exhaustive()
    }
}
