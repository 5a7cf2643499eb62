//! The MD5 compression function (RFC 1321, 3.4) for one message and for many side by side.
//!
//! One message is a chain of dependent steps: a processor waits for each, however wide it is. Different
//! messages do not depend on each other. So AVX2 does a step of eight messages at once, and a second group
//! of eight fills the gaps that the first one leaves.
//!
//! This is the only module with unsafe code: loads and stores of vectors, calls of functions that need AVX2,
//! and an empty line of assembly that keeps the compiler from reordering additions.

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
pub(crate) type State = [u32; 4];

/// The chaining value before the first block.
pub(crate) const START: State = [0x6745_2301, 0xefcd_ab89, 0x98ba_dcfe, 0x1032_5476];

/// The input of one call of the compression function.
pub(crate) type Block = [u8; 64];

/// How many messages [`compress_many`] takes at once.
pub(crate) const LANES: usize = 16;

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

/// Spells out the 64 steps: `$step` is a macro that takes the variables it works on, the round, the rotation
/// of A, B, C and D, the word, the sine, and the distance of the rotation.
macro_rules! rounds {
    ($step:ident $on:tt) => {
        rounds!(@round $step $on f [7 12 17 22] [0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15] [0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15]);
        rounds!(@round $step $on g [5 9 14 20] [1 6 11 0 5 10 15 4 9 14 3 8 13 2 7 12] [16 17 18 19 20 21 22 23 24 25 26 27 28 29 30 31]);
        rounds!(@round $step $on h [4 11 16 23] [5 8 11 14 1 4 7 10 13 0 3 6 9 12 15 2] [32 33 34 35 36 37 38 39 40 41 42 43 44 45 46 47]);
        rounds!(@round $step $on i [6 10 15 21] [0 7 14 5 12 3 10 1 8 15 6 13 4 11 2 9] [48 49 50 51 52 53 54 55 56 57 58 59 60 61 62 63]);
    };
    (@round $step:ident $on:tt $round:ident $turns:tt
        [$w0:literal $w1:literal $w2:literal $w3:literal $($words:literal)*]
        [$s0:literal $s1:literal $s2:literal $s3:literal $($sines:literal)*]) => {
        rounds!(@four $step $on $round $turns [$w0 $w1 $w2 $w3] [$s0 $s1 $s2 $s3]);
        rounds!(@round $step $on $round $turns [$($words)*] [$($sines)*]);
    };
    (@round $step:ident $on:tt $round:ident $turns:tt [] []) => {};
    (@four $step:ident $on:tt $round:ident [$t0:literal $t1:literal $t2:literal $t3:literal]
        [$w0:literal $w1:literal $w2:literal $w3:literal] [$s0:literal $s1:literal $s2:literal $s3:literal]) => {
        $step!($on $round, 0, 1, 2, 3, $w0, $s0, $t0);
        $step!($on $round, 3, 0, 1, 2, $w1, $s1, $t1);
        $step!($on $round, 2, 3, 0, 1, $w2, $s2, $t2);
        $step!($on $round, 1, 2, 3, 0, $w3, $s3, $t3);
    };
}

/// A step for one message. B comes from the step before, so all that does not need B is added up first.
macro_rules! one_step {
    (($v:ident, $x:ident) $round:ident, $a:literal, $b:literal, $c:literal, $d:literal, $w:literal, $s:literal, $t:literal) => {
        let [b, c, d] = [$v[$b], $v[$c], $v[$d]];
        let ready = $v[$a].wrapping_add($x[$w]).wrapping_add(SINES[$s]);
        let sum = one_step!(@$round, ready, b, c, d);
        $v[$a] = b.wrapping_add(sum.rotate_left($t));
    };
    (@f, $ready:ident, $b:ident, $c:ident, $d:ident) => {
        in_this_order($ready).wrapping_add($d ^ ($b & ($c ^ $d)))
    };
    (@g, $ready:ident, $b:ident, $c:ident, $d:ident) => {
        in_this_order($ready.wrapping_add($c & !$d)).wrapping_add($b & $d)
    };
    (@h, $ready:ident, $b:ident, $c:ident, $d:ident) => {
        in_this_order($ready).wrapping_add($b ^ in_this_order($c ^ $d))
    };
    (@i, $ready:ident, $b:ident, $c:ident, $d:ident) => {
        in_this_order($ready).wrapping_add($c ^ ($b | !$d))
    };
}

/// Hashes blocks of one message. It is a third faster than the plain form, in which the compiler chooses the
/// order of the additions.
pub(crate) fn compress_one(state: &mut State, blocks: &[Block]) {
    for block in blocks {
        let (words, _) = block.as_chunks();
        let mut x = [0; 16];
        for (word, bytes) in x.iter_mut().zip(words) {
            *word = u32::from_le_bytes(*bytes);
        }
        let mut v = *state;
        rounds!(one_step(v, x));
        for (word, after) in state.iter_mut().zip(v) {
            *word = word.wrapping_add(after);
        }
    }
}

