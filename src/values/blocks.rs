//! [`BlockCrcs`]: what a blob must hold, block by block.

use super::crc::Combined;

/// Length of the blocks of a blob of at most [`MOST_IN_SHORT_BLOCKS`] bytes. A small read reads one of them.
pub const SHORT_BLOCK: usize = 32 * 1024;
/// Length of the blocks of a longer blob, and of those that were stored before short blocks existed. Long reads
/// and writes go in pieces of this length.
pub const LONG_BLOCK: usize = 8 * SHORT_BLOCK;
const SHORT_IN_LONG: u64 = (LONG_BLOCK / SHORT_BLOCK) as u64;
/// A longer blob has long blocks, so that its CRCs stay few, bytes.
pub const MOST_IN_SHORT_BLOCKS: u64 = 128 * 1024 * 1024;

/// What a blob must hold: its size, and the CRC-32 of each of its blocks. The last block may be shorter.
///
/// The blocks have [`LONG_BLOCK`] or [`SHORT_BLOCK`] bytes. The number of CRCs tells which. Where both would
/// have the same number, there is one block at most.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct BlockCrcs {
    /// Its size, bytes.
    pub size: u64,
    /// The CRC-32 of each block, in order.
    pub crcs: Vec<u32>,
}

impl BlockCrcs {
    /// Returns how many blocks a new blob of `size` bytes has.
    #[must_use]
    pub fn blocks(size: u64) -> u64 {
        if size > MOST_IN_SHORT_BLOCKS {
            size.div_ceil(LONG_BLOCK as u64)
        } else {
            size.div_ceil(SHORT_BLOCK as u64)
        }
    }

    /// Returns how many blocks of [`LONG_BLOCK`] bytes a blob of `size` bytes has.
    #[must_use]
    pub fn long_blocks(size: u64) -> u64 {
        size.div_ceil(LONG_BLOCK as u64)
    }

    /// Says whether it has a CRC for each block.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        let crcs = self.crcs.len() as u64;
        crcs == Self::long_blocks(self.size) || crcs == Self::blocks(self.size)
    }

    /// Returns the length of its blocks, bytes.
    #[must_use]
    pub fn block_len(&self) -> usize {
        if self.crcs.len() as u64 == Self::long_blocks(self.size) {
            LONG_BLOCK
        } else {
            SHORT_BLOCK
        }
    }

    /// Returns the length of block `at`, bytes, which lies inside the blob.
    #[must_use]
    pub fn len_of(&self, at: u64) -> usize {
        let most = self.block_len();
        usize::try_from(self.size.saturating_sub(at * most as u64))
            .unwrap_or(most)
            .min(most)
    }

    /// Returns the CRC-32 of the whole blob, combined from those of its blocks.
    #[must_use]
    pub fn crc32(&self) -> u32 {
        let mut whole = Combined::crc32();
        for (at, crc) in (0..).zip(&self.crcs) {
            whole.push((*crc).into(), self.len_of(at) as u64);
        }
        u32::try_from(whole.crc()).unwrap_or_default()
    }

    /// Says whether `block` holds what block `at` held when it was stored.
    #[must_use]
    pub fn matches(&self, at: u64, block: &[u8]) -> bool {
        let stored = usize::try_from(at).ok().and_then(|at| self.crcs.get(at));
        block.len() == self.len_of(at) && stored == Some(&crc32fast::hash(block))
    }

    /// Returns the same with blocks of [`LONG_BLOCK`] bytes. No byte is read.
    #[must_use]
    pub fn with_long_blocks(&self) -> Self {
        if self.block_len() == LONG_BLOCK {
            return self.clone();
        }
        let mut long = Combined::crc32();
        let mut crcs = Vec::new();
        for (at, crc) in (0..).zip(&self.crcs) {
            let len = self.len_of(at) as u64;
            if at.is_multiple_of(SHORT_IN_LONG) {
                long.restart();
                crcs.push(0);
            }
            long.push((*crc).into(), len);
            if let Some(last) = crcs.last_mut() {
                *last = u32::try_from(long.crc()).unwrap_or_default();
            }
        }
        Self {
            size: self.size,
            crcs,
        }
    }
}

/// Takes the CRCs of a blob's blocks while its bytes pass by. It keeps at most 16 KiB, and 4 bytes for each block
/// of a blob with long blocks.
#[derive(Debug)]
pub(crate) struct BlockHasher {
    size: u64,
    /// Those of the blocks that are full.
    crcs: Vec<u32>,
    block_len: usize,
    last: crc32fast::Hasher,
}

impl Default for BlockHasher {
    fn default() -> Self {
        Self {
            size: 0,
            crcs: Vec::new(),
            block_len: SHORT_BLOCK,
            last: crc32fast::Hasher::new(),
        }
    }
}

