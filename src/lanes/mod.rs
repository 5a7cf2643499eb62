//! MD5 of bodies that come in at the same time, side by side in SIMD lanes.
//!
//! MD5 is the slowest thing that an ingest does: a single message can not be hashed faster than about
//! 4.5 cycles a byte, since each step needs the one before. Sixteen messages together take little longer
//! than one. So all bodies of a store give their chunks to one [lane thread](queue), and do what
//! else there is to do with a chunk meanwhile.
//!
//! Where the processor has no AVX2, or the thread could not be started or has died, each body hashes
//! for itself, with the `md-5` crate.

mod kernel;
mod queue;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use bytes::Bytes;

use kernel::{Block, State};
pub(crate) use queue::Lanes;
use queue::Pending;

/// From how many bytes on a chunk is worth the two wake-ups that another thread costs.
const WORTH: usize = 32 * 1024;

/// The MD5 of one body.
pub(crate) struct BodyMd5 {
    lanes: Arc<Lanes>,
    state: State,
    /// Bytes so far.
    len: u64,
    /// What the lane thread is at, and the bytes, in case it gives them up.
    pending: Option<(Pending, Bytes)>,
    /// Behind the last whole block: the body has ended.
    tail: Bytes,
}

impl BodyMd5 {
    pub(crate) fn new(lanes: Arc<Lanes>) -> Self {
        Self {
            lanes,
            state: kernel::START,
            len: 0,
            pending: None,
            tail: Bytes::new(),
        }
    }

    /// Begins to hash the next chunk, which is hashed when [`settle`](Self::settle) returns. Only the
    /// last may end within a block of 64 bytes.
    pub(crate) fn begin(&mut self, mut chunk: Bytes) {
        self.settle();
        debug_assert!(self.tail.is_empty(), "the body had ended");
        self.len += chunk.len() as u64;
        let tail = chunk.split_off(chunk.len() - chunk.len() % size_of::<Block>());
        // Copied: these few bytes would keep the whole chunk.
        self.tail = Bytes::copy_from_slice(&tail);
        let lanes = (chunk.len() >= WORTH).then_some(&self.lanes);
        match lanes.and_then(|lanes| lanes.submit(self.state, chunk.clone())) {
            Some(pending) => self.pending = Some((pending, chunk)),
            None => compress(&mut self.state, &chunk),
        }
    }

    /// Waits until all that was begun is hashed, and lets go of the bytes.
    pub(crate) fn settle(&mut self) {
        if let Some((pending, chunk)) = self.pending.take() {
            match pending.wait() {
                Some(state) => self.state = state,
                None => compress(&mut self.state, &chunk),
            }
        }
    }

    /// Waits for a moment; whether all that was begun is hashed then.
    pub(crate) fn settle_soon(&mut self) -> bool {
        let soon = |(pending, _): &(Pending, Bytes)| pending.is_over_soon();
        if !self.pending.as_ref().is_none_or(soon) {
            return false;
        }
        self.settle();
        true
    }

    /// The digest of what was begun; waits for it.
    pub(crate) fn digest(&mut self) -> [u8; 16] {
        self.settle();
        // RFC 1321, 3.1 and 3.2: a one bit, zeros, and the length in bits.
        let mut end = self.tail.to_vec();
        end.push(0x80);
        end.resize((end.len() + 8).next_multiple_of(size_of::<Block>()) - 8, 0);
        end.extend(self.len.wrapping_mul(8).to_le_bytes());
        let mut state = self.state;
        compress(&mut state, &end);
        let mut digest = [0; 16];
        for (bytes, word) in digest.chunks_exact_mut(4).zip(state) {
            bytes.copy_from_slice(&word.to_le_bytes());
        }
        digest
    }
}

/// Hashes whole blocks, here and now.
fn compress(state: &mut State, bytes: &[u8]) {
    let (blocks, _) = bytes.as_chunks();
    if kernel::has_lanes() {
        kernel::compress_one(state, blocks);
    } else {
        md5::block_api::compress(state, blocks);
    }
}
