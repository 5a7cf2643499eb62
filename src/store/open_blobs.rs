//! [`OpenBlobs`]: the blobs that one flow has open.
//!
//! A flow that goes on in order needs one. One that seeks may come back to the parts that it was in, and opening a
//! blob takes longer than reading a block of it. So it keeps those open, as far as all flows together may.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::backend::BlobReader;
use crate::{ContentHash, Result};

/// How many blobs all flows of a store keep open, beside one for each. A blob takes two descriptors.
const MOST: usize = 64;

/// What all flows share: how many blobs are kept open.
#[derive(Debug, Default)]
pub(super) struct Allowance(AtomicUsize);

impl Allowance {
    fn take(self: &Arc<Self>) -> Option<Permit> {
        let more = |kept: usize| (kept < MOST).then_some(kept + 1);
        let taken = self
            .0
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, more);
        taken.ok().map(|_| Permit(Arc::clone(self)))
    }
}

struct Permit(Arc<Allowance>);

impl Drop for Permit {
    fn drop(&mut self) {
        self.0.0.fetch_sub(1, Ordering::Relaxed);
    }
}

pub(super) struct OpenBlobs {
    allowance: Arc<Allowance>,
    /// The blob that was used last.
    latest: Option<Open>,
    /// Others, those that were used last at the end.
    kept: Vec<(Open, Permit)>,
}

struct Open {
    content: ContentHash,
    reader: Box<dyn BlobReader>,
    /// Its file may be damaged, and another one may have its name soon.
    has_failed: bool,
}

/// Whether a flow may come back to the blob that it was in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Leaves {
    ForGood,
    PerhapsNot,
}

impl Open {
    fn new(content: ContentHash, reader: Box<dyn BlobReader>) -> Self {
        Self {
            content,
            reader,
            has_failed: false,
        }
    }
}

impl OpenBlobs {
    pub(super) fn new(allowance: &Arc<Allowance>) -> Self {
        Self {
            allowance: Arc::clone(allowance),
            latest: None,
            kept: Vec::new(),
        }
    }

    /// Takes a blob that was opened.
    pub(super) fn insert(&mut self, content: ContentHash, reader: Box<dyn BlobReader>) {
        self.latest = Some(Open::new(content, reader));
    }

    /// Returns the blob, which `open` opens if it is not open.
    pub(super) fn get(
        &mut self,
        content: ContentHash,
        leaves: Leaves,
        open: impl Fn() -> Result<Box<dyn BlobReader>>,
    ) -> Result<&mut dyn BlobReader> {
        let latest = match self.latest.take() {
            Some(latest) if latest.content == content => latest,
            left => {
                let mut kept = self.kept.iter();
                let found = kept.position(|(kept, _)| kept.content == content);
                let found = found.map(|at| self.kept.remove(at).0);
                if leaves == Leaves::PerhapsNot {
                    self.keep(left);
                }
                match found {
                    Some(found) => found,
                    None => Open::new(content, self.open(open)?),
                }
            }
        };
        Ok(&mut *self.latest.insert(latest).reader)
    }

    /// Says that the blob that was used last could not be read. It is opened anew when the flow comes back to it.
    pub(super) fn latest_failed(&mut self) {
        if let Some(latest) = &mut self.latest {
            latest.has_failed = true;
        }
    }

    fn open(
        &mut self,
        open: impl Fn() -> Result<Box<dyn BlobReader>>,
    ) -> Result<Box<dyn BlobReader>> {
        open().or_else(|error| {
            if self.kept.is_empty() {
                return Err(error);
            }
            // The process may have no descriptor left, but for these.
            self.kept.clear();
            open()
        })
    }

    fn keep(&mut self, left: Option<Open>) {
        let Some(left) = left.filter(|left| !left.has_failed) else {
            return;
        };
        if let Some(permit) = self.allowance.take() {
            self.kept.push((left, permit));
        } else if !self.kept.is_empty() {
            let (_, permit) = self.kept.remove(0);
            self.kept.push((left, permit));
        }
    }
}
