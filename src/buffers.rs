//! Memory in which bodies are gathered before they are hashed and written.
//!
//! A body has one buffer at a time. There are so many large ones that the disk is kept busy; further
//! bodies get small ones, so that neither many bodies nor stalled ones hold up another or fill the
//! memory. Used memory is kept for the next body: memory that the kernel has to give first costs more
//! than the hashing.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use parking_lot::Mutex;

use crate::digest::BLOCK_LEN;

/// Bytes of a large buffer. The lane thread loses a fifth when it gets chunks of a quarter of that.
pub(crate) const LARGE: usize = 4 * BLOCK_LEN;
/// Bytes of the others.
const SMALL: usize = BLOCK_LEN;
/// How many large buffers there are at a time.
const MOST_LARGE: usize = 64;
/// How many of them are kept while nobody uses them.
const KEPT: usize = 16;

/// Where a buffer begins, and what a write that bypasses the page cache has to be a multiple of: the
/// largest logical block of today's disks.
pub(crate) const ALIGNMENT: usize = 4096;

#[derive(Default)]
pub(crate) struct Buffers {
    large: AtomicUsize,
    kept: Mutex<Vec<Vec<u8>>>,
}

impl Buffers {
    /// An empty buffer.
    pub(crate) fn take(self: &Arc<Self>) -> Buffer {
        let more = |large| (large < MOST_LARGE).then_some(large + 1);
        let is_large = self
            .large
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, more)
            .is_ok();
        let pool = is_large.then(|| Arc::clone(self));
        let kept = pool.as_ref().and_then(|pool| pool.kept.lock().pop());
        let len = if is_large { LARGE } else { SMALL };
        let memory = kept.unwrap_or_else(|| vec![0; len + ALIGNMENT]);
        Buffer {
            start: memory.as_ptr().align_offset(ALIGNMENT).min(ALIGNMENT),
            memory,
            capacity: len,
            filled: 0,
            pool,
        }
    }
}

/// A buffer that begins at a multiple of [`ALIGNMENT`] and holds some blocks of a body.
pub(crate) struct Buffer {
    memory: Vec<u8>,
    start: usize,
    capacity: usize,
    filled: usize,
    /// Where the memory goes back to.
    pool: Option<Arc<Buffers>>,
}

impl Buffer {
    /// What is not filled yet.
    pub(crate) fn space(&mut self) -> &mut [u8] {
        let (from, to) = (self.start + self.filled, self.start + self.capacity);
        self.memory.get_mut(from..to).unwrap_or_default()
    }

    /// The first `len` bytes of the space are filled now.
    pub(crate) fn fill(&mut self, len: usize) {
        self.filled = (self.filled + len).min(self.capacity);
    }

    /// Fills in what fits, and gives its length.
    pub(crate) fn take_from(&mut self, bytes: &[u8]) -> usize {
        let space = self.space();
        let len = bytes.len().min(space.len());
        let (space, bytes) = (space.split_at_mut(len).0, bytes.split_at(len).0);
        space.copy_from_slice(bytes);
        self.fill(len);
        len
    }

    pub(crate) fn is_full(&self) -> bool {
        self.filled == self.capacity
    }

    /// What was filled in, to be shared; the memory goes back when nobody has it any more.
    pub(crate) fn freeze(self) -> Bytes {
        Bytes::from_owner(self)
    }
}

impl AsRef<[u8]> for Buffer {
    fn as_ref(&self) -> &[u8] {
        self.memory
            .get(self.start..self.start + self.filled)
            .unwrap_or_default()
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        if let Some(pool) = &self.pool {
            let mut kept = pool.kept.lock();
            if kept.len() < KEPT {
                kept.push(std::mem::take(&mut self.memory));
            }
            drop(kept);
            pool.large.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

/// Whether these bytes can be written past the page cache.
pub(crate) fn is_aligned(bytes: &[u8]) -> bool {
    bytes.as_ptr().align_offset(ALIGNMENT) == 0 && bytes.len().is_multiple_of(ALIGNMENT)
}
