//! Fills a store and says how fast it was.

use std::fmt;
use std::path::Path;
use std::sync::Barrier;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use bytes::Bytes;
use memmap2::{Advice, MmapMut};

use crate::peers::{PEERS, Peer};

#[derive(Clone, Copy, Debug)]
pub struct Case {
    /// Bytes of a part.
    pub part: usize,
    pub streams: usize,
}

impl fmt::Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} MiB × {}", self.part >> 20, self.streams)
    }
}

/// Has a fresh store take all parts, from so many threads; bytes a second, 10^9.
pub fn run(base: &Path, peer: &Peer, case: Case, bodies: &Bytes) -> f64 {
    let dir = tempfile::tempdir_in(base).expect("a directory");
    let parts: Vec<Bytes> = (0..bodies.len() / case.part)
        .map(|at| bodies.slice(at * case.part..(at + 1) * case.part))
        .collect();
    let store = (peer.open)(dir.path());
    // What earlier runs left to the kernel is not written during this one.
    rustix::fs::sync();
    let next = AtomicUsize::new(0);
    let start = Barrier::new(case.streams);
    let started = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..case.streams)
            .map(|_| {
                scope.spawn(|| {
                    start.wait();
                    let started = Instant::now();
                    loop {
                        let at = next.fetch_add(1, Ordering::Relaxed);
                        let Some(part) = parts.get(at) else {
                            return started;
                        };
                        store.put(u32::try_from(at + 1).expect("a number"), part);
                    }
                })
            })
            .collect();
        let joined = threads.into_iter().map(|run| run.join().expect("a thread"));
        joined.min().expect("a stream")
    });
    let elapsed = started.elapsed();
    drop(store);
    dir.close().expect("nobody else writes there");
    #[expect(clippy::cast_precision_loss, reason = "a figure for people")]
    let bytes = (parts.len() * case.part) as f64;
    bytes / elapsed.as_secs_f64() / 1e9
}

/// A first run of everything that touches memory and disk: pages that were never used cost more than
/// those that were.
pub fn warm_up(base: &Path, bodies: &Bytes) {
    let case = Case {
        part: 8 << 20,
        streams: 4,
    };
    for peer in &PEERS {
        run(base, peer, case, bodies);
    }
}

/// Bytes of which all parts are slices, none like another, and none that compress. They lie in huge
/// pages, where the kernel gives them, which is what suits the `O_DIRECT` of the floor best.
pub fn bodies(len: usize) -> Bytes {
    const HUGE: usize = 2 << 20;
    let mut memory = MmapMut::map_anon(len + HUGE).expect("memory");
    // Refused where there are none.
    let _ = memory.advise(Advice::HugePage);
    let start = memory.as_ptr().align_offset(HUGE);
    blake3::Hasher::new().finalize_xof().fill(&mut memory);
    Bytes::from_owner(memory).slice(start..start + len)
}
