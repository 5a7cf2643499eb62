//! [`BlobReader`]: a blob's bytes. Each block is checked against its CRC-32 before any of it is returned
//! (I5).

use std::borrow::Borrow;
use std::sync::Arc;

use super::BlobStore;
use super::sound::LENGTH;
use crate::file::Handle;
use crate::going::Going;
use crate::values::digest::{BLOCK_LEN, BlockCrcs};
use crate::{ContentHash, Error, Result};

/// Reads one blob at any place. It has one block in memory.
pub(crate) struct BlobReader<S, B = Arc<BlockCrcs>> {
    store: S,
    handle: Handle,
    content: ContentHash,
    sums: B,
    block: Vec<u8>,
    /// The number of that block.
    loaded: Option<u64>,
}

impl<'a> BlobReader<&'a BlobStore, &'a BlockCrcs> {
    /// A reader for checking a blob where it is.
    pub(super) fn over(
        store: &'a BlobStore,
        handle: Handle,
        content: ContentHash,
        sums: &'a BlockCrcs,
    ) -> Self {
        Self::new(store, handle, content, sums)
    }
}

impl<S: Borrow<BlobStore>, B: Borrow<BlockCrcs>> BlobReader<S, B> {
    pub(super) fn new(store: S, handle: Handle, content: ContentHash, sums: B) -> Self {
        Self {
            store,
            handle,
            content,
            sums,
            block: Vec::new(),
            loaded: None,
        }
    }

    /// Size of the blob, bytes.
    pub(crate) fn size(&self) -> u64 {
        self.sums.borrow().size
    }

    /// Copies bytes from `position` on. 0 only at or behind the end.
    pub(crate) fn read_at(&mut self, position: u64, into: &mut [u8]) -> Result<usize> {
        self.store.borrow().check_process()?;
        if position >= self.size() || into.is_empty() {
            return Ok(0);
        }
        let at = position / BLOCK_LEN as u64;
        self.load(at)?;
        let skip = usize::try_from(position % BLOCK_LEN as u64).unwrap_or(0);
        let from = self.block.get(skip..).unwrap_or_default();
        let len = from.len().min(into.len());
        if let (Some(from), Some(into)) = (from.get(..len), into.get_mut(..len)) {
            into.copy_from_slice(from);
        }
        Ok(len)
    }

    /// Reads and compares every block, the length, and the hash of the whole.
    pub(super) fn check_all(mut self, going: &Going<'_>) -> Result<()> {
        going.check()?;
        if self.handle.len()? != self.size() {
            return Err(self.damaged(LENGTH));
        }
        let mut hasher = blake3::Hasher::new();
        for at in 0..BlockCrcs::blocks(self.size()) {
            self.load(at)?;
            hasher.update(&self.block);
            going.advance(self.block.len() as u64)?;
        }
        if hasher.finalize().as_bytes() != self.content.as_bytes() {
            return Err(self.damaged("its bytes do not have its hash"));
        }
        Ok(())
    }

    fn load(&mut self, at: u64) -> Result<()> {
        if self.loaded == Some(at) {
            return Ok(());
        }
        self.loaded = None;
        self.block.resize(self.sums.borrow().block_len(at), 0);
        if let Err(error) = self.handle.read_at(&mut self.block, at * BLOCK_LEN as u64) {
            return Err(self.explain(error));
        }
        if !self.sums.borrow().matches(at, &self.block) {
            return Err(self.damaged(&format!(
                "block {at} of {BLOCK_LEN} bytes does not hold what was stored"
            )));
        }
        self.loaded = Some(at);
        Ok(())
    }

    fn explain(&self, error: Error) -> Error {
        match &error {
            Error::Io { source, .. } if source.kind() == std::io::ErrorKind::UnexpectedEof => {
                self.damaged("its file is too short")
            }
            // An error that names the blob says which bytes to put again.
            Error::Io { source, .. } if error.is_of_the_medium() => {
                self.damaged(&format!("its file could not be read: {source}"))
            }
            _ => error,
        }
    }

    fn damaged(&self, reason: &str) -> Error {
        self.store.borrow().found_damage(&self.content, reason)
    }
}
