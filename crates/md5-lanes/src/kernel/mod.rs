//! The MD5 compression function (RFC 1321, 3.4) for one message and for many side by side.
//!
//! One message is a chain of dependent steps: a processor waits for each, however wide it is. So it works on several
//! messages in the meantime: on a few with its ordinary instructions (`scalar`), on many in `vectors`.
//!
//! This is the only module with unsafe code: loads and stores of vectors, calls of functions that need AVX2 or
//! AVX-512, and an empty line of assembly that keeps the compiler from reordering additions.

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

#[cfg(target_arch = "x86_64")]
mod choice;
mod scalar;
#[cfg(target_arch = "x86_64")]
mod vectors;

/// Hashes blocks of one message.
pub(crate) fn compress_one(state: &mut State, blocks: &[Block]) {
    scalar::compress::<1>(&mut [(state, blocks)]);
}

/// Whether [`compress_many`] works on this processor.
pub(crate) fn has_lanes() -> bool {
    #[cfg(target_arch = "x86_64")]
    return std::arch::is_x86_feature_detected!("avx2");
    #[cfg(not(target_arch = "x86_64"))]
    false
}

/// Hashes equally many blocks of each of up to [`LANES`] messages, in the way that is fastest for so many here.
///
/// # Panics
/// Without AVX2 ([`has_lanes`]), and when there are more messages than lanes or they differ in length.
pub(crate) fn compress_many(lanes: &mut [(&mut State, &[Block])]) {
    assert!(has_lanes(), "asked before");
    #[cfg(target_arch = "x86_64")]
    choice::fastest(lanes.len()).compress(lanes);
    #[cfg(not(target_arch = "x86_64"))]
    let _ = lanes;
}

/// What [`compress_many`] may choose from for so many messages on this processor.
#[cfg(all(test, target_arch = "x86_64"))]
pub(crate) use choice::ways;
