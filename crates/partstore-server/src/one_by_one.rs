//! [`OneByOne`]: the pieces of an answer, each when the one before it has been sent.
//!
//! The connection would gather some of them. Of a client that takes nothing, one is enough.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use futures_util::Stream;
use futures_util::task::AtomicWaker;

/// A stream that waits until its last item has been dropped. So it is only for those who do not gather items.
pub struct OneByOne<S> {
    stream: Pin<Box<S>>,
    last: Arc<Last>,
}

#[derive(Default)]
struct Last {
    is_kept: AtomicBool,
    waker: AtomicWaker,
}

impl<S> OneByOne<S> {
    pub fn new(stream: S) -> Self {
        Self {
            stream: Box::pin(stream),
            last: Arc::default(),
        }
    }
}

impl<S: Stream<Item = io::Result<Bytes>>> Stream for OneByOne<S> {
    type Item = io::Result<Bytes>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.last.waker.register(context.waker());
        if self.last.is_kept.load(Ordering::Acquire) {
            return Poll::Pending;
        }
        let item = ready!(self.stream.as_mut().poll_next(context));
        Poll::Ready(item.map(|bytes| {
            bytes.map(|bytes| {
                self.last.is_kept.store(true, Ordering::Relaxed);
                let last = Arc::clone(&self.last);
                Bytes::from_owner(Piece { bytes, last })
            })
        }))
    }
}

/// Bytes that say when nobody has them any more.
struct Piece {
    bytes: Bytes,
    last: Arc<Last>,
}

impl AsRef<[u8]> for Piece {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl Drop for Piece {
    fn drop(&mut self) {
        self.last.is_kept.store(false, Ordering::Release);
        self.last.waker.wake();
    }
}

#[cfg(test)]
mod tests {
    use futures_util::{FutureExt, StreamExt, stream};

    use super::*;

    #[tokio::test]
    async fn the_next_piece_comes_when_nobody_has_the_last_one() {
        let pieces = ["one", "two"].map(|piece| Ok(Bytes::from_static(piece.as_bytes())));
        let mut pieces = OneByOne::new(stream::iter(pieces));
        let first = pieces.next().await.unwrap().unwrap();
        let rest = first.slice(1..);
        drop(first);
        assert!(pieces.next().now_or_never().is_none());
        let next = tokio::spawn(async move { pieces.next().await.unwrap().unwrap() });
        tokio::task::yield_now().await;
        drop(rest);
        assert_eq!(next.await.unwrap(), "two");
    }
}
