//! [`Runtime`]: the crate's own threads for asynchronous clients, behind calls that wait.

use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};

use futures_util::FutureExt;
use partstore::{Error, Result};

/// Runs futures for callers that wait for them. A caller may be on any thread, also on one of another
/// runtime: it waits as for a lock.
#[derive(Debug)]
pub(crate) struct Runtime {
    /// Taken when it is dropped.
    inner: Option<tokio::runtime::Runtime>,
    handle: tokio::runtime::Handle,
}

impl Runtime {
    /// # Errors
    /// [`Error::Io`]: no thread can be started.
    pub fn new(threads: usize) -> Result<Self> {
        let inner = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(threads)
            .thread_name("partstore-io")
            .enable_all()
            .build()
            .map_err(|source| Error::Io {
                op: "start threads for",
                path: "the database".into(),
                source,
            })?;
        Ok(Self {
            handle: inner.handle().clone(),
            inner: Some(inner),
        })
    }

    /// Runs a future to its end on the thread of the caller. So what is ready at once costs no change of threads, and an
    /// answer from the network wakes the caller itself. The threads of this runtime serve its sockets and timers.
    ///
    /// # Errors
    /// [`Error::Closed`] if the future panics.
    pub fn wait<T>(&self, future: impl Future<Output = T>) -> Result<T> {
        let _entered = self.handle.enter();
        let future = AssertUnwindSafe(future).catch_unwind();
        // A caller may be a task of another runtime. That gives a task a budget, and takes it back for more: this one never
        // comes back while it waits.
        let mut future = pin!(tokio::task::unconstrained(future));
        let waker = Waker::from(Arc::new(Caller(thread::current())));
        let mut context = Context::from_waker(&waker);
        loop {
            if let Poll::Ready(ended) = future.as_mut().poll(&mut context) {
                return ended.map_err(|_| Error::Closed);
            }
            thread::park();
        }
    }

    /// Runs a future that nobody waits for.
    pub fn spawn(&self, future: impl Future<Output = ()> + Send + 'static) {
        self.handle.spawn(future);
    }
}

/// A thread that waits for a future. Whatever else wakes it, it only polls once more.
struct Caller(Thread);

impl Wake for Caller {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.0.unpark();
    }
}

impl Drop for Runtime {
    fn drop(&mut self) {
        // Waiting would be an error inside another runtime.
        if let Some(inner) = self.inner.take() {
            inner.shutdown_background();
        }
    }
}
