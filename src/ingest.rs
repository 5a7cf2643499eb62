//! The digests of a body, in one pass.
//!
//! - MD5 is the ETag.
//! - BLAKE3 is the blob's name.
//! - Reads are checked with the CRC-32 of each block.
//! - Clients compare the CRC-32 and the CRC-64 of the whole body.
//!
//! A body in memory is hashed where it is. It is [`Bytes`], which do not change. MD5 is computed [on
//! another thread](md5_lanes), while the caller computes the rest and writes.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use crc_fast::CrcAlgorithm;
use md5_lanes::{BodyMd5, Lanes};

use crate::going::Closing;
use crate::values::checksum::Algorithms;
use crate::values::digest::{BLOCK_LEN, BlockCrcs};
use crate::{Checksum, Checksums, ContentHash, ETag, ETagKind, Result};

/// How many bytes are hashed between two checks for closing: some milliseconds.
const PIECE: usize = 16 * 1024 * 1024;
/// How long MD5 is waited for between two checks for closing.
const A_MOMENT: Duration = Duration::from_millis(100);

/// Hashes a body chunk by chunk.
pub(crate) struct BodyHasher {
    md5: BodyMd5,
    blake3: blake3::Hasher,
    sums: ChecksumHasher,
}

/// The checksums of a body: all of its digests except MD5 and BLAKE3.
#[derive(Clone, Debug)]
pub(crate) struct Computed {
    /// All but the MD5, if that is the ETag.
    pub known: Checksums,
    pub blocks: BlockCrcs,
}

impl BodyHasher {
    pub(crate) fn new(lanes: &Arc<Lanes>, etag: ETagKind, wanted: Algorithms) -> Self {
        let _ = (etag, wanted);
        Self {
            md5: BodyMd5::new(Arc::clone(lanes)),
            blake3: blake3::Hasher::new(),
            sums: ChecksumHasher::new(),
        }
    }

    /// Takes the next chunk. Only the last one may have a length that is not a multiple of 64 bytes.
    pub(crate) fn update(&mut self, chunk: &Bytes) {
        self.begin_digests(chunk);
        self.update_checksums(chunk);
    }

    /// Takes the next chunk for MD5 and BLAKE3, but not for the checksums. Whoever has the whole body first
    /// checks whether its bytes are already stored.
    pub(crate) fn begin_digests(&mut self, chunk: &Bytes) {
        self.md5.begin(chunk.clone());
        self.blake3.update(chunk);
    }

    /// Does the same for a whole body, which may be long.
    ///
    /// # Errors
    /// [`Error::Closed`](crate::Error::Closed) if closing has begun.
    pub(crate) fn begin_digests_of(&mut self, body: &Bytes, closing: &Closing) -> Result<()> {
        self.md5.begin(body.clone());
        for piece in body.chunks(PIECE) {
            closing.check()?;
            self.blake3.update(piece);
        }
        Ok(())
    }

    /// Takes the next chunk for the checksums.
    pub(crate) fn update_checksums(&mut self, chunk: &[u8]) {
        self.sums.update(chunk);
    }

    /// Computes the checksums of the whole body, whose blocks have these CRCs.
    pub(crate) fn update_known_checksums(&mut self, body: &[u8], blocks: BlockCrcs) {
        self.sums.crc64.update(body);
        self.sums.blocks = blocks;
    }

    /// Waits until MD5 has reached the other digests, and gives up the chunk.
    pub(crate) fn settle(&mut self) {
        self.md5.settle();
    }

    /// Does the same for a body that may be long.
    ///
    /// # Errors
    /// [`Error::Closed`](crate::Error::Closed) if closing has begun.
    pub(crate) fn settle_until(&mut self, closing: &Closing) -> Result<()> {
        while !self.md5.settle_within(A_MOMENT) {
            closing.check()?;
        }
        Ok(())
    }

    /// The BLAKE3 hash of what was taken.
    pub(crate) fn content(&self) -> ContentHash {
        ContentHash::from_bytes(*self.blake3.finalize().as_bytes())
    }

    /// The checksums of what was taken.
    pub(crate) fn checksums(&self) -> Computed {
        let own = [
            Checksum::Crc32(self.sums.blocks.crc32()),
            Checksum::Crc64Xz(self.sums.crc64.finalize()),
        ];
        Computed {
            known: own.into_iter().collect(),
            blocks: self.sums.blocks.clone(),
        }
    }

    /// The MD5 digest of what was taken. Waits for it.
    pub(crate) fn etag(&mut self) -> ETag {
        ETag::from_md5(self.md5.digest())
    }
}

struct ChecksumHasher {
    crc64: crc_fast::Digest,
    blocks: BlockCrcs,
    /// The CRC-32 of the last block so far.
    last: crc32fast::Hasher,
}

impl ChecksumHasher {
    fn new() -> Self {
        Self {
            crc64: crc_fast::Digest::new(CrcAlgorithm::Crc64Xz),
            blocks: BlockCrcs::default(),
            last: crc32fast::Hasher::new(),
        }
    }

    fn update(&mut self, chunk: &[u8]) {
        let mut rest = chunk;
        while !rest.is_empty() {
            let in_block = usize::try_from(self.blocks.size % BLOCK_LEN as u64).unwrap_or(0);
            let (next, after) = rest.split_at(rest.len().min(BLOCK_LEN - in_block));
            if in_block == 0 {
                self.last = crc32fast::Hasher::new();
                self.blocks.crcs.push(0);
            }
            self.crc64.update(next);
            self.last.update(next);
            if let Some(crc) = self.blocks.crcs.last_mut() {
                *crc = self.last.clone().finalize();
            }
            self.blocks.size += next.len() as u64;
            rest = after;
        }
    }
}
