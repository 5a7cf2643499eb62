//! [`OpenBlobs`]: the blobs that one flow has open.
//!
//! A flow that goes on in order needs one. One that seeks may come back to the parts that it was in, and opening a
//! blob takes longer than reading a block of it. So a flow keeps some of them open. All flows together keep
//! [so many](ALLOWED), and one for each flow.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::backend::BlobReader;
use crate::{ContentHash, Result};

/// How many blobs one flow has open at most.
const MOST: usize = 64;
/// How many all flows of a store keep open, beside one for each. A blob takes two descriptors.
const ALLOWED: usize = 128;

/// What all flows share: how many blobs are kept open.
#[derive(Debug, Default)]
pub(super) struct Allowance(AtomicUsize);

impl Allowance {
    fn take(self: &Arc<Self>) -> Option<Permit> {
        let more = |kept: usize| (kept < ALLOWED).then_some(kept + 1);
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
}

/// Whether a flow may come back to the blob that it was in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Leaves {
    ForGood,
    PerhapsNot,
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
        self.latest = Some(Open { content, reader });
    }

    /// Returns the blob. `open` opens it if it is not open; if that fails, once more when no other is.
    pub(super) fn get(
        &mut self,
        content: ContentHash,
        leaves: Leaves,
        open: impl Fn() -> Result<Box<dyn BlobReader>>,
    ) -> Result<&mut dyn BlobReader> {
        let latest = match self.latest.take() {
            Some(latest) if latest.content == content => latest,
            left => {
                let found = self
                    .kept
                    .iter()
                    .position(|(kept, _)| kept.content == content);
                let found = found.map(|at| self.kept.remove(at).0);
                if leaves == Leaves::PerhapsNot {
                    self.keep(left);
                }
                match found {
                    Some(found) => found,
                    None => Open {
                        content,
                        reader: self.open(open)?,
                    },
                }
            }
        };
        Ok(&mut *self.latest.insert(latest).reader)
    }

    fn open(
        &mut self,
        open: impl Fn() -> Result<Box<dyn BlobReader>>,
    ) -> Result<Box<dyn BlobReader>> {
        open().or_else(|error| {
            if self.kept.is_empty() {
                return Err(error);
            }
            // The process may have no descriptor left.
            self.kept.clear();
            open()
        })
    }

    fn keep(&mut self, left: Option<Open>) {
        let Some(left) = left else { return };
        if self.kept.len() + 1 >= MOST {
            self.kept.remove(0);
        }
        if let Some(permit) = self.allowance.take() {
            self.kept.push((left, permit));
        } else if !self.kept.is_empty() {
            let (_, permit) = self.kept.remove(0);
            self.kept.push((left, permit));
        }
    }
}
