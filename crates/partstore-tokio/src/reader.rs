//! [`AsyncReader`] and [`ByteStream`]: bytes that go out.
//!
//! The reader travels to a thread for each piece, and only when the stream is asked for it. So a client that does not
//! read holds no thread.

use std::fmt;
use std::future::poll_fn;
use std::io::{self, Read, Seek, SeekFrom};
use std::ops::{Bound, RangeBounds};
use std::path::PathBuf;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use futures_util::Stream;
use partstore::{Error, Object, ObjectPart, ObjectReader, Part, PartNumber, PartReader, Result};

use crate::pool::{Answer, Held, Pool};

/// Only then are bytes read ahead. A client that takes nothing may have had much on its way: what the sockets
/// of both ends hold.
const AHEAD_AFTER: u64 = 16 << 20;

/// Reads a part. [`AsyncPartStore::open_part`](crate::AsyncPartStore::open_part) makes it.
pub type AsyncPartReader = AsyncReader<PartReader>;
/// Reads an object. [`AsyncPartStore::open_object`](crate::AsyncPartStore::open_object) and
/// [`open_key`](crate::AsyncPartStore::open_key) make it.
pub type AsyncObjectReader = AsyncReader<ObjectReader>;

/// A reader of the store: a [`PartReader`] or an [`ObjectReader`].
pub trait Reader: private::Sealed + Read + Seek + Send + 'static {
    #[doc(hidden)]
    fn size(&self) -> u64;
    #[doc(hidden)]
    fn next_chunk(&mut self, most: usize) -> Result<Bytes>;
    #[doc(hidden)]
    fn reads_ahead_after(&mut self, bytes: u64);
}

mod private {
    pub trait Sealed {}
    impl Sealed for partstore::PartReader {}
    impl Sealed for partstore::ObjectReader {}
}

impl Reader for PartReader {
    fn size(&self) -> u64 {
        self.part().size
    }

    fn next_chunk(&mut self, most: usize) -> Result<Bytes> {
        Self::next_chunk(self, most)
    }

    fn reads_ahead_after(&mut self, bytes: u64) {
        Self::reads_ahead_after(self, bytes);
    }
}

impl Reader for ObjectReader {
    fn size(&self) -> u64 {
        self.object().size
    }

    fn next_chunk(&mut self, most: usize) -> Result<Bytes> {
        Self::next_chunk(self, most)
    }

    fn reads_ahead_after(&mut self, bytes: u64) {
        Self::reads_ahead_after(self, bytes);
    }
}

/// A part or an object that is open for verified reading. It gives the bytes as they were when it was opened, also if they
/// are replaced or removed in the meantime.
pub struct AsyncReader<R: Reader> {
    reader: Held<R>,
    pool: Pool,
    read_len: usize,
}

impl<R: Reader> AsyncReader<R> {
    pub(crate) fn new(mut reader: Held<R>, pool: Pool, read_len: usize) -> Self {
        reader.reads_ahead_after(AHEAD_AFTER);
        Self {
            reader,
            pool,
            read_len,
        }
    }

    /// Returns how many bytes it has.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.reader.size()
    }

    /// Returns the bytes of a range as a stream: `..` for all of them. What the range has behind the end is left out.
    pub fn into_stream(self, range: impl RangeBounds<u64>) -> ByteStream<R> {
        let begin = match range.start_bound() {
            Bound::Included(at) => *at,
            Bound::Excluded(before) => before.saturating_add(1),
            Bound::Unbounded => 0,
        };
        let end = match range.end_bound() {
            Bound::Included(last) => last.saturating_add(1),
            Bound::Excluded(at) => *at,
            Bound::Unbounded => u64::MAX,
        };
        ByteStream {
            at: begin,
            end: end.min(self.size()),
            state: State::Idle(self.reader),
            pool: self.pool,
            read_len: self.read_len,
        }
    }

    /// The reader, for a job.
    pub(crate) fn into_held(self) -> Held<R> {
        self.reader
    }
}

impl AsyncReader<PartReader> {
    /// Returns the part that is read.
    #[must_use]
    pub fn part(&self) -> &Part {
        self.reader.part()
    }
}

impl AsyncReader<ObjectReader> {
    /// Returns the object that is read.
    #[must_use]
    pub fn object(&self) -> &Object {
        self.reader.object()
    }

    /// Asks the reader, on a thread that may wait: for its parts, for example. Returns this reader and the answer.
    ///
    /// # Errors
    /// Those of `ask`. This reader is dropped then.
    pub async fn ask<T: Send + 'static, E: Send + 'static>(
        self,
        ask: impl FnOnce(&ObjectReader) -> Result<T, E> + Send + 'static,
    ) -> Result<(Self, T), E> {
        let reader = self.reader;
        let asked = self.pool.start(move || match ask(&reader) {
            Ok(answer) => Ok((reader, answer)),
            Err(error) => {
                // Here, where it may take its time.
                drop(reader.into_inner());
                Err(error)
            }
        });
        let (reader, answer) = asked.await?;
        let (pool, read_len) = (self.pool, self.read_len);
        let reader = Self {
            reader,
            pool,
            read_len,
        };
        Ok((reader, answer))
    }

    /// Returns the parts and their places, in order, and this reader.
    ///
    /// # Errors
    /// As for [`ObjectReader::parts`].
    pub async fn with_parts(self) -> Result<(Self, Vec<ObjectPart>)> {
        self.ask(|reader| reader.parts().collect()).await
    }

