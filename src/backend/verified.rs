//! [`Verified`]: a blob's bytes, of which each block is checked against its CRC-32 before any of it is
//! returned (I5).

use std::borrow::Borrow;

use super::blobs::BlobReader;
use crate::values::digest::{BLOCK_LEN, BlockCrcs};
use crate::{Error, Result};

/// Where the bytes of one blob come from, not checked yet.
pub trait Source: Send + Sync {
    /// Fills `into` with the bytes from `position` on.
    ///
    /// # Errors
    /// [`Error::DamagedBlob`](crate::Error::DamagedBlob) if they end before, or cannot be read although others
    /// can. [`Error::Io`](crate::Error::Io).
    fn read_exact_at(&mut self, position: u64, into: &mut [u8]) -> Result<()>;

    /// Remembers that nothing may rely on this blob, and returns
    /// [`Error::DamagedBlob`](crate::Error::DamagedBlob).
    fn damaged(&self, reason: &str) -> Error;
}

/// Reads one blob at any place. It has one block in memory.
pub struct Verified<S, B = BlockCrcs> {
    source: S,
    crcs: B,
    block: Vec<u8>,
    /// The number of that block.
    loaded: Option<u64>,
}

impl<S: Source, B: Borrow<BlockCrcs>> Verified<S, B> {
    /// Makes a reader of a source, whose blob has these CRCs.
    pub fn new(source: S, crcs: B) -> Self {
        Self {
            source,
            crcs,
            block: Vec::new(),
            loaded: None,
        }
    }

    /// Returns the size of the blob, bytes.
    pub fn size(&self) -> u64 {
        self.crcs.borrow().size
    }

    /// Returns the source.
    pub fn source(&self) -> &S {
        &self.source
    }

    /// Returns block `at`, which lies inside the blob.
    ///
    /// # Errors
    /// [`Error::DamagedBlob`](crate::Error::DamagedBlob), [`Error::Io`](crate::Error::Io).
    pub fn block(&mut self, at: u64) -> Result<&[u8]> {
        if self.loaded == Some(at) {
            return Ok(&self.block);
        }
        self.loaded = None;
        self.block.resize(self.crcs.borrow().block_len(at), 0);
        let start = at * BLOCK_LEN as u64;
        self.source.read_exact_at(start, &mut self.block)?;
        if !self.crcs.borrow().matches(at, &self.block) {
            return Err(self.source.damaged(&format!(
                "block {at} of {BLOCK_LEN} bytes does not hold what was stored"
            )));
        }
        self.loaded = Some(at);
        Ok(&self.block)
    }
}

impl<S: Source, B: Borrow<BlockCrcs> + Send + Sync> BlobReader for Verified<S, B> {
    fn read_at(&mut self, position: u64, into: &mut [u8]) -> Result<usize> {
        if position >= self.size() || into.is_empty() {
            return Ok(0);
        }
        let block = self.block(position / BLOCK_LEN as u64)?;
        let skip = usize::try_from(position % BLOCK_LEN as u64).unwrap_or(0);
        let from = block.get(skip..).unwrap_or_default();
        let len = from.len().min(into.len());
        if let (Some(from), Some(into)) = (from.get(..len), into.get_mut(..len)) {
            into.copy_from_slice(from);
        }
        Ok(len)
    }
}
