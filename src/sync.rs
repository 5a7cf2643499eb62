//! Locks, and the store's own threads. Only tests of schedules set `cfg(shuttle)`: then `parking_lot` is a
//! double of the real one, and shuttle decides which thread runs next.

pub(crate) use parking_lot::{
    Condvar, MappedRwLockReadGuard, Mutex, MutexGuard, RwLock, RwLockReadGuard, RwLockWriteGuard,
};
pub(crate) use threads::{JoinHandle, attend, can_start, start};

/// How long a call that waits for another one sleeps before it asks whether the engine still answers.
pub(crate) const GLANCE: std::time::Duration = std::time::Duration::from_secs(1);

/// Why a job was given up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(
    shuttle,
    expect(dead_code, reason = "no job is given up in a schedule")
)]
pub(crate) enum GivenUp {
    Panicked,
    Late,
}

#[cfg(not(shuttle))]
mod threads {
    use std::io;
    use std::sync::Arc;
    use std::sync::mpsc::{RecvTimeoutError, sync_channel};
    pub(crate) use std::thread::JoinHandle;
    use std::thread::{Builder, scope};
    use std::time::{Duration, Instant};

    use super::{GivenUp, Mutex};

    /// Starts a thread with this name, which debuggers and process listings show.
    pub(crate) fn start(
        name: &str,
        run: impl FnOnce() + Send + 'static,
    ) -> io::Result<JoinHandle<()>> {
        Builder::new().name(name.to_owned()).spawn(run)
    }

    /// Starts so many threads at the same time, and ends them.
    ///
    /// # Errors
    /// That of the first one which the system refuses.
    pub(crate) fn can_start(threads: usize) -> io::Result<()> {
        let together = Mutex::new(());
        scope(|scope| {
            let _until_all_run = together.lock();
            (0..threads).try_for_each(|_| {
                let run = || drop(together.lock());
                Builder::new().spawn_scoped(scope, run).map(drop)
            })
        })
    }

    /// Runs the job on a thread of its own, and returns its result. If no thread can be started, runs it
    /// here. A job that was given up continues.
    ///
    /// # Errors
    /// [`GivenUp`] if the job panics or takes longer than `limit`.
    pub(crate) fn attend<T: Send + 'static>(
        name: &str,
        limit: Duration,
        job: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, GivenUp> {
        let job = Arc::new(Mutex::new(Some(job)));
        let theirs = Arc::clone(&job);
        let (answer, answered) = sync_channel(1);
        let started = start(name, move || {
            let job = theirs.lock().take();
            // The caller may have given up already.
            let _ = job.map(|job| answer.try_send(job()));
        });
        let Ok(thread) = started else {
            let job = job.lock().take();
            return job.map(|job| job()).ok_or(GivenUp::Panicked);
        };
        let mut left = limit;
        loop {
            let began = Instant::now();
            match answered.recv_timeout(SLICE.min(left)) {
                Ok(done) => {
                    // The thread ends now. A panic of it was printed.
                    let _ = thread.join();
                    return Ok(done);
                }
                Err(RecvTimeoutError::Disconnected) => return Err(GivenUp::Panicked),
                Err(RecvTimeoutError::Timeout) => {
                    left = left.saturating_sub(began.elapsed().min(LONGEST_SLICE));
                }
            }
            if left.is_zero() {
                return Err(GivenUp::Late);
            }
        }
    }

    const SLICE: Duration = Duration::from_secs(1);
    /// A slice that took longer counts for this much, because the whole process may have stood still.
    const LONGEST_SLICE: Duration = Duration::from_secs(5);
}

/// Threads as tasks of shuttle.
#[cfg(shuttle)]
mod threads {
    use std::io;
    use std::time::Duration;

    use super::GivenUp;
    use parking_lot::schedule;
    pub(crate) use shuttle::thread::JoinHandle;

    /// Starts a task. Outside of a schedule none exists.
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

    /// A schedule has all threads that it wants.
    #[expect(
        clippy::unnecessary_wraps,
        reason = "the system that this stands for may refuse"
    )]
    pub(crate) fn can_start(_threads: usize) -> io::Result<()> {
        Ok(())
    }

    /// Runs the job in the caller's own task, because nothing hangs here, and the schedules are those of
    /// the callers.
    #[expect(
        clippy::unnecessary_wraps,
        reason = "the function that this stands for gives up after a time"
    )]
    pub(crate) fn attend<T>(
        _name: &str,
        _limit: Duration,
        job: impl FnOnce() -> T,
    ) -> Result<T, GivenUp> {
        Ok(job())
    }
}

#[cfg(all(test, not(shuttle)))]
mod tests {
    use std::time::Duration;

    use super::{GivenUp, attend};

    const LONG: Duration = Duration::from_secs(60);
    const SHORT: Duration = Duration::from_millis(50);

    #[test]
    fn a_job_is_given_up_when_it_panics_or_takes_too_long_and_not_before() {
        assert_eq!(attend("test", LONG, || 7), Ok(7));
        let slow = || std::thread::sleep(SHORT * 2);
        assert_eq!(attend("test", LONG, slow), Ok(()));
        assert_eq!(attend("test", SHORT, slow), Err(GivenUp::Late));
        let panics = || -> u8 { panic!("as the test wants it to") };
        assert_eq!(attend("test", LONG, panics), Err(GivenUp::Panicked));
    }
}
