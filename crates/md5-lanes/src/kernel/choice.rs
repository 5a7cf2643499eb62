//! Which way of hashing some messages side by side is the fastest on this processor.
//!
//! Processors differ. A step in vectors takes less time than one in ordinary instructions on some, and twice as long
//! on others. So it is measured, once in a process.

use std::hint::black_box;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use super::{Block, LANES, START, State, scalar, vectors};

/// A way of hashing some messages side by side.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Way {
    Scalar,
    Avx2,
    Avx512,
}

/// The ways that this processor has for `count` messages, the widest vectors first. None without AVX2.
pub(crate) fn ways(count: usize) -> Vec<Way> {
    let mut ways = Vec::new();
    if !super::has_lanes() {
        return ways;
    }
    if std::arch::is_x86_feature_detected!("avx512f")
        && std::arch::is_x86_feature_detected!("avx512vl")
    {
        ways.push(Way::Avx512);
    }
    ways.push(Way::Avx2);
    if count <= scalar::MOST {
        ways.push(Way::Scalar);
    }
    ways
}

/// The fastest way for `count` messages. The processor has AVX2.
///
/// For more than [`scalar::MOST`] these are the widest vectors: each takes as long whether it is full or not.
pub(super) fn fastest(count: usize) -> Way {
    static BY_COUNT: OnceLock<[Way; scalar::MOST + 1]> = OnceLock::new();
    let by_count = BY_COUNT.get_or_init(|| {
        let widest = ways(LANES).first().copied().unwrap_or(Way::Scalar);
        let of = |count| {
            if count <= scalar::MOST && scalar_is_faster(count, widest) {
                Way::Scalar
            } else {
                widest
            }
        };
        std::array::from_fn(|before| of(before + 1))
    });
    by_count[count.clamp(1, by_count.len()) - 1]
}

/// Whether `count` messages are hashed faster without vectors, by a tenth at least. What interrupts the processor meets
/// both ways, since they take turns, and only the fastest turn of each counts. Under Miri no time is measured.
fn scalar_is_faster(count: usize, vectors: Way) -> bool {
    const TURNS: usize = 6;
    if cfg!(miri) {
        return false;
    }
    let mut best = [Duration::MAX; 2];
    for _ in 0..TURNS {
        for (best, way) in best.iter_mut().zip([Way::Scalar, vectors]) {
            *best = way.time(count).min(*best);
        }
    }
    let [scalar, vectors] = best;
    scalar < vectors * 9 / 10
}

impl Way {
    /// Hashes equally many blocks of each message.
    ///
    /// # Panics
    /// When there are more messages than it takes, or they differ in length.
    pub(crate) fn compress(self, lanes: &mut [(&mut State, &[Block])]) {
        // SAFETY: the processor has what each of them is compiled for: [`ways`] has asked, and nothing else makes a way
        // with vectors.
        match (self, lanes.len()) {
            (_, 0) => {}
            (Self::Scalar, 1) => scalar::compress::<1>(lanes),
            (Self::Scalar, 2) => scalar::compress::<2>(lanes),
            (Self::Scalar, 3) => scalar::compress::<3>(lanes),
            (Self::Scalar, _) => scalar::compress::<{ scalar::MOST }>(lanes),
            (Self::Avx2, 1..=8) => unsafe { vectors::compress_avx2::<1>(lanes) },
            (Self::Avx2, _) => unsafe { vectors::compress_avx2::<2>(lanes) },
            (Self::Avx512, 1..=8) => unsafe { vectors::compress_avx512::<1>(lanes) },
            (Self::Avx512, _) => unsafe { vectors::compress_avx512::<2>(lanes) },
        }
    }

    /// How long it takes for some blocks of `count` messages, this time.
    fn time(self, count: usize) -> Duration {
        const BLOCKS: usize = 32;
        let blocks = black_box([[0; 64]; BLOCKS]);
        let mut states = vec![START; count];
        let mut lanes: Vec<(&mut State, &[Block])> = states
            .iter_mut()
            .map(|state| (state, &blocks[..]))
            .collect();
        let began = Instant::now();
        self.compress(black_box(&mut lanes));
        began.elapsed()
    }
}
