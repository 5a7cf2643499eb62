//! [`AsyncPartStore`]: a handle of the store, and how its calls get to a thread.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use partstore::{Options, PartStore, RecoveryReport, Result};

use crate::AsyncOptions;
use crate::pool::{Held, Pool};
use crate::writer::Limits;

/// A [`PartStore`] whose calls are futures and whose bodies are streams.
///
/// Clones are handles to the same store and the same threads. Each call has the name, the results and the errors of the
/// call of [`PartStore`] that it makes. Futures make progress on any executor.
#[derive(Clone)]
pub struct AsyncPartStore {
    front: Arc<Front>,
}

struct Front {
    /// Dropping the last handle closes the store, which takes time.
    store: Held<PartStore>,
    pool: Pool,
    options: AsyncOptions,
    limits: Limits,
}

impl AsyncPartStore {
    /// Makes a front for a store, with the default [`AsyncOptions`].
    ///
    /// # Errors
    /// As for [`new_with`](Self::new_with).
    pub fn new(store: PartStore) -> Result<Self> {
        Self::new_with(store, AsyncOptions::new())
    }

    /// Makes a front for a store. The store can be used directly as well, by other handles.
    ///
    /// # Errors
    /// [`Error::Io`](partstore::Error::Io): the first thread cannot be started.
    pub fn new_with(store: PartStore, options: AsyncOptions) -> Result<Self> {
        let pool = Pool::new(options.threads)?;
        Ok(Self::on(store, pool, options))
    }

    /// Opens the store at `path`, and makes a front for it.
    ///
    /// # Errors
    /// As for [`Options::open`], and [`Error::Io`](partstore::Error::Io): the first thread cannot be started.
    pub async fn open(
        path: impl Into<PathBuf>,
        store: Options,
        options: AsyncOptions,
    ) -> Result<Self> {
        let (pool, path) = (Pool::new(options.threads)?, path.into());
        let inner = pool.clone();
        let open = move || Ok(Held::new(store.open(path)?, &inner));
        let opened = pool.start(open).await?;
        Ok(Self::on(opened.into_inner(), pool, options))
    }

    fn on(store: PartStore, pool: Pool, options: AsyncOptions) -> Self {
        let store = Held::new(store, &pool);
        let front = Front {
            store,
            pool,
            options,
            limits: Limits::new(options.batch_len, options.gather_len),
        };
        Self {
            front: Arc::new(front),
        }
    }

    /// Returns the store itself, whose calls block.
    #[must_use]
    pub fn store(&self) -> &PartStore {
        &self.front.store
    }

    /// Returns what opening found and did.
    #[must_use]
    pub fn recovery(&self) -> &RecoveryReport {
        self.store().recovery()
    }

    /// Closes the store, as [`PartStore::close`] does. It does not wait for a thread of the pool.
    ///
    /// # Errors
    /// As for [`PartStore::close`].
    pub async fn close(&self) -> Result<()> {
        let front = Arc::clone(&self.front);
        let close = move || front.store.close();
        self.pool().start_beside(close).await
    }

    /// Makes a call on a thread of the pool: one of your own, or several that belong together. It gives what the call gives,
    /// whatever that is. A panic of the call goes on here.
    ///
    /// If the future is dropped before a thread has taken the call up, it is not made. Later it is made to its end.
    pub async fn run<T: Send + 'static>(
        &self,
        call: impl FnOnce(&PartStore) -> T + Send + 'static,
    ) -> T {
        let front = Arc::clone(&self.front);
        self.pool().start(move || call(&front.store)).await
    }

    /// Makes a call whose result may take long to drop.
    pub(crate) async fn held<T: Send + 'static, E: Send + 'static>(
        &self,
        call: impl FnOnce(&PartStore) -> Result<T, E> + Send + 'static,
    ) -> Result<Held<T>, E> {
        let pool = self.pool().clone();
        self.run(move |store| Ok(Held::new(call(store)?, &pool)))
            .await
    }

    pub(crate) fn pool(&self) -> &Pool {
        &self.front.pool
    }

    pub(crate) fn limits(&self) -> Limits {
        self.front.limits.clone()
    }

    pub(crate) fn options(&self) -> AsyncOptions {
        self.front.options
    }
}

impl fmt::Debug for AsyncPartStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AsyncPartStore")
            .field("store", self.store())
            .field("options", &self.front.options)
            .finish()
    }
}
