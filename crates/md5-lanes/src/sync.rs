//! Locks and threads. With `cfg(shuttle)`, which only tests of schedules set, `parking_lot` is a double of the
//! real one, and shuttle decides who runs next.

pub(crate) use parking_lot::{Condvar, Mutex};
pub(crate) use threads::{JoinHandle, start};

#[cfg(not(shuttle))]
mod threads {
    use std::io;
    use std::thread::Builder;
    pub(crate) use std::thread::JoinHandle;

    /// Starts a thread, which has this name in debuggers and process listings.
    pub(crate) fn start(
        name: &str,
        run: impl FnOnce() + Send + 'static,
    ) -> io::Result<JoinHandle<()>> {
        Builder::new().name(name.to_owned()).spawn(run)
    }
}

#[cfg(shuttle)]
mod threads {
    use std::io;

    use parking_lot::schedule;
    use shuttle::thread::Builder;
    pub(crate) use shuttle::thread::JoinHandle;

    /// Starts a task; outside of a schedule there are none.
    pub(crate) fn start(
        name: &str,
        run: impl FnOnce() + Send + 'static,
    ) -> io::Result<JoinHandle<()>> {
        if !schedule::decides() {
            return Err(io::ErrorKind::Unsupported.into());
        }
        Builder::new().name(name.to_owned()).spawn(run)
    }
}
