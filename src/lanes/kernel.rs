//! The MD5 compression function (RFC 1321, 3.4) for one message and for many side by side.
//!
//! One message is a chain of dependent steps: however wide the processor is, it waits. Different
//! messages do not depend on each other, so the same step of eight of them is one AVX2
//! instruction, and two such groups fill the gaps that one leaves.
//!
//! The only module with unsafe code: the loads of vectors, the calls of functions that need AVX2,
//! and an empty assembly line that keeps the compiler from reordering additions.

#![cfg_attr(
    target_arch = "x86_64",
    expect(
        unsafe_code,
        reason = "SIMD loads and calls; each place says why it is sound"
    )
)]
#![expect(
    clippy::indexing_slicing,
    reason = "arrays of fixed size, at the places that the steps spell out"
)]

#[cfg(target_arch = "x86_64")]
use std::arch::x86_64::{
    __m256i, _mm256_add_epi32, _mm256_and_si256, _mm256_andnot_si256, _mm256_loadu_si256,
    _mm256_or_si256, _mm256_permute2x128_si256, _mm256_set1_epi32, _mm256_slli_epi32,
    _mm256_srli_epi32, _mm256_storeu_si256, _mm256_unpackhi_epi32, _mm256_unpackhi_epi64,
    _mm256_unpacklo_epi32, _mm256_unpacklo_epi64, _mm256_xor_si256,
};

/// The chaining value A, B, C, D.
pub(super) type State = [u32; 4];

/// The chaining value before the first block.
pub(super) const START: State = [0x6745_2301, 0xefcd_ab89, 0x98ba_dcfe, 0x1032_5476];

/// What one call of the compression function takes.
pub(super) type Block = [u8; 64];

/// How many messages [`compress_many`] takes at once.
pub(super) const LANES: usize = 16;

/// `floor(2^32 * abs(sin(i + 1)))`.
const SINES: [u32; 64] = [
    0xd76a_a478,
    0xe8c7_b756,
    0x2420_70db,
    0xc1bd_ceee,
    0xf57c_0faf,
    0x4787_c62a,
    0xa830_4613,
    0xfd46_9501,
    0x6980_98d8,
    0x8b44_f7af,
    0xffff_5bb1,
    0x895c_d7be,
    0x6b90_1122,
    0xfd98_7193,
    0xa679_438e,
    0x49b4_0821,
    0xf61e_2562,
    0xc040_b340,
    0x265e_5a51,
    0xe9b6_c7aa,
    0xd62f_105d,
    0x0244_1453,
    0xd8a1_e681,
    0xe7d3_fbc8,
    0x21e1_cde6,
    0xc337_07d6,
    0xf4d5_0d87,
    0x455a_14ed,
    0xa9e3_e905,
    0xfcef_a3f8,
    0x676f_02d9,
    0x8d2a_4c8a,
    0xfffa_3942,
    0x8771_f681,
    0x6d9d_6122,
    0xfde5_380c,
    0xa4be_ea44,
    0x4bde_cfa9,
    0xf6bb_4b60,
    0xbebf_bc70,
    0x289b_7ec6,
    0xeaa1_27fa,
    0xd4ef_3085,
    0x0488_1d05,
    0xd9d4_d039,
    0xe6db_99e5,
    0x1fa2_7cf8,
    0xc4ac_5665,
    0xf429_2244,
    0x432a_ff97,
    0xab94_23a7,
    0xfc93_a039,
    0x655b_59c3,
    0x8f0c_cc92,
    0xffef_f47d,
    0x8584_5dd1,
    0x6fa8_7e4f,
    0xfe2c_e6e0,
    0xa301_4314,
    0x4e08_11a1,
    0xf753_7e82,
    0xbd3a_f235,
    0x2ad7_d2bb,
    0xeb86_d391,
];

