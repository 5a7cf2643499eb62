//! The bodies of parts. They do not compress.

use std::cell::OnceCell;

use bytes::Bytes;
use memmap2::{Advice, MmapMut};

/// Bytes that no other seed gives.
#[must_use]
pub fn body(len: usize, seed: u64) -> Bytes {
    let mut bytes = vec![0; len];
    fill(&mut bytes, seed);
    bytes.into()
}

/// What the memory of a body is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pages {
    /// Pages of 4 KiB, as a server has them.
    Ordinary,
    /// Huge pages, where the kernel gives them. A write with `O_DIRECT` then reaches the disk in few pieces.
    Huge,
}

/// The bytes of all parts of a run. They begin at a page, because the floors write with `O_DIRECT`; the store does not
/// care where its bodies lie.
#[derive(Debug)]
pub struct Bodies {
    len: usize,
    ordinary: OnceCell<Bytes>,
    huge: OnceCell<Bytes>,
}

impl Bodies {
    /// So many bytes. Memory is taken when parts of its kind are first asked for.
    #[must_use]
    pub fn new(len: usize) -> Self {
        Self {
            len,
            ordinary: OnceCell::new(),
            huge: OnceCell::new(),
        }
    }

    /// The parts, `part` bytes each. A rest is left out.
    ///
    /// # Panics
    ///
    /// When the kernel has no memory for the bodies.
    pub fn parts(&self, pages: Pages, part: usize) -> Vec<Bytes> {
        let bytes = match pages {
            Pages::Ordinary => self.ordinary.get_or_init(|| ordinary(self.len)),
            Pages::Huge => self.huge.get_or_init(|| huge(self.len)),
        };
        let starts = (0..bytes.len() / part).map(|at| at * part);
        starts.map(|at| bytes.slice(at..at + part)).collect()
    }
}

fn ordinary(len: usize) -> Bytes {
    let memory = MmapMut::map_anon(len).expect("memory");
    // The kernel refuses the advice if it has no huge pages at all.
    let _ = memory.advise(Advice::NoHugePage);
    filled(memory)
}

fn huge(len: usize) -> Bytes {
    const HUGE: usize = 2 << 20;
    let memory = MmapMut::map_anon(len + HUGE).expect("memory");
    // The kernel refuses the advice if it has no huge pages at all.
    let _ = memory.advise(Advice::HugePage);
    let start = memory.as_ptr().align_offset(HUGE);
    filled(memory).slice(start..start + len)
}

fn filled(mut memory: MmapMut) -> Bytes {
    fill(&mut memory, 0);
    Bytes::from_owner(memory)
}

fn fill(bytes: &mut [u8], seed: u64) {
    let mut hasher = blake3::Hasher::new();
    hasher.update(&seed.to_le_bytes());
    hasher.finalize_xof().fill(bytes);
}
