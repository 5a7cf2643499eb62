//! Memory in which bodies are gathered before they are hashed and written.
//!
//! A body has one buffer at a time. There are so many large ones that the disk is kept busy; further
//! bodies get small ones, so that neither many bodies nor stalled ones hold up another or fill the
//! memory. Used memory is kept for the next body: memory that the kernel has to give first costs more
//! than the hashing.
//!
//! A large buffer is one huge page, where the kernel gives them: a write past the page cache hands the disk
//! one piece of memory then, not 512 small ones.

use std::ops::{Deref, DerefMut};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use memmap2::{Advice, MmapMut};
use parking_lot::Mutex;

use crate::digest::BLOCK_LEN;

/// Bytes of a large buffer: a huge page.
const LARGE: usize = 8 * BLOCK_LEN;
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
    kept: Mutex<Vec<Memory>>,
}

impl Buffers {
    /// An empty buffer for a body of `len` bytes, if that is known.
    pub(crate) fn take(self: &Arc<Self>, len: Option<u64>) -> Buffer {
        let fits = len.is_some_and(|len| len <= SMALL as u64);
        let more = |large| (!fits && large < MOST_LARGE).then_some(large + 1);
        let is_large = self
            .large
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, more)
            .is_ok();
        let pool = is_large.then(|| Arc::clone(self));
        let kept = pool.as_ref().and_then(|pool| pool.kept.lock().pop());
        let (capacity, alignment) = if is_large {
            (LARGE, LARGE)
        } else {
            (SMALL, ALIGNMENT)
        };
        let memory = kept.unwrap_or_else(|| Memory::new(capacity + alignment));
        Buffer {
            start: memory.as_ptr().align_offset(alignment).min(alignment),
            memory,
            capacity,
            filled: 0,
            pool,
        }
    }
}

enum Memory {
    /// Of the kernel, in huge pages if it has them. What is not touched takes no memory.
    Mapped(MmapMut),
    Heap(Vec<u8>),
}

impl Memory {
    fn new(len: usize) -> Self {
        if len > LARGE
            && let Ok(memory) = MmapMut::map_anon(len)
        {
            // Without huge pages writes are slower, and nothing else.
            let _ = memory.advise(Advice::HugePage);
            return Self::Mapped(memory);
        }
        Self::Heap(vec![0; len])
    }
}

impl Deref for Memory {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match self {
            Self::Mapped(memory) => memory,
            Self::Heap(memory) => memory,
        }
    }
}

impl DerefMut for Memory {
    fn deref_mut(&mut self) -> &mut [u8] {
        match self {
            Self::Mapped(memory) => memory,
            Self::Heap(memory) => memory,
        }
    }
}

/// A buffer that begins at a multiple of [`ALIGNMENT`] and holds some blocks of a body.
pub(crate) struct Buffer {
    memory: Memory,
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
                let memory = Memory::Heap(Vec::new());
                kept.push(std::mem::replace(&mut self.memory, memory));
            }
            drop(kept);
            pool.large.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

/// Whether these bytes begin where a write past the page cache may begin.
pub(crate) fn is_aligned(bytes: &[u8]) -> bool {
    bytes.as_ptr().align_offset(ALIGNMENT) == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn so_many_large_buffers_and_no_more_and_all_are_aligned() {
        let buffers = Arc::<Buffers>::default();
        let mut taken: Vec<_> = (0..=MOST_LARGE).map(|_| buffers.take(None)).collect();
        let mut sizes: Vec<_> = taken.iter_mut().map(|one| one.space().len()).collect();
        assert_eq!(sizes.pop(), Some(SMALL));
        assert!(sizes.iter().all(|size| *size == LARGE));
        assert!(taken.iter().all(|one| is_aligned(one.as_ref())));
        taken.truncate(MOST_LARGE - 1);
        assert_eq!(buffers.take(Some(SMALL as u64)).space().len(), SMALL);
        assert_eq!(buffers.take(Some(SMALL as u64 + 1)).space().len(), LARGE);
    }
}
