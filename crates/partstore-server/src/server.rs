//! The server: connections, their limits, and how they end.

use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use hyper::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use rustix::net::sockopt::set_tcp_user_timeout;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::service::Service;

/// About the longest head of a request, and the most that is read from a socket at a time, bytes.
const MAX_HEAD_LEN: usize = 256 * 1024;
/// How long a client may take to send a head, also the first byte of the next one.
const HEAD_PATIENCE: Duration = Duration::from_secs(30);
/// How much of a refused body is still read, and for how long. If the socket were closed at once, the client might not
/// see the answer. A client that sends nothing in the meantime loses nothing.
const LINGER_LEN: u64 = 64 * 1024 * 1024;
const LINGER_TIME: Duration = Duration::from_secs(5);
const LINGER_CHUNK: usize = 8 * 1024;
const LINGER_SILENCE: Duration = Duration::from_millis(500);

pub struct Server {
    pub service: Arc<Service>,
    /// Further connections wait to be accepted.
    pub max_connections: usize,
    /// How long requests that are under way may take when the server is told to stop.
    pub grace: Duration,
    /// Ends what is under way at once, copies too.
    pub break_off: CancellationToken,
}

impl Server {
    /// Serves until `stop`. Then it takes no more requests, lets those under way end, and after the grace breaks off
    /// the rest. Returns when no request is under way.
    pub async fn run(self, listener: TcpListener, stop: CancellationToken) {
        let tasks = TaskTracker::new();
        let room = Arc::new(Semaphore::new(self.max_connections));
        loop {
            let accepted = async {
                let place = room.clone().acquire_owned().await;
                (place, listener.accept().await)
            };
            let (place, accepted) = tokio::select! {
                () = stop.cancelled() => break,
                accepted = accepted => accepted,
            };
            let socket = match accepted {
                Ok((socket, _)) => socket,
                Err(error) => {
                    // For example, no file descriptor is free. One will be.
                    tracing::warn!(%error, "a connection could not be accepted");
                    sleep(Duration::from_millis(100)).await;
                    continue;
                }
            };
            let connection = connection(self.service.clone(), socket, tasks.clone(), stop.clone());
            let break_off = self.break_off.clone();
            tasks.spawn(async move {
                let _place = place;
                break_off.run_until_cancelled(connection).await;
            });
        }
        drop(listener);
        tasks.close();
        tracing::info!(connections = tasks.len(), "stopping");
        if timeout(self.grace, tasks.wait()).await.is_err() {
            tracing::warn!(tasks = tasks.len(), "the grace is over");
            self.break_off.cancel();
            tasks.wait().await;
        }
    }
}

async fn connection(
    service: Arc<Service>,
    socket: TcpStream,
    tasks: TaskTracker,
    stop: CancellationToken,
) {
    // Answers are short, and wait for nothing.
    let _ = socket.set_nodelay(true);
    // A client that takes nothing of its answer for so long has left. `body` times what it sends.
    let patience = u32::try_from(service.patience.as_millis()).unwrap_or(u32::MAX);
    let _ = set_tcp_user_timeout(&socket, patience);
    // Each request is a task of its own, so it ends even when its client leaves.
    let answer =
        service_fn(|request: Request<Incoming>| tasks.spawn(service.clone().answer(request)));
    let mut connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_PATIENCE)
        .max_buf_size(MAX_HEAD_LEN)
        .half_close(true)
        .preserve_header_case(true)
        .serve_connection(TokioIo::new(socket), answer);
    let mut stopping = pin!(stop.cancelled().fuse());
    let ended = poll_fn(|context| {
        if stopping.as_mut().poll(context).is_ready() {
            Pin::new(&mut connection).graceful_shutdown();
        }
        connection.poll_without_shutdown(context)
    });
    if let Err(error) = ended.await {
        tracing::debug!(%error, "a connection broke off");
    }
    linger(connection.into_parts().io.into_inner()).await;
}

/// Ends a connection so that the client gets the last answer, even while it is still sending. If unread bytes remained
/// when the socket is closed, the client's system would discard the answer.
async fn linger(mut socket: TcpStream) {
    let _ = socket.shutdown().await;
    let rest = async {
        let mut left = (&mut socket).take(LINGER_LEN);
        let mut scrap = vec![0; LINGER_CHUNK];
        while let Ok(Ok(1..)) = timeout(LINGER_SILENCE, left.read(&mut scrap)).await {}
    };
    let _ = timeout(LINGER_TIME, rest).await;
}
