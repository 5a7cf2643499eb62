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

/// Runs the job in the caller's own task: nothing here hangs, and the schedules are those of the callers.
#[expect(
    clippy::unnecessary_wraps,
    reason = "the function that this stands for gives up after a time"
)]
pub(crate) fn attend<T>(_name: &str, _limit: Duration, job: impl FnOnce() -> T) -> Option<T> {
    Some(job())
}
