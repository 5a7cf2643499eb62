//! One pass over a body: its digests, and for a streamed body its staged file.
//!
//! MD5 is the ETag, BLAKE3 the blob's name, CRC-32 of each block what reads are checked with,
//! CRC-32 and CRC-64 of the whole what clients compare. Exactly the bytes that were written are
//! hashed.

use crc_fast::CrcAlgorithm;
use md5::{Digest as _, Md5};

use crate::digest::{BLOCK_LEN, BlockSums};
use crate::{ContentHash, ETag};

/// Everything that is known of a body once it has been read.
#[derive(Clone, Debug)]
pub(crate) struct Digests {
    pub md5: [u8; 16],
    pub content: ContentHash,
    pub crc32: u32,
    pub crc64: u64,
    pub sums: BlockSums,
}

impl Digests {
    pub(crate) fn etag(&self) -> ETag {
        ETag::from_md5(self.md5)
    }

    pub(crate) fn size(&self) -> u64 {
        self.sums.size
    }

    /// The digests of a body in memory.
    pub(crate) fn of(body: &[u8]) -> Self {
        let mut hasher = BodyHasher::new();
        body.chunks(BLOCK_LEN)
            .for_each(|block| hasher.update_block(block));
        hasher.finish()
    }
}

/// Takes a body block by block.
pub(crate) struct BodyHasher {
    md5: Md5,
    blake3: blake3::Hasher,
    crc32: crc32fast::Hasher,
    crc64: crc_fast::Digest,
    sums: BlockSums,
}

impl BodyHasher {
    pub(crate) fn new() -> Self {
        Self {
            md5: Md5::new(),
            blake3: blake3::Hasher::new(),
            crc32: crc32fast::Hasher::new(),
            crc64: crc_fast::Digest::new(CrcAlgorithm::Crc64Xz),
            sums: BlockSums::default(),
        }
    }

    /// Takes the next block: [`BLOCK_LEN`] bytes, only the last may be shorter.
    pub(crate) fn update_block(&mut self, block: &[u8]) {
        debug_assert!(
            block.len() <= BLOCK_LEN && self.sums.size.is_multiple_of(BLOCK_LEN as u64),
            "a short block came before"
        );
        self.md5.update(block);
        self.blake3.update(block);
        self.crc64.update(block);
        let mut crc = crc32fast::Hasher::new();
        crc.update(block);
        // The CRC of the whole is combined from those of the blocks: no second pass over the bytes.
        self.crc32.combine(&crc);
        self.sums.crcs.push(crc.finalize());
        self.sums.size += block.len() as u64;
    }

    pub(crate) fn finish(self) -> Digests {
        Digests {
            md5: self.md5.finalize().into(),
            content: ContentHash::from_bytes(*self.blake3.finalize().as_bytes()),
            crc32: self.crc32.finalize(),
            crc64: self.crc64.finalize(),
            sums: self.sums,
        }
    }
}
