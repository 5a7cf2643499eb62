//! The server: connections, their limits, and how they end.

use std::error::Error;
use std::future::{Future, poll_fn};
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::FutureExt;
use hyper::body::{Body, Incoming};
use hyper::header::{CONNECTION, EXPECT, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::{TokioIo, TokioTimer};
use rustix::net::sockopt::set_tcp_user_timeout;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinError;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::{AbortOnDropHandle, TaskTracker};

use crate::access::{Access, Inbound, Outbound};
use crate::socket::Socket;
use crate::traffic::Traffic;

/// How long a client may take to send a head, also the first byte of the next one.
const HEAD_PATIENCE: Duration = Duration::from_secs(30);
/// How much of a refused body is still read, and for how long. If the socket were closed at once, the client might not
/// see the answer. A client that sends nothing in the meantime loses nothing.
const LINGER_LEN: u64 = 64 * 1024 * 1024;
const LINGER_TIME: Duration = Duration::from_secs(5);
const LINGER_CHUNK: usize = 8 * 1024;
const LINGER_SILENCE: Duration = Duration::from_millis(500);

/// A protocol: what answers requests.
pub trait Front: Send + Sync + 'static {
    /// Its name, in the log.
    const NAME: &'static str;

    /// Whether a request ends at once when its client closes the connection. A client that only says that it sends no more
    /// has then left, too.
    const ENDS_WITH_CLIENT: bool = false;

    type Body: Body<Data = Bytes, Error: Into<Box<dyn Error + Send + Sync>>>
        + Send
        + Unpin
        + 'static;

    /// Answers a request. The server carries this to its end, whether or not the client waits for the answer. So a
    /// client that leaves leaves nothing half done. If the requests of this front [end with
    /// clients](Self::ENDS_WITH_CLIENT), the future is dropped instead. What the log shall say of it is an extension of the answer:
    /// [`Told`](crate::access::Told).
    fn answer(
        self: Arc<Self>,
        request: Request<Inbound>,
    ) -> impl Future<Output = Response<Self::Body>> + Send;

    /// The answer when `answer` has panicked: a 500.
    fn panicked(&self) -> Response<Self::Body>;
}

/// What the connections of all protocols share.
#[derive(Clone)]
pub struct Server {
    /// One permit for each connection. Further ones wait to be accepted.
    pub room: Arc<Semaphore>,
    pub limits: Limits,
    pub stop: CancellationToken,
    /// Ends what is under way at once, copies too.
    pub break_off: CancellationToken,
    /// What counts the requests, if anything does.
    pub traffic: Option<Arc<Traffic>>,
}

/// What a client may make the server wait for, or keep.
#[derive(Clone, Copy)]
pub struct Limits {
    /// About the longest head of a request, and the most that is read from a socket at a time, bytes.
    pub max_head: usize,
    /// How long a client may take nothing of its answer.
    pub patience: Duration,
    /// How long requests that are under way may take when the server is told to stop.
    pub grace: Duration,
}

impl Server {
    /// Serves one protocol until `stop`. Then it takes no more requests, lets those under way end, and after the grace
    /// breaks off the rest. Returns when no request is under way.
    pub async fn run(self, listener: TcpListener, front: Arc<impl Front>) {
        let tasks = TaskTracker::new();
        loop {
            let accepted = async {
                let place = self.room.clone().acquire_owned().await;
                (place, listener.accept().await)
            };
            let (place, accepted) = tokio::select! {
                () = self.stop.cancelled() => break,
                accepted = accepted => accepted,
            };
            let (socket, client) = match accepted {
                Ok(accepted) => accepted,
                Err(error) => {
                    // For example, no file descriptor is free. One will be.
                    tracing::warn!(%error, "a connection could not be accepted");
                    sleep(Duration::from_millis(100)).await;
                    continue;
                }
            };
            let connection = self.connection((socket, client), front.clone(), tasks.clone());
            let break_off = self.break_off.clone();
            let connection = async move {
                let _place = place;
                break_off.run_until_cancelled(connection).await;
            };
            tasks.spawn(connection);
        }
        drop(listener);
        tasks.close();
        tracing::info!(connections = tasks.len(), "stopping");
        if timeout(self.limits.grace, tasks.wait()).await.is_err() {
            tracing::warn!(tasks = tasks.len(), "the grace is over");
            self.break_off.cancel();
            tasks.wait().await;
        }
    }