    /// Opens one part by its number (`GET ?partNumber=N`).
    ///
    /// # Errors
    /// As for [`ObjectReader::part`].
    pub async fn into_part(self, number: PartNumber) -> Result<AsyncPartReader> {
        let (reader, pool) = (self.reader, self.pool.clone());
        let open = move || {
            let part = reader.part(number);
            // Here, where it may take its time.
            drop(reader.into_inner());
            Ok(Held::new(part?, &pool))
        };
        let part = self.pool.start(open).await?;
        Ok(AsyncReader::new(part, self.pool, self.read_len))
    }
}

impl<R: Reader + fmt::Debug> fmt::Debug for AsyncReader<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("AsyncReader").field(&*self.reader).finish()
    }
}

/// Bytes of a part or an object, each of them verified. After an error the stream ends.
///
/// When it is asked for a piece, it reads one of at most [`read_len`](crate::AsyncOptions::read_len) bytes. Each piece keeps the
/// memory that the store has read it into. Of a client that has taken 16 MiB more is read ahead.
#[must_use = "streams do nothing unless they are polled"]
pub struct ByteStream<R: Reader> {
    state: State<R>,
    /// The place of the next byte, and the place behind the last one.
    at: u64,
    end: u64,
    pool: Pool,
    read_len: usize,
}

enum State<R: Reader> {
    Idle(Held<R>),
    Reading(Answer<Result<Piece<R>>>),
    /// A piece that was read before anybody asked for it.
    Read(Piece<R>),
    Ended,
}

/// Bytes, and the reader if there are more. At the end it was dropped, so that what it reads can be removed.
type Piece<R> = (Option<Held<R>>, Bytes);

impl<R: Reader> ByteStream<R> {
    /// Returns how many bytes are still to come.
    #[must_use]
    pub fn remaining(&self) -> u64 {
        let read = match &self.state {
            State::Read((_, bytes)) => bytes.len() as u64,
            _ => 0,
        };
        self.end.saturating_sub(self.at) + read
    }

    /// Reads the first piece now. So a server learns that the bytes are damaged before it sends a head.
    ///
    /// # Errors
    /// - [`Error::DamagedBlob`]: the stored bytes are not those that were acknowledged.
    /// - [`Error::Closed`], [`Error::Io`]: the store is closed, or a system call failed.
    pub async fn begun(mut self) -> Result<Self> {
        poll_fn(|context| self.poll_begin(context)).await?;
        Ok(self)
    }

    /// Goes on until a piece is read, or the end is reached.
    fn poll_begin(&mut self, context: &mut Context<'_>) -> Poll<Result<()>> {
        loop {
            self.state = match std::mem::replace(&mut self.state, State::Ended) {
                State::Ended => return Poll::Ready(Ok(())),
                State::Idle(_) if self.at >= self.end => return Poll::Ready(Ok(())),
                State::Idle(reader) => State::Reading(self.read(reader)),
                State::Reading(mut answer) => match Pin::new(&mut answer).poll(context) {
                    Poll::Pending => {
                        self.state = State::Reading(answer);
                        return Poll::Pending;
                    }
                    Poll::Ready(read) => {
                        let piece = read?;
                        self.at += piece.1.len() as u64;
                        State::Read(piece)
                    }
                },
                read @ State::Read(_) => {
                    self.state = read;
                    return Poll::Ready(Ok(()));
                }
            }
        }
    }

    fn read(&self, mut reader: Held<R>) -> Answer<Result<Piece<R>>> {
        let at = self.at;
        let end = self.end;
        let most = usize::try_from(end - at).map_or(self.read_len, |left| left.min(self.read_len));
        self.pool.start(move || {
            let read = read(&mut *reader, at, most);
            let is_more = |bytes: &Bytes| at + (bytes.len() as u64) < end;
            if read.as_ref().is_ok_and(is_more) {
                return Ok((Some(reader), read?));
            }
            // Here, where it may take its time.
            drop(reader.into_inner());
            Ok((None, read?))
        })
    }
}

fn read<R: Reader>(reader: &mut R, at: u64, most: usize) -> Result<Bytes> {
    reader.seek(SeekFrom::Start(at)).map_err(unreadable)?;
    let bytes = reader.next_chunk(most)?;
    if bytes.is_empty() {
        return Err(unreadable(io::ErrorKind::UnexpectedEof.into()));
    }
    Ok(bytes)
}

fn unreadable(source: io::Error) -> Error {
    Error::Io {
        op: "read",
        path: PathBuf::from("a stored body"),
        source,
    }
}

/// Nothing in it is pinned.
impl<R: Reader> Unpin for ByteStream<R> {}

impl<R: Reader> Stream for ByteStream<R> {
    type Item = Result<Bytes>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if let Err(error) = ready!(self.poll_begin(context)) {
            return Poll::Ready(Some(Err(error)));
        }
        match std::mem::replace(&mut self.state, State::Ended) {
            State::Read((reader, bytes)) => {
                if let Some(reader) = reader {
                    self.state = State::Idle(reader);
                }
                Poll::Ready(Some(Ok(bytes)))
            }
            _ => Poll::Ready(None),
        }
    }
}

impl<R: Reader> fmt::Debug for ByteStream<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ByteStream")
            .field("remaining", &self.remaining())
            .finish_non_exhaustive()
    }
}
