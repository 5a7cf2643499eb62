//! So many parts at a time.

use std::sync::Barrier;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use memmap2::{Advice, MmapMut};

/// Has `take` take each part, with its number, from so many threads. Gives the time from the first thread's
/// start to the last one's end.
pub fn take_all(parts: &[Bytes], streams: usize, take: impl Fn(u32, &Bytes) + Sync) -> Duration {
    let next = AtomicUsize::new(0);
    let start = Barrier::new(streams);
    let started = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..streams)
            .map(|_| {
                scope.spawn(|| {
                    start.wait();
                    let started = Instant::now();
                    loop {
                        let at = next.fetch_add(1, Ordering::Relaxed);
                        let Some(part) = parts.get(at) else {
                            return started;
                        };
                        take(u32::try_from(at + 1).expect("a number"), part);
                    }
                })
            })
            .collect();
        let joined = threads.into_iter().map(|run| run.join().expect("a thread"));
        joined.min().expect("a stream")
    });
    started.elapsed()
}

/// The parts of so many bytes.
pub fn split(bytes: &Bytes, len: usize) -> Vec<Bytes> {
    (0..bytes.len() / len)
        .map(|at| bytes.slice(at * len..(at + 1) * len))
        .collect()
}

/// Bytes that do not compress. They lie in huge pages, where the kernel gives them, which is what suits the
/// `O_DIRECT` of the floors best.
pub fn in_huge_pages(len: usize) -> Bytes {
    const HUGE: usize = 2 << 20;
    let memory = MmapMut::map_anon(len + HUGE).expect("memory");
    // Refused where there are none.
    let _ = memory.advise(Advice::HugePage);
    let start = memory.as_ptr().align_offset(HUGE);
    filled(memory).slice(start..start + len)
}

/// The memory, filled with the same bytes each time.
pub fn filled(mut memory: MmapMut) -> Bytes {
    blake3::Hasher::new().finalize_xof().fill(&mut memory);
    Bytes::from_owner(memory)
}
