//! [`Runtime`]: the crate's own threads for asynchronous clients, behind calls that wait.

use std::future::Future;
use std::sync::mpsc;

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

    /// Runs a future to its end, and waits for it.
    ///
    /// # Errors
    /// [`Error::Closed`] if the runtime ends before.
    pub fn wait<T: Send + 'static>(
        &self,
        future: impl Future<Output = T> + Send + 'static,
    ) -> Result<T> {
        let (send, receive) = mpsc::sync_channel(1);
        self.spawn(async move {
            let _ = send.send(future.await);
        });
        receive.recv().map_err(|_| Error::Closed)
    }

    /// Runs a future that nobody waits for.
    pub fn spawn(&self, future: impl Future<Output = ()> + Send + 'static) {
        self.handle.spawn(future);
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
