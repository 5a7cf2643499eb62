//! Memory in which bodies are gathered before they are hashed and written. It is at most what
//! [`Options::body_memory`](crate::Options::body_memory) says, and 8 KiB for each body beyond. Readers have
//! such memory of their own.
//!
//! A body has one buffer at a time. The large buffers are enough to keep the disk busy. Further bodies get
//! small ones. When those are all in use, too, bodies get tiny ones, which are written through the page
//! cache. So neither many bodies nor stalled ones delay others or fill the memory.
//!
//! Used memory is kept for the next body, because new memory from the kernel costs more than the hashing.
//!
//! A large buffer is one huge page, if the kernel gives one. A write past the page cache then hands the
//! disk one piece of memory, not 512 small ones.

use std::ops::{Deref, DerefMut};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use memmap2::{Advice, MmapMut};

use crate::process::Process;
use crate::sync::Mutex;
use crate::values::blocks::{LONG_BLOCK, SHORT_BLOCK};

/// Bytes of a large buffer: a huge page.
const LARGE: usize = 8 * LONG_BLOCK;
/// Bytes of a small buffer, at most.
const SMALL: usize = LONG_BLOCK;
/// A small buffer for a body of at most this length is as long as the body, bytes.
const SHORT: usize = SHORT_BLOCK;
/// Bytes of a tiny buffer, at most.
const TINY: usize = 8 * 1024;
/// How much of an empty buffer a reader is given, bytes.
const FIRST_WINDOW: usize = 16 * 1024;
/// How many large buffers, how many small ones of the greatest length, and how many of a short block are kept
/// while nobody uses them.
const KEPT: usize = 16;

/// A buffer begins at a multiple of this, bytes. The length of a write that bypasses the page cache must be
/// one, too. It is the largest logical block of today's disks.
pub(crate) const ALIGNMENT: usize = 4096;

pub(crate) struct Buffers {
    process: Process,
    /// How many large buffers exist at most: two thirds of the memory.
    most_large: usize,
    /// Bytes of all small buffers, at most: one third.
    most_small: usize,
    /// How many large buffers exist.
    large: AtomicUsize,
    /// Bytes of all small buffers.
    small: AtomicUsize,
    kept_large: Mutex<Vec<Used>>,
    kept_small: Mutex<Vec<Used>>,
    kept_short: Mutex<Vec<Used>>,
}

/// What a buffer counts as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Size {
    Large,
    /// With so many bytes.
    Small(usize),
    /// With so many bytes.
    Tiny(usize),
}

impl Buffers {
    /// Buffers of so many bytes in all.
    pub(crate) fn with(memory: u64) -> Self {
        let third = usize::try_from(memory / 3).unwrap_or(usize::MAX / 4);
        Self {
            process: Process::current(),
            most_large: 2 * third / LARGE,
            most_small: third,
            large: AtomicUsize::default(),
            small: AtomicUsize::default(),
            kept_large: Mutex::default(),
            kept_small: Mutex::default(),
            kept_short: Mutex::default(),
        }
    }

    /// An empty buffer for a body of `len` bytes, if that is known.
    pub(crate) fn buffer_for(self: &Arc<Self>, len: Option<u64>) -> Buffer {
        self.buffer_with(capacity_for(len))
    }

    /// An empty buffer for `len` bytes of a blob.
    pub(crate) fn buffer_of(self: &Arc<Self>, len: usize) -> Buffer {
        self.buffer_with(len.next_multiple_of(ALIGNMENT))
    }

    fn buffer_with(self: &Arc<Self>, needed: usize) -> Buffer {
        let size = self.reserve(needed);
        let (capacity, alignment) = match size {
            Size::Large => (LARGE, LARGE),
            Size::Small(capacity) => (capacity, ALIGNMENT),
            Size::Tiny(capacity) => (capacity, 1),
        };
        let kept = self.kept(size).and_then(|kept| kept.lock().pop());
        // Kept memory is not filled with zeros, because nobody can read bytes that were not filled in anew.
        let Used { memory, used } = kept.unwrap_or_else(|| Used {
            memory: Memory::new(capacity + alignment),
            used: 0,
        });
        Buffer {
            start: memory.as_ptr().align_offset(alignment).min(alignment),
            memory,
            capacity,
            filled: 0,
            used,
            cleaned: 0,
            size,
            pool: Arc::clone(self),
        }
    }

