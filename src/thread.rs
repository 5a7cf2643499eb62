//! Threads of the store's own.

use std::io;
use std::thread::Builder;
pub(crate) use std::thread::JoinHandle;

/// Starts a thread, which has this name in debuggers and process listings.
pub(crate) fn start(name: &str, run: impl FnOnce() + Send + 'static) -> io::Result<JoinHandle<()>> {
    Builder::new().name(name.to_owned()).spawn(run)
}
