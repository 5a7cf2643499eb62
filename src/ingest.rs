//! The digests of a body, in one pass.
//!
//! - BLAKE3 is the blob's name. With [`ETagKind::Opaque`], the ETag is its beginning.
//! - Reads are checked with the CRC-32 of each block. That of the whole body is combined from these.
//! - Every body gets the CRC-64/XZ.
//! - MD5 is the ETag with [`ETagKind::Md5`]. Otherwise it is computed if it is wanted.
//! - Any other algorithm is computed if it is wanted. What is not wanted costs one look at an empty list for
//!   each block.
//!
//! A body in memory is hashed where it is. It is [`Bytes`], which do not change. MD5 is computed [on
//! another thread](md5_lanes), while the caller computes the rest and writes.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use crc_fast::CrcAlgorithm;
use md5_lanes::{BodyMd5, Lanes};

use crate::going::Closing;
use crate::values::blocks::{BlockCrcs, BlockHasher, SHORT_BLOCK};
use crate::values::checksum::Algorithms;
use crate::values::hasher::Hasher;
use crate::{Checksum, ChecksumAlgorithm, Checksums, ContentHash, ETag, ETagKind, Result};

/// How many bytes are hashed between two checks for closing: some milliseconds.
const PIECE: usize = 16 * 1024 * 1024;
/// How long MD5 is waited for between two checks for closing.
const A_MOMENT: Duration = Duration::from_millis(100);

/// Hashes a body chunk by chunk.
pub(crate) struct BodyHasher {
    etag: ETagKind,
    /// `None` if nobody wants the MD5. Then the lane thread is neither started nor asked.
    md5: Option<BodyMd5>,
    blake3: blake3::Hasher,
    sums: ChecksumHasher,
}

/// What was computed of a body, beside its BLAKE3 hash.
#[derive(Clone, Debug)]
pub(crate) struct Computed {
    pub etag: ETag,
    pub checksums: Checksums,
    pub blocks: BlockCrcs,
}

impl BodyHasher {
    /// Begins a body. Beside the store's own checksums it gets those that are `wanted`.
    pub(crate) fn new(lanes: &Arc<Lanes>, etag: ETagKind, wanted: Algorithms) -> Self {
        let md5 = etag == ETagKind::Md5 || wanted.contains(ChecksumAlgorithm::Md5);
        Self {
            etag,
            md5: md5.then(|| BodyMd5::new(Arc::clone(lanes))),
            blake3: blake3::Hasher::new(),
            sums: ChecksumHasher::new(wanted),
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
        self.begin_md5(chunk);
        self.blake3.update(chunk);
    }

    /// Does the same for a whole body, which may be long.
    ///
    /// # Errors
    /// [`Error::Closed`](crate::Error::Closed) if closing has begun.
    pub(crate) fn begin_digests_of(&mut self, body: &Bytes, closing: &Closing) -> Result<()> {
        self.begin_md5(body);
        for piece in body.chunks(PIECE) {
            closing.check()?;
            self.blake3.update(piece);
        }
        Ok(())
    }

    fn begin_md5(&mut self, chunk: &Bytes) {
        if let Some(md5) = &mut self.md5 {
            md5.begin(chunk.clone());
        }
    }

    /// Takes the next chunk for the checksums.
    pub(crate) fn update_checksums(&mut self, chunk: &[u8]) {
        self.sums.update(chunk);
    }

    /// Takes the whole body for the checksums. Its blocks are known to have these CRCs.
    ///
    /// # Errors
    /// [`Error::Closed`](crate::Error::Closed) if closing has begun.
    pub(crate) fn update_known_checksums(
        &mut self,
        body: &[u8],
        blocks: BlockCrcs,
        closing: &Closing,
    ) -> Result<()> {
        for piece in body.chunks(PIECE) {
            closing.check()?;
            self.sums.update_known(piece);
        }
        self.sums.known = Some(blocks);
        Ok(())
    }

    /// Waits until MD5 has reached the other digests, and gives up the chunk.
    pub(crate) fn settle(&mut self) {
        if let Some(md5) = &mut self.md5 {
            md5.settle();
        }
    }

    /// Does the same for a body that may be long.
    ///
    /// # Errors
    /// [`Error::Closed`](crate::Error::Closed) if closing has begun.
    pub(crate) fn settle_until(&mut self, closing: &Closing) -> Result<()> {
        settle_until(self.md5.as_mut(), closing)
    }

    /// The BLAKE3 hash of what was taken.
    pub(crate) fn content(&self) -> ContentHash {
        ContentHash::from_bytes(*self.blake3.finalize().as_bytes())
    }

    /// The body has ended. Its MD5 may still be computed.
    pub(crate) fn end(self) -> Ended {
        let (checksums, blocks) = self.sums.finish();
        Ended {
            etag: self.etag,
            md5: self.md5,
            checksums,
            blocks,
        }
    }
}

/// The digests of a whole body. All but the MD5 are known.
pub(crate) struct Ended {
    etag: ETagKind,
    md5: Option<BodyMd5>,
    checksums: Checksums,
    blocks: BlockCrcs,
}

impl Ended {
    /// The checksums. Waits for the MD5 if that is among the `wanted` ones, and otherwise lacks it.
    ///
    /// # Errors
    /// [`Error::Closed`](crate::Error::Closed) if closing has begun.
    pub(crate) fn checksums(&mut self, wanted: Algorithms, closing: &Closing) -> Result<Checksums> {
        if wanted.contains(ChecksumAlgorithm::Md5) {
            settle_until(self.md5.as_mut(), closing)?;
            let md5 = self.md5.as_mut().map(BodyMd5::digest);
            return Ok(with_md5(self.checksums, md5));
        }
        Ok(self.checksums)
    }