    fn reserve(&self, needed: usize) -> Size {
        let add = |counter: &AtomicUsize, more: usize, most: usize| {
            let sum = |now: usize| Some(now + more).filter(|sum| *sum <= most);
            counter
                .fetch_update(Ordering::Relaxed, Ordering::Relaxed, sum)
                .is_ok()
        };
        if needed > SMALL && add(&self.large, 1, self.most_large) {
            return Size::Large;
        }
        let small = if needed > SHORT { SMALL } else { needed };
        if add(&self.small, small, self.most_small) {
            return Size::Small(small);
        }
        Size::Tiny(needed.min(TINY))
    }

    /// The place where memory of this size waits for the next body.
    fn kept(&self, size: Size) -> Option<&Mutex<Vec<Used>>> {
        match size {
            Size::Large => Some(&self.kept_large),
            Size::Small(SMALL) => Some(&self.kept_small),
            Size::Small(SHORT) => Some(&self.kept_short),
            Size::Small(_) | Size::Tiny(_) => None,
        }
    }
}

/// The length of buffer that a body would like, bytes. A buffer for a whole body has one byte more, so that
/// the body's end is met before a second buffer is taken.
fn capacity_for(len: Option<u64>) -> usize {
    match len.map(usize::try_from) {
        Some(Ok(len)) if len < SMALL => (len + 1).next_multiple_of(ALIGNMENT),
        Some(Ok(SMALL)) => SMALL,
        _ => LARGE,
    }
}

/// Memory that a buffer had.
struct Used {
    memory: Memory,
    /// The first so many bytes of the buffer may be a body's.
    used: usize,
}

enum Memory {
    /// Memory from the kernel, in huge pages if it has them. Bytes that are not touched use no memory.
    Mapped(MmapMut),
    Heap(Vec<u8>),
}

