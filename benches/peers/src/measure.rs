//! Fills a store and says how fast it was.

use std::fmt;
use std::path::Path;

use bytes::Bytes;

use crate::peers::{PEERS, Peer};
use crate::streams;

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
    let parts = streams::split(bodies, case.part);
    let store = (peer.open)(dir.path());
    // What earlier runs left to the kernel is not written during this one.
    rustix::fs::sync();
    let elapsed = streams::take_all(&parts, case.streams, |number, part| store.put(number, part));
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
