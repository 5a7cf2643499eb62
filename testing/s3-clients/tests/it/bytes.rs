//! What is sent.

pub const MIB: usize = 1 << 20;

/// The length of a large object. CI sets 200.
pub fn large() -> usize {
    let named = std::env::var("PARTSTORE_S3_LARGE_MIB");
    named.map_or(24, |text| text.parse().unwrap()) * MIB
}

pub fn body(len: usize, seed: usize) -> Vec<u8> {
    let mut state = seed as u64 + 1;
    let mut bytes = Vec::with_capacity(len + 8);
    while bytes.len() < len {
        // xorshift64: no two parts are the same.
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend(state.to_le_bytes());
    }
    bytes.truncate(len);
    bytes
}