/// Returns `value`, and has it computed before what follows. The compiler would otherwise choose an order of
/// additions that makes the chain of dependent steps longer.
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
pub(crate) fn has_lanes() -> bool {
    #[cfg(target_arch = "x86_64")]
    return std::arch::is_x86_feature_detected!("avx2");
    #[cfg(not(target_arch = "x86_64"))]
    false
}

/// Whether a lone message is hashed faster by [`compress_many`] than by [`compress_one`]: the processor
/// rotates and combines in one instruction.
pub(crate) fn lanes_are_fastest() -> bool {
    #[cfg(target_arch = "x86_64")]
    return has_lanes() && has_avx512();
    #[cfg(not(target_arch = "x86_64"))]
    false
}

#[cfg(target_arch = "x86_64")]
fn has_avx512() -> bool {
    std::arch::is_x86_feature_detected!("avx512f")
        && std::arch::is_x86_feature_detected!("avx512vl")
}

/// Hashes equally many blocks of each of up to [`LANES`] messages.
///
/// # Panics
/// Without AVX2 ([`has_lanes`]), and when there are more messages than lanes or they differ in length.
pub(crate) fn compress_many(lanes: &mut [(&mut State, &[Block])]) {
    #[cfg(target_arch = "x86_64")]
    {
        assert!(has_lanes(), "asked before");
        // SAFETY: the processor has what each of them is compiled for.
        match (lanes.len(), has_avx512()) {
            (0, _) => {}
            (1..=8, true) => unsafe { compress_avx512::<1>(lanes) },
            (_, true) => unsafe { compress_avx512::<2>(lanes) },
            (1..=8, false) => unsafe { compress_avx2::<1>(lanes) },
            (_, false) => unsafe { compress_avx2::<2>(lanes) },
        }
    }
    #[cfg(not(target_arch = "x86_64"))]
    panic!("{} lanes without AVX2", lanes.len());
}

/// What [`compress_many`] is.
#[cfg(all(test, target_arch = "x86_64"))]
pub(crate) type Compress = fn(&mut [(&mut State, &[Block])]);

/// All that [`compress_many`] may choose from on this processor.
#[cfg(all(test, target_arch = "x86_64"))]
pub(crate) fn variants() -> Vec<(&'static str, Compress)> {
    // SAFETY: the processor has what each of them is compiled for.
    let mut variants: Vec<(&'static str, Compress)> = Vec::new();
    if has_lanes() {
        variants.push(("AVX2", |lanes| unsafe { compress_avx2::<2>(lanes) }));
    }
    if lanes_are_fastest() {
        variants.push(("AVX-512", |lanes| unsafe { compress_avx512::<2>(lanes) }));
    }
    variants
}

/// A step for `G` groups of eight messages.
#[cfg(target_arch = "x86_64")]
macro_rules! step_of_groups {
    (($v:ident, $x:ident) $round:ident, $a:literal, $b:literal, $c:literal, $d:literal, $w:literal, $s:literal, $t:literal) => {
        let sine = _mm256_set1_epi32(SINES[$s].cast_signed());
        for (v, x) in $v.iter_mut().zip(&$x) {
            let [b, c, d] = [v[$b], v[$c], v[$d]];
            let ready = in_this_order_in_lanes(_mm256_add_epi32(v[$a], _mm256_add_epi32(x[$w], sine)));
            let sum = step_of_groups!(@$round, ready, b, c, d);
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
#[cfg(target_arch = "x86_64")]
macro_rules! compress_groups {
    ($name:ident, $features:literal) => {
        #[target_feature(enable = $features)]
        fn $name<const G: usize>(lanes: &mut [(&mut State, &[Block])]) {
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
                rounds!(step_of_groups(v, x));
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

#[cfg(target_arch = "x86_64")]
compress_groups!(compress_avx2, "avx2");
#[cfg(target_arch = "x86_64")]
compress_groups!(compress_avx512, "avx2,avx512f,avx512vl");

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

/// As [`in_this_order`].
#[cfg(target_arch = "x86_64")]
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

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
#[inline]
fn load_half(block: &Block, half: usize) -> __m256i {
    let (halves, _) = block.as_chunks::<32>();
    // SAFETY: the reference has 32 bytes, and the load needs no alignment.
    unsafe { _mm256_loadu_si256(halves[half].as_ptr().cast()) }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
#[inline]
fn load(words: &[u32; 8]) -> __m256i {
    // SAFETY: the reference has 32 bytes, and the load needs no alignment.
    unsafe { _mm256_loadu_si256(words.as_ptr().cast()) }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
#[inline]
fn store(vector: __m256i, words: &mut [u32; 8]) {
    // SAFETY: the reference has 32 bytes, and the store needs no alignment.
    unsafe { _mm256_storeu_si256(words.as_mut_ptr().cast(), vector) }
}
