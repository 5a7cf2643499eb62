//! [`Socket`]: a client's socket, which is read in small pieces while there are many.
//!
//! A connection keeps as much memory as it reads at a time. That may be a whole head, for each of thousands.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_util::task::TaskTracker;

/// With more connections and requests than this, little is read at a time.
const CROWD: usize = 256;
/// Less than hyper's smallest buffer, which it makes larger when a read fills it.
const LITTLE: usize = 8 * 1024 - 64;

pub struct Socket {
    pub socket: TcpStream,
    /// All connections, and all requests.
    pub tasks: TaskTracker,
}

impl AsyncRead for Socket {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let Self { socket, tasks } = &mut *self;
        let socket = Pin::new(socket);
        if into.remaining() <= LITTLE || tasks.len() <= CROWD {
            return socket.poll_read(context, into);
        }
        into.initialize_unfilled_to(LITTLE);
        let mut little = into.take(LITTLE);
        ready!(socket.poll_read(context, &mut little))?;
        let read = little.filled().len();
        into.advance(read);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Socket {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.socket).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_shutdown(context)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        pieces: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.socket).poll_write_vectored(context, pieces)
    }

    fn is_write_vectored(&self) -> bool {
        self.socket.is_write_vectored()
    }
}
