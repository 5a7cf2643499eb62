//! Threads of the store's own, as tasks of shuttle; where shuttle is not at work there are none.

use std::io;
use std::time::Duration;

use parking_lot::schedule;

pub(crate) use shuttle::thread::JoinHandle;

pub(crate) fn start(name: &str, run: impl FnOnce() + Send + 'static) -> io::Result<JoinHandle<()>> {
    if !schedule::decides() {
        return Err(io::ErrorKind::Unsupported.into());
    }
    shuttle::thread::Builder::new()
        .name(name.to_owned())
        .spawn(run)
}

/// Runs each job in the caller's own task: nothing here hangs, and the schedules are those of the callers.
pub(crate) struct Pool;

impl Pool {
    pub(crate) fn new(_name: &'static str, _round: impl Fn() + Send + Sync + 'static) -> Self {
        Self
    }

    #[expect(
        clippy::unused_self,
        reason = "the pool that this stands for has threads"
    )]
    pub(crate) fn run<T: Send + 'static>(
        &self,
        _limit: Duration,
        job: impl FnOnce() -> T + Send + 'static,
    ) -> Option<T> {
        Some(job())
    }

    #[expect(
        clippy::unused_self,
        reason = "the pool that this stands for has threads"
    )]
    pub(crate) fn post(&self, job: Box<dyn FnOnce() + Send>) {
        job();
    }

    #[expect(
        clippy::unused_self,
        reason = "the pool that this stands for has threads"
    )]
    pub(crate) fn hurry(&self) {}

    #[expect(
        clippy::unused_self,
        reason = "the pool that this stands for has threads"
    )]
    pub(crate) fn end(&self) {}
}
