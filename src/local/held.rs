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
    uploads: Mutex<HashMap<UploadId, Holds>>,
}

/// The holds of one upload.
#[derive(Default)]
struct Holds {
    count: usize,
    /// How many parts it has.
    parts: u64,
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

    /// Holds an upload or object, which has so many parts. The caller has its lock.
    pub(crate) fn hold(self: &Arc<Self>, id: UploadId, parts: u64) -> HeldUpload {
        let mut uploads = self.uploads.lock();
        let holds = uploads.entry(id).or_default();
        (holds.count, holds.parts) = (holds.count + 1, parts);
        drop(uploads);
        HeldUpload {
            held: Arc::clone(self),
            id,
        }
    }

    /// Whether somebody holds it. The caller has its lock, so this does not become true meanwhile.
    pub(crate) fn holds(&self, id: UploadId) -> bool {
        self.uploads.lock().contains_key(&id)
    }

    /// How many parts are held.
    pub(crate) fn parts(&self) -> u64 {
        self.uploads.lock().values().map(|holds| holds.parts).sum()
    }
}

impl HeldUpload {
    pub(crate) fn id(&self) -> UploadId {
        self.id
    }

    /// Whether it was taken here, so that releases here respect it.
    pub(crate) fn is_of(&self, held: &Arc<Held>) -> bool {
        Arc::ptr_eq(&self.held, held)
    }
}

impl Drop for HeldUpload {
    fn drop(&mut self) {
        if self.held.process.is_another() {
            return;
        }
        let mut uploads = self.held.uploads.lock();
        match uploads.get_mut(&self.id) {
            Some(holds) if holds.count > 1 => holds.count -= 1,
            _ => drop(uploads.remove(&self.id)),
        }
    }
}
