//! Locks, and the store's own threads. Only tests of schedules set `cfg(shuttle)`: then `parking_lot` is a
//! double of the real one, and shuttle decides which thread runs next.

pub(crate) use parking_lot::{
    Condvar, MappedRwLockReadGuard, Mutex, MutexGuard, RwLock, RwLockReadGuard,
};
pub(crate) use threads::{JoinHandle, attend, start};

#[cfg(not(shuttle))]
mod threads {
    use std::io;
    use std::sync::mpsc::sync_channel;
    use std::thread::Builder;
    pub(crate) use std::thread::JoinHandle;
    use std::time::Duration;

    /// Starts a thread, which has this name in debuggers and process listings.
    pub(crate) fn start(
        name: &str,
        run: impl FnOnce() + Send + 'static,
    ) -> io::Result<JoinHandle<()>> {
        Builder::new().name(name.to_owned()).spawn(run)
    }

    /// Runs the job on a thread of its own, and gives its result. Gives `None` when the job panics, takes longer
    /// than `limit`, or finds no thread. A job that was given up goes on for as long as it does.
    pub(crate) fn attend<T: Send + 'static>(
        name: &str,
        limit: Duration,
        job: impl FnOnce() -> T + Send + 'static,
    ) -> Option<T> {
        let (answer, answered) = sync_channel(1);
        let started = start(name, move || {
            // Nobody may be left to be told.
            let _ = answer.try_send(job());
        });
        let thread = started.ok()?;
        let done = answered.recv_timeout(limit).ok();
        if done.is_some() {
            // It ends now. A panic there has been printed.
            let _ = thread.join();
        }
        done
    }
}

/// Threads as tasks of shuttle.
#[cfg(shuttle)]
mod threads {
    use std::io;
    use std::time::Duration;

    use parking_lot::schedule;
    pub(crate) use shuttle::thread::JoinHandle;

    /// Starts a task; outside of a schedule there are none.
    pub(crate) fn start(
        name: &str,
        run: impl FnOnce() + Send + 'static,
    ) -> io::Result<JoinHandle<()>> {
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
}
