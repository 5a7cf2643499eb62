//! Ctrl-C and SIGTERM: a command ends at its next step, and files that are half-made are removed.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicI32, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;
use std::{fs, io};

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use crate::failure::{Done, Failure};

/// How long a command may take to end by itself. It waits for ever where it reads a terminal, for example.
const GRACE: Duration = Duration::from_secs(3);

/// The signal that came. 0 for none.
static SIGNAL: AtomicI32 = AtomicI32::new(0);
/// Files that are not whole yet.
static HALF_MADE: Mutex<BTreeSet<PathBuf>> = Mutex::new(BTreeSet::new());

/// Begins to listen for signals.
pub fn listen() -> Done {
    let failed = |source| Failure::File {
        op: "listen for signals in",
        path: "this process".into(),
        source,
    };
    let mut signals = Signals::new([SIGINT, SIGTERM, SIGHUP]).map_err(failed)?;
    let wait = move || {
        if let Some(signal) = signals.forever().next() {
            SIGNAL.store(signal, Ordering::SeqCst);
            end_within(GRACE, &mut signals);
        }
    };
    let started = thread::Builder::new().spawn(wait);
    started.map(drop).map_err(failed)
}

/// Ends the process if it has not ended by itself, or if the signal comes once more. The store needs no goodbye:
/// all that was acknowledged is durable.
fn end_within(grace: Duration, signals: &mut Signals) {
    let step = Duration::from_millis(50);
    let mut waited = Duration::ZERO;
    while waited < grace && signals.pending().next().is_none() {
        thread::sleep(step);
        waited += step;
    }
    // Held to the end: nothing gets its final name from here on.
    let half_made = lock();
    for path in &*half_made {
        let _ = fs::remove_file(path).or_else(|_| fs::remove_dir_all(path));
    }
    std::process::exit(exit_code().into());
}

pub fn is_set() -> bool {
    SIGNAL.load(Ordering::SeqCst) != 0
}

/// Fails once a signal has come. Long loops call it at each step.
pub fn check() -> Done {
    if is_set() {
        return Err(Failure::Interrupted);
    }
    Ok(())
}

/// 128 and the signal, as shells have it.
pub fn exit_code() -> u8 {
    let signal = u8::try_from(SIGNAL.load(Ordering::SeqCst)).unwrap_or(0);
    128 + signal
}

/// Removes a directory that was noted, at the end of the process.
pub fn remove_directories() {
    for path in &*lock() {
        if path.is_dir() {
            let _ = fs::remove_dir_all(path);
        }
    }
}

/// Notes a file, or a directory, that is about to be made and is not whole yet.
pub fn half_made(path: &Path) {
    lock().insert(path.to_owned());
}

/// Gives a whole file its final name, or removes one that will never be whole. No signal comes between.
pub fn settle(path: &Path, by: impl FnOnce(&Path) -> io::Result<()>) -> io::Result<()> {
    let mut half_made = lock();
    by(path)?;
    half_made.remove(path);
    Ok(())
}

fn lock() -> MutexGuard<'static, BTreeSet<PathBuf>> {
    HALF_MADE.lock().unwrap_or_else(PoisonError::into_inner)
}
