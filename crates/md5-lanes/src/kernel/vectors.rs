//! The compression function for many messages side by side.
//!
//! Different messages do not depend on each other. So AVX2 does a step of eight messages at once, and a second group
//! of eight fills the gaps that the first one leaves.

use std::arch::x86_64::{
    __m256i, _mm256_add_epi32, _mm256_and_si256, _mm256_andnot_si256, _mm256_loadu_si256,
    _mm256_or_si256, _mm256_permute2x128_si256, _mm256_set1_epi32, _mm256_slli_epi32,
    _mm256_srli_epi32, _mm256_storeu_si256, _mm256_unpackhi_epi32, _mm256_unpackhi_epi64,
    _mm256_unpacklo_epi32, _mm256_unpacklo_epi64, _mm256_xor_si256,
};

use super::{Block, SINES, State};

/// A step for `G` groups of eight messages.
macro_rules! step {
    (($v:ident, $x:ident) $round:ident, $a:literal, $b:literal, $c:literal, $d:literal, $w:literal, $s:literal, $t:literal) => {
        let sine = _mm256_set1_epi32(SINES[$s].cast_signed());
        for (v, x) in $v.iter_mut().zip(&$x) {
            let [b, c, d] = [v[$b], v[$c], v[$d]];
            let ready = in_this_order_in_lanes(_mm256_add_epi32(v[$a], _mm256_add_epi32(x[$w], sine)));
            let sum = step!(@$round, ready, b, c, d);
            let left = _mm256_slli_epi32::<$t>(sum);
            let right = _mm256_srli_epi32::<{ 32 - $t }>(sum);
            v[$a] = _mm256_add_epi32(b, _mm256_or_si256(left, right));
        }
    };
    (@f, $ready:ident, $b:ident, $c:ident, $d:ident) => {
        _mm256_add_epi32($ready, _mm256_xor_si256($d, _mm256_and_si256($b, _mm256_xor_si256($c, $d))))
    };
    (@g, $ready:ident, $b:ident, $c:ident, $d:ident) => {
        _mm256_add_epi32($ready, _mm256_or_si256(_mm256_and_si256($b, $d), _mm256_andnot_si256($d, $c)))
    };
    (@h, $ready:ident, $b:ident, $c:ident, $d:ident) => {
        _mm256_add_epi32($ready, _mm256_xor_si256($b, _mm256_xor_si256($c, $d)))
    };
    (@i, $ready:ident, $b:ident, $c:ident, $d:ident) => {{
        let not_d = _mm256_xor_si256($d, _mm256_set1_epi32(-1));
        _mm256_add_epi32($ready, _mm256_xor_si256($c, _mm256_or_si256($b, not_d)))
    }};
}

/// Defines the compression function of `G` groups of eight lanes, compiled for these features. (The compiler
/// knows which instructions the steps come to.)
macro_rules! compress_groups {
    ($name:ident, $features:literal) => {
        #[target_feature(enable = $features)]
        pub(super) fn $name<const G: usize>(lanes: &mut [(&mut State, &[Block])]) {
            let blocks = lanes[0].1.len();
            assert!(lanes.len() <= 8 * G, "more messages than lanes");
            assert!(
                lanes.iter().all(|(_, lane)| lane.len() == blocks),
                "as many blocks of each message"
            );
            // Free lanes hash the first message once more, and the result is dropped.
            let mut inputs: [[&[Block]; 8]; G] = [[lanes[0].1; 8]; G];
            let mut words = [[[0_u32; 8]; 4]; G];
            for (lane, (state, blocks)) in lanes.iter().enumerate() {
                inputs[lane / 8][lane % 8] = blocks;
                for (word, value) in state.iter().enumerate() {
                    words[lane / 8][word][lane % 8] = *value;
                }
            }
            let mut state = [[load(&[0; 8]); 4]; G];
            for (state, words) in state.iter_mut().zip(&words) {
                for (vector, words) in state.iter_mut().zip(words) {
                    *vector = load(words);
                }
            }
            for block in 0..blocks {
                let mut x = [[state[0][0]; 16]; G];
                for (x, inputs) in x.iter_mut().zip(&inputs) {
                    transpose(inputs.map(|lane| &lane[block]), x);
                }
                let mut v = state;
                rounds!(step(v, x));
                for (state, v) in state.iter_mut().zip(&v) {
                    for (before, after) in state.iter_mut().zip(v) {
                        *before = _mm256_add_epi32(*before, *after);
                    }
                }
            }
            for (state, words) in state.iter().zip(&mut words) {
                for (vector, words) in state.iter().zip(words) {
                    store(*vector, words);
                }
            }
            for (lane, (state, _)) in lanes.iter_mut().enumerate() {
                for (word, value) in state.iter_mut().enumerate() {
                    *value = words[lane / 8][word][lane % 8];
                }
            }
        }
    };
}

