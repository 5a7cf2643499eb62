//! [`Verified`]: a blob's bytes, of which each block is checked against its CRC-32 before any of it is
//! returned (I5).

use std::borrow::Borrow;
use std::cell::Cell;

use super::blobs::BlobReader;
use crate::values::blocks::{BlockCrcs, LONG_BLOCK};
use crate::{ContentHash, Error, Result};

/// What is wrong with bytes whose blocks are sound, and which are not those of the hash.
const WRONG_HASH: &str = "its bytes do not have its hash";

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
    /// Room for some blocks. It is taken out while it is used.
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

    /// Reads all bytes, and compares them with the CRCs and with the hash. It reads as much at a time as fits into
    /// `memory`, which is at least [`LONG_BLOCK`] bytes. Tells `advance` of each step's bytes.
    ///
    /// # Errors
    /// [`Error::DamagedBlob`](crate::Error::DamagedBlob), [`Error::Io`](crate::Error::Io), and those of `advance`.
    pub fn check_all(
        &mut self,
        content: &ContentHash,
        memory: &mut [u8],
        advance: &mut dyn FnMut(u64) -> Result<()>,
    ) -> Result<()> {
        let longest = memory.len() - memory.len() % LONG_BLOCK;
        let (mut hasher, mut position) = (blake3::Hasher::new(), 0);
        while position < self.size() {
            let rest = usize::try_from(self.size() - position).unwrap_or(longest);
            let bytes = memory.get_mut(..longest.min(rest)).unwrap_or_default();
            self.source.read_exact_at(position, bytes)?;
            // Piece by piece, while the processor has them.
            for piece in bytes.chunks(LONG_BLOCK) {
                self.sound_blocks(position, piece).1?;
                hasher.update(piece);
                position += piece.len() as u64;
                advance(piece.len() as u64)?;
            }
        }
        if hasher.finalize().as_bytes() == content.as_bytes() {
            Ok(())
        } else {
            Err(self.source.damaged(WRONG_HASH))
        }
    }

    /// Calls `with` on `len` bytes from `position` on, which are whole blocks.
    fn with_blocks<T>(
        &mut self,
        position: u64,
        len: usize,
        with: impl FnOnce(&[u8]) -> T,
    ) -> Result<T> {
        let mut memory = BLOCK.try_with(Cell::take).unwrap_or_default();
        if memory.len() < len {
            memory.resize(len, 0);
        }
        let blocks = memory.get_mut(..len).unwrap_or_default();
        let read = self.source.read_exact_at(position, blocks);
        let done = read.and_then(|()| match self.sound_blocks(position, blocks) {
            (_, Ok(())) => Ok(with(blocks)),
            (_, Err(damage)) => Err(damage),
        });
        // A thread that is ending keeps nothing.
        let _ = BLOCK.try_with(|kept| kept.set(memory));
        done
    }

    fn block_len(&self) -> usize {
        self.crcs.borrow().block_len()
    }

    /// How many bytes of `len` are whole blocks, if the first one begins at `position`.
    fn whole_blocks(&self, position: u64, len: usize) -> usize {
        let block_len = self.block_len();
        if !position.is_multiple_of(block_len as u64) {
            return 0;
        }
        let rest = self.size().saturating_sub(position);
        match usize::try_from(rest) {
            Ok(rest) if rest <= len => rest,
            _ => len - len % block_len,
        }
    }

    /// How many bytes are before the first damaged block, and the error that names it.
    fn sound_blocks(&self, position: u64, blocks: &[u8]) -> (usize, Result<()>) {
        let (crcs, block_len) = (self.crcs.borrow(), self.block_len());
        let mut sound = 0;
        for (at, block) in (position / block_len as u64..).zip(blocks.chunks(block_len)) {
            if !crcs.matches(at, block) {
                let damage = self.source.damaged(&format!(
                    "block {at} of {block_len} bytes does not hold what was stored"
                ));
                return (sound, Err(damage));
            }
            sound += block.len();
        }
        (sound, Ok(()))
    }

    /// Checks blocks that were read, and returns how many bytes of them may be returned. What is behind the
    /// first damaged one is wiped.
    fn check_blocks(&self, position: u64, blocks: &mut [u8]) -> Result<usize> {
        match self.sound_blocks(position, blocks) {
            (sound, Ok(())) => Ok(sound),
            (sound, Err(damage)) => {
                blocks.get_mut(sound..).unwrap_or_default().fill(0);
                // The next read finds the damaged block first.
                if sound > 0 { Ok(sound) } else { Err(damage) }
            }
        }
    }

    fn read_piece(&mut self, position: u64, into: &mut [u8]) -> Result<usize> {
        let block_len = self.block_len() as u64;
        let skip = usize::try_from(position % block_len).unwrap_or(0);
        let block = position / block_len;
        let len = self.crcs.borrow().len_of(block);
        self.with_blocks(block * block_len, len, |block| {
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
    fn block_len(&self) -> usize {
        Self::block_len(self)
    }

    fn read_at(&mut self, position: u64, into: &mut [u8]) -> Result<usize> {
        if position >= self.size() || into.is_empty() {
            return Ok(0);
        }
        let whole = self.whole_blocks(position, into.len());
        match into.get_mut(..whole) {
            None | Some([]) => self.read_piece(position, into),
            Some(blocks) => match self.source.read_exact_at(position, blocks) {
                Ok(()) => self.check_blocks(position, blocks),
                Err(error) => {
                    blocks.fill(0);
                    // Blocks before the damage are sound.
                    match (blocks.get_mut(..self.block_len()), &error) {
                        (Some(first), Error::DamagedBlob { .. }) if first.len() < whole => {
                            self.read_at(position, first)
                        }
                        _ => Err(error),
                    }
                }
            },
        }
    }

    fn read_cached(&mut self, position: u64, into: &mut [u8]) -> Result<usize> {
        let whole = self.whole_blocks(position, into.len());
        let mut done = 0;
        // Piece by piece, so that blocks are checked while the processor still has them.
        for piece in into
            .get_mut(..whole)
            .unwrap_or_default()
            .chunks_mut(LONG_BLOCK)
        {
            let at = position + done as u64;
            let read = self.source.read_cached(at, piece);
            let checked = match read {
                Ok(true) => self.check_blocks(at, piece),
                Ok(false) => Ok(0),
                Err(error) => Err(error),
            };
            if !matches!(checked, Ok(1..)) {
                piece.fill(0);
            }
            match checked {
                Ok(len) => {
                    done += len;
                    if len < piece.len() {
                        break;
                    }
                }
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