impl Memory {
    fn new(len: usize) -> Self {
        if len > LARGE
            && let Ok(memory) = MmapMut::map_anon(len)
        {
            // Without huge pages writes are only slower.
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
    /// Behind this place the buffer has no bytes of other bodies.
    used: usize,
    /// Before this place the buffer has none, either.
    cleaned: usize,
    size: Size,
    /// The pool to which the memory returns.
    pool: Arc<Buffers>,
}

impl Buffer {
    /// Whether it begins where a write past the page cache may begin, and is long enough to be worth one.
    pub(crate) fn is_direct(&self) -> bool {
        !matches!(self.size, Size::Tiny(_))
    }

    /// The part that is not filled yet.
    pub(crate) fn space(&mut self) -> &mut [u8] {
        let (from, to) = (self.start + self.filled, self.start + self.capacity);
        self.memory.get_mut(from..to).unwrap_or_default()
    }

    /// Some of the space, without bytes of other bodies. It is for a reader, which may fill less than it
    /// claims. It grows with what is filled, so a short body needs few zeros.
    pub(crate) fn window(&mut self) -> &mut [u8] {
        let len = self.filled.max(FIRST_WINDOW);
        let to = self.capacity.min(self.filled + len);
        let (zeros, others) = (self.cleaned.max(self.filled), self.used.min(to));
        let start = self.start;
        if let Some(others) = self.memory.get_mut(start + zeros..start + others) {
            others.fill(0);
        }
        self.cleaned = self.cleaned.max(to);
        let window = start + self.filled..start + to;
        self.memory.get_mut(window).unwrap_or_default()
    }

    /// Marks the first `len` bytes of the space as filled.
    pub(crate) fn fill(&mut self, len: usize) {
        self.filled = (self.filled + len).min(self.capacity);
    }

    /// Fills in as many bytes as fit, and returns how many.
    pub(crate) fn fill_from(&mut self, bytes: &[u8]) -> usize {
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

    /// Returns the filled bytes, which can be shared. The memory returns to the pool when nobody has them
    /// any more.
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
        // In a forked child a thread that does not exist there may have the lock.
        if self.pool.process.is_another() {
            return;
        }
        if let Some(kept) = self.pool.kept(self.size) {
            let mut kept = kept.lock();
            if kept.len() < KEPT {
                let nothing = Memory::Heap(Vec::new());
                kept.push(Used {
                    memory: std::mem::replace(&mut self.memory, nothing),
                    used: self.used.max(self.filled).max(self.cleaned),
                });
            }
        }
        match self.size {
            Size::Large => self.pool.large.fetch_sub(1, Ordering::Relaxed),
            Size::Small(len) => self.pool.small.fetch_sub(len, Ordering::Relaxed),
            Size::Tiny(_) => 0,
        };
    }
}

/// Whether these bytes begin where a write past the page cache may begin.
pub(crate) fn is_aligned(bytes: &[u8]) -> bool {
    bytes.as_ptr().align_offset(ALIGNMENT) == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn len(buffer: &mut Buffer) -> usize {
        buffer.space().len()
    }

    #[test]
    fn all_buffers_together_are_bounded_and_nobody_waits() {
        let buffers = Arc::new(Buffers::with(192 << 20));
        let mut taken: Vec<_> = (0..1000).map(|_| buffers.buffer_for(None)).collect();
        let mut count = |size| {
            taken
                .iter_mut()
                .filter_map(|one| (len(one) == size).then_some(()))
                .count()
        };
        assert_eq!([LARGE, SMALL, TINY].map(&mut count), [64, 256, 680]);
        let direct = |one: &&Buffer| one.is_direct();
        assert_eq!(taken.iter().filter(direct).count(), 64 + 256);
        assert!(
            taken
                .iter()
                .filter(direct)
                .all(|one| is_aligned(one.as_ref()))
        );
        assert_eq!(
            len(&mut buffers.buffer_for(Some(10))),
            ALIGNMENT,
            "as short as it"
        );
        drop(taken.split_off(63));
        assert_eq!(len(&mut buffers.buffer_for(Some(SMALL as u64))), SMALL);
        assert_eq!(len(&mut buffers.buffer_for(Some(SMALL as u64 + 1))), LARGE);
        drop(taken);
        assert_eq!(buffers.large.load(Ordering::Relaxed), 0);
        assert_eq!(buffers.small.load(Ordering::Relaxed), 0);
        assert_eq!(buffers.kept_large.lock().len(), KEPT);
        assert_eq!(buffers.kept_small.lock().len(), KEPT);
    }

    #[test]
    fn less_memory_is_fewer_buffers() {
        let buffers = Arc::new(Buffers::with(12 << 20));
        let mut taken: Vec<_> = (0..100).map(|_| buffers.buffer_for(None)).collect();
        let lens: Vec<_> = taken.iter_mut().map(len).collect();
        let count = |size| lens.iter().filter(|len| **len == size).count();
        assert_eq!([LARGE, SMALL, TINY].map(count), [4, 16, 80]);
    }

    /// Whatever bytes a body left, even beyond those it claimed, no window of another body shows them.
    #[test]
    fn a_window_shows_no_bytes_of_other_bodies() {
        let buffers = Arc::new(Buffers::with(192 << 20));
        for (mark, reads) in (1..).zip([10_000, 1, 100_000, 3000, SMALL, 5]) {
            let mut buffer = buffers.buffer_for(None);
            let mut own = 0;
            while own < LARGE / 2 {
                let window = buffer.window();
                assert!(window.iter().all(|byte| [0, mark].contains(byte)), "{mark}");
                assert!(!window.is_empty());
                window.fill(mark);
                let claimed = reads.min(window.len());
                buffer.fill(claimed);
                own += claimed.max(LARGE / 16);
            }
        }
        let mut buffer = buffers.buffer_for(None);
        assert!(buffer.fill_from(&[9; 100]) == 100 && buffer.window()[0] == 0);
        assert_eq!(buffer.as_ref(), [9; 100]);
    }

    #[test]
    fn a_short_body_takes_no_more_than_it_needs() {
        let buffers = Arc::new(Buffers::with(192 << 20));
        for (body, expected) in [(0, 4096), (4095, 4096), (4096, 8192), (SHORT as u64, SMALL)] {
            let mut buffer = buffers.buffer_for(Some(body));
            assert_eq!(len(&mut buffer), expected);
            assert!(buffer.is_direct() && is_aligned(buffer.as_ref()));
        }
    }
}
