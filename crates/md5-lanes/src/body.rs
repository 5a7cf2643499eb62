//! One message: it gives its chunks to the lanes, and hashes them itself when nobody else does.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use crate::kernel::{self, Block, State};
use crate::queue::{Lanes, Pending};

/// From this length on a chunk is worth the two wake-ups that another thread costs. (Miri takes a second for it.)
pub(crate) const WORTH: usize = if cfg!(miri) { 1024 } else { 32 * 1024 };

const BLOCK_LEN: usize = size_of::<Block>();

/// The MD5 of one message, taken chunk by chunk.
///
/// Dropping it takes its chunk out of the lanes.
pub struct BodyMd5 {
    lanes: Arc<Lanes>,
    state: State,
    /// Bytes so far.
    len: u64,
    /// The chunk that the lane thread hashes, and its bytes, in case the thread gives it up.
    pending: Option<(Pending, Bytes)>,
    /// Bytes behind the last whole block: fewer than 64.
    tail: Vec<u8>,
}

impl BodyMd5 {
    /// Begins an empty message.
    #[must_use]
    pub fn new(lanes: Arc<Lanes>) -> Self {
        Self {
            lanes,
            state: kernel::START,
            len: 0,
            pending: None,
            tail: Vec::new(),
        }
    }

    /// Begins to hash the next chunk, which is hashed when [`settle`](Self::settle) returns. Waits for the
    /// chunk before.
    ///
    /// # Cost
    /// Of a chunk from 32 KiB on: two wake-ups, and no pass over the bytes on this thread; a shorter one is
    /// hashed here and now. Chunks whose lengths are multiples of 64 bytes are never copied; of others up to
    /// 63 bytes are.
    pub fn begin(&mut self, mut chunk: Bytes) {
        self.settle();
        self.len += chunk.len() as u64;
        self.end_block(&mut chunk);
        let tail = chunk.split_off(chunk.len() - chunk.len() % BLOCK_LEN);
        // Copied: a reference to these few bytes would keep the whole chunk in memory.
        self.tail.extend_from_slice(&tail);
        let lanes = (chunk.len() >= WORTH).then_some(&self.lanes);
        match lanes.and_then(|lanes| lanes.submit(self.state, chunk.clone())) {
            Some(pending) => self.pending = Some((pending, chunk)),
            None => compress(&mut self.state, &chunk),
        }
    }

    /// Hashes the block that the chunks before began, if this chunk ends it.
    fn end_block(&mut self, chunk: &mut Bytes) {
        if self.tail.is_empty() {
            return;
        }
        let missing = BLOCK_LEN - self.tail.len();
        let end = chunk.split_to(missing.min(chunk.len()));
        self.tail.extend_from_slice(&end);
        if self.tail.len() == BLOCK_LEN {
            compress(&mut self.state, &self.tail);
            self.tail.clear();
        }
    }

    /// Waits until all that was begun is hashed, and lets go of the bytes.
    pub fn settle(&mut self) {
        if let Some((pending, chunk)) = self.pending.take() {
            match pending.wait() {
                Some(state) => self.state = state,
                None => compress(&mut self.state, &chunk),
            }
        }
    }

    /// Returns how many bytes were begun and may not be hashed yet.
    #[must_use]
    pub fn pending_len(&self) -> usize {
        self.pending.as_ref().map_or(0, |(_, chunk)| chunk.len())
    }

    /// Waits as [`settle`](Self::settle), but not longer than this. Returns whether all that was begun is
    /// hashed.
    #[must_use]
    pub fn settle_within(&mut self, timeout: Duration) -> bool {
        let over = |(pending, _): &(Pending, Bytes)| pending.is_over_within(timeout);
        if !self.pending.as_ref().is_none_or(over) {
            return false;
        }
        self.settle();
        true
    }

    /// Returns the digest of the message so far; waits for it. More chunks may follow.
    pub fn digest(&mut self) -> [u8; 16] {
        self.settle();
        // RFC 1321, 3.1 and 3.2: a one bit, zeros, and the length in bits.
        let mut end = self.tail.clone();
        end.push(0x80);
        end.resize((end.len() + 8).next_multiple_of(BLOCK_LEN) - 8, 0);
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
