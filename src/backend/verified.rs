//! [`Verified`]: a blob's bytes, of which each block is checked against its CRC-32 before any of it is
//! returned (I5).

use std::borrow::Borrow;
use std::cell::Cell;

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

    /// Does the same if the bytes are in memory, and nobody has to wait for them. `false` otherwise. By
    /// default none is in memory.
    ///
    /// # Errors
    /// As for [`read_exact_at`](Self::read_exact_at).
    fn read_cached(&mut self, position: u64, into: &mut [u8]) -> Result<bool> {
        let _ = (position, into);
        Ok(false)
    }

    /// Makes a second source of the same bytes, for long pieces and for another thread. By default it makes
    /// none.
    ///
    /// # Errors
    /// [`Error::Io`](crate::Error::Io).
    fn ahead(&self) -> Result<Option<Self>>
    where
        Self: Sized,
    {
        Ok(None)
    }

    /// Remembers that nothing may rely on this blob, and returns
    /// [`Error::DamagedBlob`](crate::Error::DamagedBlob).
    fn damaged(&self, reason: &str) -> Error;
}

/// Reads one blob at any place.
///
/// Whole blocks go straight to where the caller wants them. For a piece of a block the block is read beside
/// it, into memory that the thread keeps.
pub struct Verified<S, B = BlockCrcs> {
    source: S,
    crcs: B,
}

thread_local! {
    /// Room for a block. It is taken out while it is used.
    static BLOCK: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

impl<S: Source, B: Borrow<BlockCrcs>> Verified<S, B> {
    /// Makes a reader of a source, whose blob has these CRCs.
    pub fn new(source: S, crcs: B) -> Self {
        Self { source, crcs }
    }

    /// Returns the size of the blob, bytes.
    pub fn size(&self) -> u64 {
        self.crcs.borrow().size
    }

    /// Returns the source.
    pub fn source(&self) -> &S {
        &self.source
    }

    /// Calls `with` on block `at`, which lies inside the blob.
    ///
    /// # Errors
    /// [`Error::DamagedBlob`](crate::Error::DamagedBlob), [`Error::Io`](crate::Error::Io).
    pub fn with_block<T>(&mut self, at: u64, with: impl FnOnce(&[u8]) -> T) -> Result<T> {
        let mut block = BLOCK.try_with(Cell::take).unwrap_or_default();
        block.resize(self.crcs.borrow().block_len(at), 0);
        let read = self
            .source
            .read_exact_at(at * BLOCK_LEN as u64, &mut block)
            .and_then(|()| self.check(at, &block));
        let done = read.map(|()| with(&block));
        // A thread that is ending keeps nothing.
        let _ = BLOCK.try_with(|kept| kept.set(block));
        done
    }

    fn check(&self, at: u64, block: &[u8]) -> Result<()> {
        if self.crcs.borrow().matches(at, block) {
            return Ok(());
        }
        Err(self.source.damaged(&format!(
            "block {at} of {BLOCK_LEN} bytes does not hold what was stored"
        )))
    }

    /// How many bytes of `len` are whole blocks, if the first one begins at `position`.
    fn whole_blocks(&self, position: u64, len: usize) -> usize {
        if !position.is_multiple_of(BLOCK_LEN as u64) {
            return 0;
        }
        let rest = self.size().saturating_sub(position);
        match usize::try_from(rest) {
            Ok(rest) if rest <= len => rest,
            _ => len - len % BLOCK_LEN,
        }
    }

    /// Checks blocks that were read, and returns how many bytes of them may be returned. What is behind the
    /// first damaged one is wiped.
    fn check_blocks(&self, position: u64, blocks: &mut [u8]) -> Result<usize> {
        let mut sound = 0;
        for (at, block) in (position / BLOCK_LEN as u64..).zip(blocks.chunks(BLOCK_LEN)) {
            match self.check(at, block) {
                Ok(()) => sound += block.len(),
                Err(error) => {
                    blocks.get_mut(sound..).unwrap_or_default().fill(0);
                    // The next read finds the damaged block first.
                    return if sound > 0 { Ok(sound) } else { Err(error) };
                }
            }
        }
        Ok(sound)
    }

    fn read_piece(&mut self, position: u64, into: &mut [u8]) -> Result<usize> {
        let skip = usize::try_from(position % BLOCK_LEN as u64).unwrap_or(0);
        self.with_block(position / BLOCK_LEN as u64, |block| {
            let from = block.get(skip..).unwrap_or_default();
            let len = from.len().min(into.len());
            if let (Some(from), Some(into)) = (from.get(..len), into.get_mut(..len)) {
                into.copy_from_slice(from);
            }
            len
        })
    }
}

impl<S, B> BlobReader for Verified<S, B>
where
    S: Source + 'static,
    B: Borrow<BlockCrcs> + Clone + Send + Sync + 'static,
{
    fn read_at(&mut self, position: u64, into: &mut [u8]) -> Result<usize> {
        if position >= self.size() || into.is_empty() {
            return Ok(0);
        }
        let whole = self.whole_blocks(position, into.len());
        match into.get_mut(..whole) {
            None | Some([]) => self.read_piece(position, into),
            Some(blocks) => {
                if let Err(error) = self.source.read_exact_at(position, blocks) {
                    blocks.fill(0);
                    return Err(error);
                }
                self.check_blocks(position, blocks)
            }
        }
    }

    fn read_cached(&mut self, position: u64, into: &mut [u8]) -> Result<usize> {
        let whole = self.whole_blocks(position, into.len());
        let mut done = 0;
        // One by one, so that a block is checked while the processor still has it.
        for block in into
            .get_mut(..whole)
            .unwrap_or_default()
            .chunks_mut(BLOCK_LEN)
        {
            let at = position + done as u64;
            let read = self.source.read_cached(at, block);
            let checked = match read {
                Ok(true) => self.check_blocks(at, block),
                Ok(false) => Ok(0),
                Err(error) => Err(error),
            };
            if !matches!(checked, Ok(1..)) {
                block.fill(0);
            }
            match checked {
                Ok(0) => break,
                Ok(len) => done += len,
                Err(error) if done == 0 => return Err(error),
                // The next read finds it first.
                Err(_) => break,
            }
        }
        Ok(done)
    }

    fn ahead(&self) -> Result<Option<Box<dyn BlobReader>>> {
        let source = self.source.ahead()?;
        Ok(source.map(|source| {
            let reader: Box<dyn BlobReader> = Box::new(Self::new(source, self.crcs.clone()));
            reader
        }))
    }
}