/// Spells out the 64 steps: `$step` is a macro that takes the round, the rotation of A, B, C and D,
/// the word, the sine, and the distance of the rotation.
macro_rules! rounds {
    ($step:ident) => {
        rounds!(@round $step f [7 12 17 22] [0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15] [0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15]);
        rounds!(@round $step g [5 9 14 20] [1 6 11 0 5 10 15 4 9 14 3 8 13 2 7 12] [16 17 18 19 20 21 22 23 24 25 26 27 28 29 30 31]);
        rounds!(@round $step h [4 11 16 23] [5 8 11 14 1 4 7 10 13 0 3 6 9 12 15 2] [32 33 34 35 36 37 38 39 40 41 42 43 44 45 46 47]);
        rounds!(@round $step i [6 10 15 21] [0 7 14 5 12 3 10 1 8 15 6 13 4 11 2 9] [48 49 50 51 52 53 54 55 56 57 58 59 60 61 62 63]);
    };
    (@round $step:ident $round:ident $turns:tt
        [$w0:literal $w1:literal $w2:literal $w3:literal $($words:literal)*]
        [$s0:literal $s1:literal $s2:literal $s3:literal $($sines:literal)*]) => {
        rounds!(@four $step $round $turns [$w0 $w1 $w2 $w3] [$s0 $s1 $s2 $s3]);
        rounds!(@round $step $round $turns [$($words)*] [$($sines)*]);
    };
    (@round $step:ident $round:ident $turns:tt [] []) => {};
    (@four $step:ident $round:ident [$t0:literal $t1:literal $t2:literal $t3:literal]
        [$w0:literal $w1:literal $w2:literal $w3:literal] [$s0:literal $s1:literal $s2:literal $s3:literal]) => {
        $step!($round, 0, 1, 2, 3, $w0, $s0, $t0);
        $step!($round, 3, 0, 1, 2, $w1, $s1, $t1);
        $step!($round, 2, 3, 0, 1, $w2, $s2, $t2);
        $step!($round, 1, 2, 3, 0, $w3, $s3, $t3);
    };
}

/// Takes blocks of one message: a third faster than the plain form, in which the compiler chooses the
/// order of the additions.
pub(super) fn compress_one(state: &mut State, blocks: &[Block]) {
    for block in blocks {
        let (words, _) = block.as_chunks();
        let mut x = [0; 16];
        for (word, bytes) in x.iter_mut().zip(words) {
            *word = u32::from_le_bytes(*bytes);
        }
        let mut v = *state;
        // B is what the step before gave: whatever does not need it is added up before.
        macro_rules! step {
            (f, $a:literal, $b:literal, $c:literal, $d:literal, $w:literal, $s:literal, $t:literal) => {
                let ready = in_this_order(v[$a].wrapping_add(x[$w]).wrapping_add(SINES[$s]));
                let sum = ready.wrapping_add(v[$d] ^ (v[$b] & (v[$c] ^ v[$d])));
                v[$a] = v[$b].wrapping_add(sum.rotate_left($t));
            };
            (g, $a:literal, $b:literal, $c:literal, $d:literal, $w:literal, $s:literal, $t:literal) => {
                let ready = v[$a].wrapping_add(x[$w]).wrapping_add(SINES[$s]);
                let ready = in_this_order(ready.wrapping_add(v[$c] & !v[$d]));
                let sum = ready.wrapping_add(v[$b] & v[$d]);
                v[$a] = v[$b].wrapping_add(sum.rotate_left($t));
            };
            (h, $a:literal, $b:literal, $c:literal, $d:literal, $w:literal, $s:literal, $t:literal) => {
                let ready = in_this_order(v[$a].wrapping_add(x[$w]).wrapping_add(SINES[$s]));
                let sum = ready.wrapping_add(v[$b] ^ in_this_order(v[$c] ^ v[$d]));
                v[$a] = v[$b].wrapping_add(sum.rotate_left($t));
            };
            (i, $a:literal, $b:literal, $c:literal, $d:literal, $w:literal, $s:literal, $t:literal) => {
                let ready = in_this_order(v[$a].wrapping_add(x[$w]).wrapping_add(SINES[$s]));
                let sum = ready.wrapping_add(v[$c] ^ (v[$b] | !v[$d]));
                v[$a] = v[$b].wrapping_add(sum.rotate_left($t));
            };
        }
        rounds!(step);
        for (word, after) in state.iter_mut().zip(v) {
            *word = word.wrapping_add(after);
        }
    }
}

/// `value`, computed before what comes next: left to itself the compiler adds in an order that makes
/// the chain of dependent steps longer.
#[inline]
fn in_this_order(value: u32) -> u32 {
    #[cfg(all(target_arch = "x86_64", not(miri)))]
    let value = {
        let mut value = value;
        // SAFETY: there is no instruction.
        unsafe {
            std::arch::asm!("/* {0:e} */", inout(reg) value, options(pure, nomem, nostack, preserves_flags));
        }
        value
    };
    value
}

/// Whether [`compress_many`] works on this processor.
pub(super) fn has_lanes() -> bool {
    #[cfg(target_arch = "x86_64")]
    return std::arch::is_x86_feature_detected!("avx2");
    #[cfg(not(target_arch = "x86_64"))]
    false
}

/// Takes equally many blocks of each of up to [`LANES`] messages.
///
/// # Panics
/// Without AVX2 ([`has_lanes`]), and when there are more messages than lanes or they differ in length.
pub(super) fn compress_many(lanes: &mut [(&mut State, &[Block])]) {
    #[cfg(target_arch = "x86_64")]
    {
        assert!(has_lanes(), "asked before");
        // SAFETY: the processor has AVX2.
        match lanes.len() {
            0 => {}
            1..=8 => unsafe { compress_groups::<1>(lanes) },
            _ => unsafe { compress_groups::<2>(lanes) },
        }
    }
    #[cfg(not(target_arch = "x86_64"))]
    panic!("{} lanes without AVX2", lanes.len());
}

