//! A log with group commit, as the floors keep it.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;

use parking_lot::{Condvar, Mutex, MutexGuard};
use rustix::fs::{FallocateFlags, fallocate};

/// Bytes that are allocated beforehand, so that a sync has no size to write. A journal has that, too.
const ALLOCATED: u64 = 8 << 20;
/// Bytes that the store's journal takes for a new part, about.
const LINE_LEN: usize = 400;

/// One of the callers that wait syncs for all of them.
#[derive(Debug)]
pub struct Log {
    file: File,
    state: Mutex<Group>,
    progress: Condvar,
}

#[derive(Debug, Default)]
struct Group {
    written: u64,
    durable: u64,
    syncing: bool,
}

impl Log {
    pub fn new(path: &Path) -> Self {
        let file = File::create_new(path).expect("the log");
        fallocate(&file, FallocateFlags::empty(), 0, ALLOCATED).expect("room for the log");
        Self {
            file,
            state: Mutex::default(),
            progress: Condvar::new(),
        }
    }

    /// Appends one line and returns when it is durable.
    pub fn append(&self) {
        let line = [b'x'; LINE_LEN];
        let mut state = self.state.lock();
        self.file
            .write_all_at(&line, state.written)
            .expect("write the log");
        state.written += line.len() as u64;
        let end = state.written;
        while state.durable < end {
            if state.syncing {
                self.progress.wait(&mut state);
                continue;
            }
            state.syncing = true;
            let all = state.written;
            MutexGuard::unlocked(&mut state, || {
                self.file.sync_data().expect("fdatasync of the log");
            });
            (state.durable, state.syncing) = (all, false);
            self.progress.notify_all();
        }
    }
}
