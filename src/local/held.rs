//! Objects that are held: the rows of their parts stay, and so do the blobs of those, until the last hold is
//! dropped (I4). A hold on the whole costs one entry, where pins cost one for each part. (A hold on an open
//! upload does not keep a part that a put replaces, or that a completion leaves out.)
//!
//! Whoever takes a hold has the upload's lock, and finds the upload there. Whoever removes rows of parts that
//! ended with their upload asks under the same lock.

use std::collections::HashMap;
use std::sync::Arc;

use crate::UploadId;
use crate::process::Process;
use crate::sync::Mutex;

pub(crate) struct Held {
    process: Process,
    /// How many holds each has.
    uploads: Mutex<HashMap<UploadId, usize>>,
}

/// An upload or object whose parts stay until this is dropped.
pub(crate) struct HeldUpload {
    held: Arc<Held>,
    id: UploadId,
}

impl Held {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self {
            process: Process::current(),
            uploads: Mutex::default(),
        })
    }

    /// Holds an upload or object. The caller has its lock.
    #[cfg_attr(
        not(test),
        expect(dead_code, reason = "until readers hold objects as a whole")
    )]
    pub(crate) fn hold(self: &Arc<Self>, id: UploadId) -> HeldUpload {
        *self.uploads.lock().entry(id).or_default() += 1;
        HeldUpload {
            held: Arc::clone(self),
            id,
        }
    }

    /// Whether somebody holds it. The caller has its lock, so this does not become true meanwhile.
    pub(crate) fn holds(&self, id: UploadId) -> bool {
        self.uploads.lock().contains_key(&id)
    }
}

impl Drop for HeldUpload {
    fn drop(&mut self) {
        if self.held.process.is_another() {
            return;
        }
        let mut uploads = self.held.uploads.lock();
        match uploads.get_mut(&self.id) {
            Some(count) if *count > 1 => *count -= 1,
            _ => drop(uploads.remove(&self.id)),
        }
    }
}