compress_groups!(compress_avx2, "avx2");
compress_groups!(compress_avx512, "avx2,avx512f,avx512vl");

/// The 16 words of a block of each of eight messages, word by word.
#[target_feature(enable = "avx2")]
#[inline]
fn transpose(blocks: [&Block; 8], x: &mut [__m256i; 16]) {
    for half in 0..2 {
        let mut rows = [x[0]; 8];
        for (row, block) in rows.iter_mut().zip(blocks) {
            *row = load_half(block, half);
        }
        let pairs = [
            _mm256_unpacklo_epi32(rows[0], rows[1]),
            _mm256_unpackhi_epi32(rows[0], rows[1]),
            _mm256_unpacklo_epi32(rows[2], rows[3]),
            _mm256_unpackhi_epi32(rows[2], rows[3]),
            _mm256_unpacklo_epi32(rows[4], rows[5]),
            _mm256_unpackhi_epi32(rows[4], rows[5]),
            _mm256_unpacklo_epi32(rows[6], rows[7]),
            _mm256_unpackhi_epi32(rows[6], rows[7]),
        ];
        let fours = [
            _mm256_unpacklo_epi64(pairs[0], pairs[2]),
            _mm256_unpackhi_epi64(pairs[0], pairs[2]),
            _mm256_unpacklo_epi64(pairs[1], pairs[3]),
            _mm256_unpackhi_epi64(pairs[1], pairs[3]),
            _mm256_unpacklo_epi64(pairs[4], pairs[6]),
            _mm256_unpackhi_epi64(pairs[4], pairs[6]),
            _mm256_unpacklo_epi64(pairs[5], pairs[7]),
            _mm256_unpackhi_epi64(pairs[5], pairs[7]),
        ];
        for word in 0..4 {
            x[8 * half + word] = _mm256_permute2x128_si256::<0x20>(fours[word], fours[word + 4]);
            x[8 * half + word + 4] =
                _mm256_permute2x128_si256::<0x31>(fours[word], fours[word + 4]);
        }
    }
}

/// As `in_this_order` in `scalar`.
#[target_feature(enable = "avx2")]
#[inline]
fn in_this_order_in_lanes(value: __m256i) -> __m256i {
    #[cfg(not(miri))]
    let value = {
        let mut value = value;
        // SAFETY: there is no instruction.
        unsafe {
            std::arch::asm!("/* {0} */", inout(ymm_reg) value, options(pure, nomem, nostack, preserves_flags));
        }
        value
    };
    value
}

#[target_feature(enable = "avx2")]
#[inline]
fn load_half(block: &Block, half: usize) -> __m256i {
    let (halves, _) = block.as_chunks::<32>();
    // SAFETY: the reference has 32 bytes, and the load needs no alignment.
    unsafe { _mm256_loadu_si256(halves[half].as_ptr().cast()) }
}

#[target_feature(enable = "avx2")]
#[inline]
fn load(words: &[u32; 8]) -> __m256i {
    // SAFETY: the reference has 32 bytes, and the load needs no alignment.
    unsafe { _mm256_loadu_si256(words.as_ptr().cast()) }
}

#[target_feature(enable = "avx2")]
#[inline]
fn store(vector: __m256i, words: &mut [u32; 8]) {
    // SAFETY: the reference has 32 bytes, and the store needs no alignment.
    unsafe { _mm256_storeu_si256(words.as_mut_ptr().cast(), vector) }
}
