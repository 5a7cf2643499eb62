//! What clients put: bytes that a seed gives, so that nobody has to keep them.

use md5::{Digest, Md5};

/// Bytes by their seed and length.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Content {
    pub seed: u64,
    pub len: usize,
}

/// The contents of an object's parts, in order.
pub type Object = Vec<Content>;

impl Content {
    pub fn bytes(self) -> Vec<u8> {
        let mut bytes = vec![0; self.len];
        fastrand::Rng::with_seed(self.seed).fill(&mut bytes);
        bytes
    }
}

pub fn bytes(object: &[Content]) -> Vec<u8> {
    object.iter().flat_map(|part| part.bytes()).collect()
}

/// As both protocols write it.
pub fn etag(bytes: &[u8]) -> String {
    format!("\"{}\"", hex::encode(Md5::digest(bytes)))
}