    /// The same, if the protocol is spoken.
    pub async fn run_on(self, listener: Option<(TcpListener, SocketAddr)>, front: Arc<impl Front>) {
        if let Some((listener, _)) = listener {
            self.run(listener, front).await;
        }
    }

    fn connection<F: Front>(
        &self,
        (socket, client): (TcpStream, SocketAddr),
        front: Arc<F>,
        tasks: TaskTracker,
    ) -> impl Future<Output = ()> + Send + 'static {
        let (limits, stop, traffic) = (self.limits, self.stop.clone(), self.traffic.clone());
        async move {
            // Answers are short, and wait for nothing.
            let _ = socket.set_nodelay(true);
            // A client that takes nothing of its answer for so long has left. The front times what it sends.
            let patience = u32::try_from(limits.patience.as_millis()).unwrap_or(u32::MAX);
            let _ = set_tcp_user_timeout(&socket, patience);
            let socket = Socket {
                socket,
                tasks: tasks.clone(),
            };
            let answer = service_fn(|request| {
                Box::pin(answer(
                    (front.clone(), tasks.clone(), traffic.clone()),
                    (request, client),
                ))
            });
            let mut connection = http1::Builder::new()
                .timer(TokioTimer::new())
                .header_read_timeout(HEAD_PATIENCE)
                .max_buf_size(limits.max_head)
                .half_close(!F::ENDS_WITH_CLIENT)
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
            linger(connection.into_parts().io.into_inner().socket).await;
        }
    }
}

/// Each request is a task of its own, so it can come to its end even when its client leaves.
async fn answer<F: Front>(
    (front, tasks, traffic): (Arc<F>, TaskTracker, Option<Arc<Traffic>>),
    (request, client): (Request<Incoming>, SocketAddr),
) -> Result<Response<Outbound<F::Body>>, JoinError> {
    // Without a body nobody asks hyper to go on, so a client that waits for that gets the answer at once. botocore then
    // misreads the next answer on the same connection.
    let stops_waiting = request.headers().contains_key(EXPECT) && request.body().is_end_stream();
    let (access, request) = Access::begin((F::NAME, traffic), client, request);
    let task = AbortOnDropHandle::new(tasks.spawn(front.clone().answer(request)));
    let answered = if F::ENDS_WITH_CLIENT {
        task.await
    } else {
        task.detach().await
    };
    let mut response = match answered {
        Err(panic) if panic.is_panic() => front.panicked(),
        answered => answered?,
    };
    if stops_waiting {
        let close = HeaderValue::from_static("close");
        response.headers_mut().insert(CONNECTION, close);
    }
    Ok(access.answer(response))
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

#[cfg(test)]
mod tests {
    use super::*;
    use http_body_util::Empty;

    /// A front with a fault.
    struct Faulty;

    impl Front for Faulty {
        const NAME: &'static str = "faulty";
        type Body = Empty<Bytes>;

        async fn answer(self: Arc<Self>, _: Request<Inbound>) -> Response<Self::Body> {
            panic!("a fault")
        }

        fn panicked(&self) -> Response<Self::Body> {
            let mut response = Response::new(Empty::new());
            *response.status_mut() = hyper::StatusCode::INTERNAL_SERVER_ERROR;
            response
        }
    }

    #[tokio::test]
    async fn a_panic_is_a_500_and_the_connection_goes_on() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let server = Server {
            room: Arc::new(Semaphore::new(1)),
            limits: Limits {
                max_head: 16_384,
                patience: Duration::from_secs(10),
                grace: Duration::from_secs(10),
            },
            stop: CancellationToken::new(),
            break_off: CancellationToken::new(),
            traffic: None,
        };
        let stop = server.stop.clone();
        let running = tokio::spawn(server.run(listener, Arc::new(Faulty)));
        let mut client = TcpStream::connect(address).await.unwrap();
        for _ in 0..2 {
            client
                .write_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
                .await
                .unwrap();
            let mut answer = vec![0; 1024];
            let read = client.read(&mut answer).await.unwrap();
            assert!(answer[..read].starts_with(b"HTTP/1.1 500"));
        }
        stop.cancel();
        running.await.unwrap();
    }
}