    /// Has the rest of the MD5 computed at once, without waiting for other bodies. Waits for a long rest, so that what
    /// is left takes some milliseconds.
    ///
    /// # Errors
    /// [`Error::Closed`](crate::Error::Closed) if closing has begun.
    pub(crate) fn hurry(&mut self, closing: &Closing) -> Result<()> {
        match &mut self.md5 {
            Some(md5) if md5.pending_len() > PIECE => settle_until(Some(md5), closing),
            Some(md5) => {
                let _is_over = md5.settle_within(Duration::ZERO);
                Ok(())
            }
            None => Ok(()),
        }
    }

    /// All digests of the body, whose BLAKE3 hash is `content`. Waits for the MD5.
    pub(crate) fn computed(mut self, content: &ContentHash) -> Computed {
        let md5 = self.md5.as_mut().map(BodyMd5::digest);
        let etag = match (self.etag, md5) {
            (ETagKind::Md5, Some(md5)) => ETag::from_md5(md5),
            _ => ETag::of_blake3(content.as_bytes()),
        };
        Computed {
            etag,
            checksums: with_md5(self.checksums, md5),
            blocks: self.blocks,
        }
    }
}

fn with_md5(checksums: Checksums, md5: Option<[u8; 16]>) -> Checksums {
    md5.map_or(checksums, |md5| checksums.with(Checksum::Md5(md5)))
}

/// Waits until all that was begun is hashed.
///
/// # Errors
/// [`Error::Closed`](crate::Error::Closed) if closing has begun.
fn settle_until(md5: Option<&mut BodyMd5>, closing: &Closing) -> Result<()> {
    if let Some(md5) = md5 {
        while !md5.settle_within(A_MOMENT) {
            closing.check()?;
        }
    }
    Ok(())
}

struct ChecksumHasher {
    crc64: crc_fast::Digest,
    blocks: BlockHasher,
    /// The CRC-32s of the blocks, if they are known.
    known: Option<BlockCrcs>,
    /// What is wanted beside these and the MD5.
    others: Vec<Hasher>,
}

impl ChecksumHasher {
    fn new(wanted: Algorithms) -> Self {
        let own = |algorithm: &ChecksumAlgorithm| {
            matches!(
                algorithm,
                ChecksumAlgorithm::Md5 | ChecksumAlgorithm::Crc32 | ChecksumAlgorithm::Crc64Xz
            )
        };
        let others = wanted.iter().filter(|algorithm| !own(algorithm));
        Self {
            crc64: crc_fast::Digest::new(CrcAlgorithm::Crc64Xz),
            blocks: BlockHasher::default(),
            known: None,
            others: others.map(Hasher::new).collect(),
        }
    }

    fn update(&mut self, chunk: &[u8]) {
        for piece in chunk.chunks(SHORT_BLOCK) {
            self.update_all_but_crc32(piece);
            self.blocks.update(piece);
        }
    }

    /// Takes bytes whose blocks' CRC-32s are known.
    fn update_known(&mut self, bytes: &[u8]) {
        for piece in bytes.chunks(SHORT_BLOCK) {
            self.update_all_but_crc32(piece);
        }
    }

    /// Takes a short piece, so that the processor still has it in its cache for each algorithm.
    fn update_all_but_crc32(&mut self, bytes: &[u8]) {
        self.crc64.update(bytes);
        for other in &mut self.others {
            other.update(bytes);
        }
    }

    fn finish(self) -> (Checksums, BlockCrcs) {
        let blocks = self.known.unwrap_or_else(|| self.blocks.finish());
        let own = [
            Checksum::Crc32(blocks.crc32()),
            Checksum::Crc64Xz(self.crc64.finalize()),
        ];
        let others = self.others.into_iter().map(Hasher::finalize);
        (own.into_iter().chain(others).collect(), blocks)
    }
}
