//! Which way of hashing some messages side by side is the fastest on this processor.
//!
//! Processors differ. A step in vectors takes less time than one in ordinary instructions on some, and twice as long
//! on others. So it is measured, once in a process.

use std::hint::black_box;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use super::{Block, START, State, scalar, vectors};

/// A way of hashing some messages side by side.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Way {
    Scalar,
    Avx2,
    Avx512,
}

/// All ways that this processor has for `count` messages. It has AVX2.
pub(crate) fn ways(count: usize) -> Vec<Way> {
    let has_avx512 = std::arch::is_x86_feature_detected!("avx512f")
        && std::arch::is_x86_feature_detected!("avx512vl");
    let mut ways = vec![Way::Avx2];
    if has_avx512 {
        ways.push(Way::Avx512);
    }
    if count <= scalar::MOST {
        ways.push(Way::Scalar);
    }
    ways
}

/// The fastest way for `count` messages.
pub(super) fn fastest(count: usize) -> Way {
    static FASTEST: OnceLock<[Way; scalar::MOST + 1]> = OnceLock::new();
    let by_count = FASTEST.get_or_init(|| std::array::from_fn(|few| measured(few + 1)));
    // For many messages the vectors stay the fastest way, and each vector takes as long when it is full.
    by_count[count.clamp(1, by_count.len()) - 1]
}

fn measured(count: usize) -> Way {
    let ways = ways(count).into_iter();
    let fastest = if cfg!(miri) {
        ways.last()
    } else {
        ways.min_by_key(|way| way.time(count))
    };
    fastest.unwrap_or(Way::Avx2)
}

impl Way {
    /// Hashes equally many blocks of each message.
    ///
    /// # Panics
    /// When there are more messages than it takes, or they differ in length.
    pub(crate) fn compress(self, lanes: &mut [(&mut State, &[Block])]) {
        // SAFETY: the processor has what each of them is compiled for. [`ways`] has asked.
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

    /// How long it takes for some blocks of `count` messages, if nobody interrupts it.
    fn time(self, count: usize) -> Duration {
        const BLOCKS: usize = 32;
        const TIMES: usize = 6;
        let blocks = black_box([[0; 64]; BLOCKS]);
        let mut states = vec![START; count];
        let mut lanes: Vec<(&mut State, &[Block])> = states
            .iter_mut()
            .map(|state| (state, &blocks[..]))
            .collect();
        let once = || {
            let began = Instant::now();
            self.compress(black_box(&mut lanes));
            began.elapsed()
        };
        std::iter::repeat_with(once)
            .take(TIMES)
            .min()
            .unwrap_or_default()
    }
}
