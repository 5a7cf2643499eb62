//! Threads of the store's own, as tasks of shuttle; where shuttle is not at work there are none.

use std::io;

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
