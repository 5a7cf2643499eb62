//! [`Pool`]: the threads on which the store's calls run.
//!
//! A job is one call, or one piece of a body. It never waits for another job, so a pool of any size makes progress.

use std::any::Any;
use std::collections::VecDeque;
use std::io;
use std::ops::{Deref, DerefMut};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::thread;
use std::time::Duration;

use parking_lot::{Condvar, Mutex};
use partstore::{Error, Result};
use tokio::sync::oneshot::{Receiver, Sender, channel};

/// A thread that had nothing to do for so long ends. The first one stays.
const IDLE: Duration = Duration::from_secs(10);

type Job = Box<dyn FnOnce() + Send>;

/// At most so many threads. They start when they are needed, and end when nobody needs them.
#[derive(Clone)]
pub(crate) struct Pool(Arc<Owner>);

/// What all handles of a pool share. When it is dropped, the threads do what is left and end.
struct Owner {
    shared: Arc<Shared>,
    limit: usize,
}

#[derive(Default)]
struct Shared {
    queue: Mutex<Queue>,
    changed: Condvar,
}

#[derive(Default)]
struct Queue {
    jobs: VecDeque<Job>,
    threads: usize,
    idle: usize,
    closed: bool,
}

impl Pool {
    /// A pool of `limit` threads. The first one is started now, so that later jobs cannot lack one.
    pub(crate) fn new(limit: usize) -> Result<Self> {
        let shared = Arc::<Shared>::default();
        shared.queue.lock().threads = 1;
        start(&shared).map_err(|source| Error::Io {
            op: "start a thread for",
            path: PathBuf::from("partstore-tokio"),
            source,
        })?;
        let limit = limit.max(1);
        Ok(Self(Arc::new(Owner { shared, limit })))
    }

    /// Has `call` made. If the answer is dropped before a thread has taken the call up, it is not made.
    pub(crate) fn start<T: Send + 'static>(
        &self,
        call: impl FnOnce() -> T + Send + 'static,
    ) -> Answer<T> {
        let (sender, receiver) = channel();
        self.push(job(call, sender));
        Answer(receiver)
    }

    /// As [`start`](Self::start), on a thread beside those of the pool. If that cannot be had, before all that waits.
    pub(crate) fn start_beside<T: Send + 'static>(
        &self,
        call: impl FnOnce() -> T + Send + 'static,
    ) -> Answer<T> {
        let (sender, receiver) = channel();
        let urgent = Arc::new(Mutex::new(Some(job(call, sender))));
        let beside = Arc::clone(&urgent);
        let take = move || {
            if let Some(job) = beside.lock().take() {
                job();
            }
        };
        if thread::Builder::new().spawn(take).is_err()
            && let Some(job) = urgent.lock().take()
        {
            self.0.shared.queue.lock().jobs.push_front(job);
            self.0.shared.changed.notify_one();
        }
        Answer(receiver)
    }

    /// Drops a value on a thread of the pool.
    fn discard<T: Send + 'static>(&self, value: T) {
        self.push(Box::new(move || drop(value)));
    }

    fn push(&self, job: Job) {
        let Owner { shared, limit } = &*self.0;
        let mut queue = shared.queue.lock();
        queue.jobs.push_back(job);
        if queue.idle >= queue.jobs.len() || queue.threads >= *limit {
            drop(queue);
            shared.changed.notify_one();
            return;
        }
        queue.threads += 1;
        drop(queue);
        // If the process may not have more threads, those that exist do the job.
        if start(shared).is_err() {
            shared.queue.lock().threads -= 1;
            shared.changed.notify_one();
        }
    }
}

impl Drop for Owner {
    fn drop(&mut self) {
        self.shared.queue.lock().closed = true;
        self.shared.changed.notify_all();
    }
}

/// A call with the way for its answer. A panic goes to whoever waits for it.
fn job<T: Send + 'static>(
    call: impl FnOnce() -> T + Send + 'static,
    sender: Sender<thread::Result<T>>,
) -> Job {
    Box::new(move || {
        if sender.is_closed() {
            // What the call holds is dropped here, on this thread.
            drop(call);
            return;
        }
        let answer = catch_unwind(AssertUnwindSafe(call));
        // Nobody may wait any more.
        let _ = sender.send(answer);
    })
}

fn start(shared: &Arc<Shared>) -> io::Result<()> {
    let shared = Arc::clone(shared);
    let builder = thread::Builder::new().name("partstore-tokio".to_owned());
    builder.spawn(move || shared.work()).map(drop)
}

impl Shared {
    fn work(&self) {
        while let Some(job) = self.next() {
            // Jobs catch the panics of calls. This one is for values that panic when they are dropped.
            let _: Result<(), Box<dyn Any + Send>> = catch_unwind(AssertUnwindSafe(job));
        }
    }

    /// The next job. `None` if this thread is to end; it is then no longer counted.
    fn next(&self) -> Option<Job> {
        let mut queue = self.queue.lock();
        loop {
            if let Some(job) = queue.jobs.pop_front() {
                return Some(job);
            }
            if queue.closed {
                queue.threads -= 1;
                return None;
            }
            queue.idle += 1;
            let wait = self.changed.wait_for(&mut queue, IDLE);
            queue.idle -= 1;
            if wait.timed_out() && queue.jobs.is_empty() && queue.threads > 1 {
                queue.threads -= 1;
                return None;
            }
        }
    }
}

/// The answer of a job. The job's panic goes on here.
pub(crate) struct Answer<T>(Receiver<thread::Result<T>>);

impl<T> Future for Answer<T> {
    type Output = T;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<T> {
        match Pin::new(&mut self.0).poll(context) {
            Poll::Pending => Poll::Pending,
            Poll::Ready(Ok(Ok(answer))) => Poll::Ready(answer),
            Poll::Ready(Ok(Err(panic))) => resume_unwind(panic),
            #[expect(
                clippy::unreachable,
                reason = "a job sends its answer unless the answer was dropped"
            )]
            Poll::Ready(Err(_)) => unreachable!("a job ended without an answer"),
        }
    }
}

/// A value whose drop may take long, such as a writer: dropping removes its file. It is dropped on a thread of the pool.
pub(crate) struct Held<T: Send + 'static> {
    /// In a box, because a writer is large, and futures have room for it several times.
    value: Option<Box<T>>,
    pool: Pool,
}

impl<T: Send + 'static> Held<T> {
    pub(crate) fn new(value: T, pool: &Pool) -> Self {
        let pool = pool.clone();
        let value = Some(Box::new(value));
        Self { value, pool }
    }

    /// The value, for a job that ends its life.
    pub(crate) fn into_inner(mut self) -> T {
        #[expect(clippy::expect_used, reason = "only this call and the drop take it")]
        *self.value.take().expect("a held value")
    }

    /// Drops the value, and returns when that is done.
    pub(crate) async fn discarded(self) {
        let pool = self.pool.clone();
        pool.start(move || drop(self.into_inner())).await;
    }
}

impl<T: Send + 'static> Deref for Held<T> {
    type Target = T;

    #[expect(clippy::expect_used, reason = "only into_inner and the drop take it")]
    fn deref(&self) -> &T {
        self.value.as_ref().expect("a held value")
    }
}

impl<T: Send + 'static> DerefMut for Held<T> {
    #[expect(clippy::expect_used, reason = "only into_inner and the drop take it")]
    fn deref_mut(&mut self) -> &mut T {
        self.value.as_mut().expect("a held value")
    }
}

impl<T: Send + 'static> Drop for Held<T> {
    fn drop(&mut self) {
        if let Some(value) = self.value.take() {
            self.pool.discard(value);
        }
    }
}