impl BlockHasher {
    pub(crate) fn update(&mut self, bytes: &[u8]) {
        let mut rest = bytes;
        while !rest.is_empty() {
            if self.size == MOST_IN_SHORT_BLOCKS {
                self.lengthen();
            }
            let in_block = usize::try_from(self.size % self.block_len as u64).unwrap_or(0);
            let (next, after) = rest.split_at(rest.len().min(self.block_len - in_block));
            self.last.update(next);
            self.size += next.len() as u64;
            if in_block + next.len() == self.block_len {
                self.end_block();
            }
            rest = after;
        }
    }

    fn end_block(&mut self) {
        self.crcs.push(std::mem::take(&mut self.last).finalize());
    }

    /// The blob becomes longer than one with short blocks may be. Its blocks are full.
    fn lengthen(&mut self) {
        if self.block_len == SHORT_BLOCK {
            let short = BlockCrcs {
                size: self.size,
                crcs: std::mem::take(&mut self.crcs),
            };
            self.crcs = short.with_long_blocks().crcs;
            self.block_len = LONG_BLOCK;
        }
    }

    pub(crate) fn finish(mut self) -> BlockCrcs {
        if !self.size.is_multiple_of(self.block_len as u64) {
            self.end_block();
        }
        BlockCrcs {
            size: self.size,
            crcs: self.crcs,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(len: usize) -> Vec<u8> {
        (0..len)
            .map(|at| (at.wrapping_mul(at) >> 7).to_le_bytes()[0])
            .collect()
    }

    fn hashed<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> BlockCrcs {
        let mut hasher = BlockHasher::default();
        pieces.into_iter().for_each(|piece| hasher.update(piece));
        hasher.finish()
    }

    fn crcs_of(body: &[u8], block: usize) -> BlockCrcs {
        BlockCrcs {
            size: body.len() as u64,
            crcs: body.chunks(block).map(crc32fast::hash).collect(),
        }
    }

    #[test]
    fn blocks_are_the_same_however_the_bytes_arrive() {
        for len in [
            0,
            1,
            SHORT_BLOCK - 1,
            SHORT_BLOCK,
            SHORT_BLOCK + 1,
            LONG_BLOCK,
            600_001,
        ] {
            let body = bytes(len);
            let expected = crcs_of(&body, SHORT_BLOCK);
            for piece in [1000, SHORT_BLOCK, SHORT_BLOCK + 1, LONG_BLOCK, 1 << 20] {
                assert_eq!(hashed(body.chunks(piece)), expected, "{len} by {piece}");
            }
            assert!(
                expected.is_whole() && BlockCrcs::blocks(len as u64) == expected.crcs.len() as u64
            );
            assert_eq!(expected.crc32(), crc32fast::hash(&body));
        }
    }

    #[test]
    fn the_number_of_crcs_tells_how_long_the_blocks_are() {
        for len in [
            0,
            1,
            SHORT_BLOCK,
            SHORT_BLOCK + 1,
            LONG_BLOCK + 1,
            3 * LONG_BLOCK,
        ] {
            let body = bytes(len);
            let (short, long) = (crcs_of(&body, SHORT_BLOCK), crcs_of(&body, LONG_BLOCK));
            assert_eq!(short.with_long_blocks(), long, "{len}");
            assert_eq!(long.with_long_blocks(), long);
            assert_eq!(short.crc32(), long.crc32());
            for sums in [short, long] {
                assert!(sums.is_whole());
                for (at, block) in (0..).zip(body.chunks(sums.block_len())) {
                    assert!(sums.matches(at, block), "{len}, block {at}");
                }
                let missing = sums.crcs.split_last().map(|(_, crcs)| crcs.to_vec());
                let cut = missing.map(|crcs| BlockCrcs { crcs, ..sums });
                // Without one of two, the other could be that of a long block.
                assert!(cut.is_none_or(|cut| !cut.is_whole() || cut.crcs.len() == 1));
            }
        }
    }

    /// 128 MiB are pieced together from few bytes.
    #[test]
    fn a_longer_blob_has_long_blocks() {
        let piece = bytes(1 << 20);
        let most = usize::try_from(MOST_IN_SHORT_BLOCKS).unwrap() / piece.len();
        let whole = || std::iter::repeat_n(piece.as_slice(), most);
        let short = hashed(whole());
        assert_eq!((short.block_len(), short.crcs.len()), (SHORT_BLOCK, 4096));
        for more in [1, LONG_BLOCK, LONG_BLOCK + 1] {
            let long = hashed(whole().chain([&piece[..more]]));
            assert_eq!(long.block_len(), LONG_BLOCK);
            let blocks = 512 + more.div_ceil(LONG_BLOCK);
            assert_eq!(long.crcs.len(), blocks);
            assert!(long.is_whole() && BlockCrcs::blocks(long.size) == blocks as u64);
            let all = (0..).zip(piece.chunks(LONG_BLOCK).cycle().take(512));
            assert!(all.into_iter().all(|(at, block)| long.matches(at, block)));
            assert!(long.matches(512, &piece[..more.min(LONG_BLOCK)]));
        }
    }
}
