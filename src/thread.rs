//! Threads of the store's own.

use std::io;
use std::sync::mpsc::sync_channel;
use std::thread::Builder;
pub(crate) use std::thread::JoinHandle;
use std::time::Duration;

/// Starts a thread, which has this name in debuggers and process listings.
pub(crate) fn start(name: &str, run: impl FnOnce() + Send + 'static) -> io::Result<JoinHandle<()>> {
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