/// `G` groups of eight lanes.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
fn compress_groups<const G: usize>(lanes: &mut [(&mut State, &[Block])]) {
    let blocks = lanes[0].1.len();
    assert!(lanes.len() <= 8 * G, "more messages than lanes");
    assert!(
        lanes.iter().all(|(_, lane)| lane.len() == blocks),
        "as many blocks of each message"
    );
    // Lanes that are left hash the first message once more, for nobody.
    let mut inputs: [[&[Block]; 8]; G] = [[lanes[0].1; 8]; G];
    let mut words = [[[0_u32; 8]; 4]; G];
    for (lane, (state, blocks)) in lanes.iter().enumerate() {
        inputs[lane / 8][lane % 8] = blocks;
        for (word, value) in state.iter().enumerate() {
            words[lane / 8][word][lane % 8] = *value;
        }
    }
    let mut state = [[load(&[0; 8]); 4]; G];
    for group in 0..G {
        for word in 0..4 {
            state[group][word] = load(&words[group][word]);
        }
    }
    for block in 0..blocks {
        let mut x = [[state[0][0]; 16]; G];
        for group in 0..G {
            transpose(inputs[group].map(|lane| &lane[block]), &mut x[group]);
        }
        let mut v = state;
        macro_rules! step {
            ($round:ident, $a:literal, $b:literal, $c:literal, $d:literal, $w:literal, $s:literal, $t:literal) => {
                let sine = _mm256_set1_epi32(SINES[$s].cast_signed());
                for group in 0..G {
                    let [b, c, d] = [v[group][$b], v[group][$c], v[group][$d]];
                    let ready = _mm256_add_epi32(v[group][$a], _mm256_add_epi32(x[group][$w], sine));
                    let sum = step!(@$round, ready, b, c, d);
                    let left = _mm256_slli_epi32::<$t>(sum);
                    let right = _mm256_srli_epi32::<{ 32 - $t }>(sum);
                    v[group][$a] = _mm256_add_epi32(b, _mm256_or_si256(left, right));
                }
            };
            (@f, $ready:ident, $b:ident, $c:ident, $d:ident) => {
                _mm256_add_epi32($ready, _mm256_xor_si256($d, _mm256_and_si256($b, _mm256_xor_si256($c, $d))))
            };
            (@g, $ready:ident, $b:ident, $c:ident, $d:ident) => {
                _mm256_add_epi32(
                    _mm256_add_epi32($ready, _mm256_andnot_si256($d, $c)),
                    _mm256_and_si256($b, $d),
                )
            };
            (@h, $ready:ident, $b:ident, $c:ident, $d:ident) => {
                _mm256_add_epi32($ready, _mm256_xor_si256($b, _mm256_xor_si256($c, $d)))
            };
            (@i, $ready:ident, $b:ident, $c:ident, $d:ident) => {{
                let not_d = _mm256_xor_si256($d, _mm256_set1_epi32(-1));
                _mm256_add_epi32($ready, _mm256_xor_si256($c, _mm256_or_si256($b, not_d)))
            }};
        }
        rounds!(step);
        for group in 0..G {
            for word in 0..4 {
                state[group][word] = _mm256_add_epi32(state[group][word], v[group][word]);
            }
        }
    }
    for group in 0..G {
        for word in 0..4 {
            store(state[group][word], &mut words[group][word]);
        }
    }
    for (lane, (state, _)) in lanes.iter_mut().enumerate() {
        for (word, value) in state.iter_mut().enumerate() {
            *value = words[lane / 8][word][lane % 8];
        }
    }
}

/// The 16 words of a block of each of eight messages, word by word.
#[cfg(target_arch = "x86_64")]
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

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
#[inline]
fn load_half(block: &Block, half: usize) -> __m256i {
    let (halves, _) = block.as_chunks::<32>();
    // SAFETY: 32 bytes are there, at any alignment.
    unsafe { _mm256_loadu_si256(halves[half].as_ptr().cast()) }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
#[inline]
fn load(words: &[u32; 8]) -> __m256i {
    // SAFETY: 32 bytes are there, at any alignment.
    unsafe { _mm256_loadu_si256(words.as_ptr().cast()) }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
#[inline]
fn store(vector: __m256i, words: &mut [u32; 8]) {
    // SAFETY: there is room for 32 bytes, at any alignment.
    unsafe { _mm256_storeu_si256(words.as_mut_ptr().cast(), vector) }
}
