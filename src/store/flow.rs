//! [`Flow`]: verified bytes of some parts, one after the other, from any place on.
//!
//! - A piece of a block is copied from the block, which the flow keeps.
//! - Whole blocks go straight into the caller's memory.
//! - After [two blocks](IN_ORDER) in order, what the page cache has is read at once, and anything else
//!   [ahead](super::ahead), on other threads.
//! - All flows of a store share their memory. If others have it all, a flow keeps a [little](LITTLE) of a
//!   block, and reads the block again for the next.

use std::sync::Arc;

use bytes::Bytes;

use super::ahead::{Ahead, Order, read_all};
use super::open_blobs::{Leaves, OpenBlobs};
use super::places::{Next, Places, Spot};
use super::shared::Shared;
use crate::backend::BlobReader;
use crate::values::blocks::LONG_BLOCK;
use crate::{ContentHash, Result};

/// Whoever has read so many bytes in order will read on.
const IN_ORDER: u64 = 2 * LONG_BLOCK as u64;
/// What a flow keeps of a block if memory is short, bytes.
const LITTLE: usize = 32 * 1024;

pub(super) struct Flow {
    shared: Arc<Shared>,
    places: Places,
    position: u64,
    /// How many bytes were read in order up to the position.
    in_order: u64,
    /// Bytes are read ahead after so many in order.
    ahead_after: u64,
    /// Verified bytes, and the place of the first one.
    chunk: (u64, Bytes),
    ahead: Ahead,
    open: OpenBlobs,
}

impl Spot {
    /// Where its block of this length begins.
    fn block(self, len: usize) -> Self {
        let skip = self.within % len as u64;
        Self {
            within: self.within - skip,
            left: self.left + skip,
            ..self
        }
    }

    /// The blocks of this length that have the `most` bytes from here on. They are in one long block.
    fn blocks(self, len: usize, most: u64) -> (Self, usize) {
        let block = self.block(len);
        let end = self.block(LONG_BLOCK).within + LONG_BLOCK as u64;
        let wanted = self.within.saturating_add(most).min(end) - block.within;
        let wanted = wanted.next_multiple_of(len as u64);
        let most = usize::try_from(wanted).unwrap_or(LONG_BLOCK);
        (block, block.at_most(most))
    }

    fn at_most(self, most: usize) -> usize {
        usize::try_from(self.left).map_or(most, |left| left.min(most))
    }
}

impl Flow {
    pub(super) fn new(shared: &Arc<Shared>, places: Places) -> Self {
        Self {
            shared: Arc::clone(shared),
            places,
            position: 0,
            in_order: 0,
            ahead_after: IN_ORDER,
            chunk: (0, Bytes::new()),
            ahead: Ahead::at(0),
            open: OpenBlobs::new(&shared.open_blobs),
        }
    }

    /// The same, with a blob that was opened.
    pub(super) fn opened(mut self, content: ContentHash, blob: Box<dyn BlobReader>) -> Self {
        self.open.insert(content, blob);
        self
    }

    pub(super) fn places(&self) -> &Places {
        &self.places
    }

    pub(super) fn read_ahead_after(&mut self, bytes: u64) {
        self.ahead_after = bytes;
    }

    pub(super) fn position(&self) -> u64 {
        self.position
    }

    pub(super) fn seek(&mut self, position: u64) {
        if self.position != position {
            self.position = position;
            self.in_order = 0;
        }
    }

    /// Copies bytes from the position on. 0 only at or behind the end, or if `into` is empty.
    pub(super) fn read(&mut self, into: &mut [u8]) -> Result<usize> {
        self.shared.check_process()?;
        let read = self.try_read(into);
        if read.is_err() {
            self.open.latest_failed();
        }
        read
    }

    fn try_read(&mut self, into: &mut [u8]) -> Result<usize> {
        let mut len = self.read_straight(into)?;
        if len == 0 && !into.is_empty() {
            let bytes = self.load(into.len())?;
            len = bytes.len().min(into.len());
            if let (Some(from), Some(into)) = (bytes.get(..len), into.get_mut(..len)) {
                into.copy_from_slice(from);
            }
        }
        self.advance(len);
        Ok(len)
    }

    /// Returns bytes from the position on, at most so many, without a copy. None only at or behind the end,
    /// or if `most` is 0.
    pub(super) fn next_chunk(&mut self, most: usize) -> Result<Bytes> {
        self.shared.check_process()?;
        if most == 0 {
            return Ok(Bytes::new());
        }
        let mut bytes = self.load(most).inspect_err(|_| self.open.latest_failed())?;
        bytes.truncate(most);
        self.advance(bytes.len());
        Ok(bytes)
    }

    fn advance(&mut self, len: usize) {
        self.position += len as u64;
        self.in_order += len as u64;
        if self.loaded().is_none() {
            self.chunk = (0, Bytes::new());
        }
    }

    fn spot(&mut self, position: u64) -> Result<Option<Spot>> {
        let next = match self.in_order {
            0 => Next::Piece,
            _ => Next::Parts,
        };
        self.places.spot(position, next)
    }

    fn blob(&mut self, content: ContentHash) -> Result<&mut dyn BlobReader> {
        let leaves = match self.in_order {
            0 => Leaves::PerhapsNot,
            _ => Leaves::ForGood,
        };
        let (shared, places) = (&self.shared, &self.places);
        self.open.get(content, leaves, || {
            let session = shared.session()?;
            let blob = session.catalog.blob(&content, places.hold())?;
            session.blobs.open(&content, blob)
        })
    }

    /// The loaded bytes from the position on.
    fn loaded(&self) -> Option<Bytes> {
        let (start, bytes) = &self.chunk;
        let skip = usize::try_from(self.position.checked_sub(*start)?).ok()?;
        (skip < bytes.len()).then(|| bytes.slice(skip..))
    }

    /// Whole blocks into the caller's memory. 0 if that is not the way to go on.
    fn read_straight(&mut self, into: &mut [u8]) -> Result<usize> {
        if self.ahead.has(self.position) || self.loaded().is_some() {
            return Ok(0);
        }
        let Some(spot) = self.spot(self.position)? else {
            return Ok(0);
        };
        let goes_on = self.in_order >= self.ahead_after;
        let blob = self.blob(spot.content)?;
        let block_len = blob.block_len();
        let is_whole = spot.within.is_multiple_of(block_len as u64);
        if !is_whole || into.len() < spot.at_most(block_len) {
            return Ok(0);
        }
        let most = if goes_on { into.len() } else { LONG_BLOCK };
        let most = spot.at_most(most.min(into.len()));
        let into = into.get_mut(..most).unwrap_or_default();
        if goes_on {
            blob.read_cached(spot.within, into)
        } else {
            blob.read_at(spot.within, into)
        }
    }

    /// Returns verified bytes from the position on: some of `most`, or more. None at or behind the end.
    fn load(&mut self, most: usize) -> Result<Bytes> {
        if let Some(bytes) = self.loaded() {
            return Ok(bytes);
        }
        let Some(spot) = self.spot(self.position)? else {
            return Ok(Bytes::new());
        };
        if self.ahead.has(self.position)
            && let Some(chunk) = self.load_ahead()?
        {
            self.chunk = chunk;
            return Ok(self.loaded().unwrap_or_default());
        }
        // What is read in vain is no more than what was read in order.
        let most = self.in_order.max(most as u64);
        let block_len = self.blob(spot.content)?.block_len();
        let (blocks, len) = spot.blocks(block_len, most);
        let start = self.position - spot.within;
        self.ahead = Ahead::at(start + blocks.within);
        self.chunk = if self.in_order >= self.ahead_after {
            match self.load_cached(start, blocks, len)? {
                Some(chunk) => chunk,
                None => match self.load_ahead()? {
                    Some(chunk) => chunk,
                    None => self.load_blocks(spot, (blocks, len))?,
                },
            }
        } else {
            self.load_blocks(spot, (blocks, len))?
        };
        Ok(self.loaded().unwrap_or_default())
    }

    /// Blocks that the page cache has.
    fn load_cached(
        &mut self,
        start: u64,
        blocks: Spot,
        len: usize,
    ) -> Result<Option<(u64, Bytes)>> {
        let mut buffer = self.shared.reading.buffer_of(len);
        let Some(into) = buffer.space().get_mut(..len) else {
            return Ok(None);
        };
        match self
            .blob(blocks.content)?
            .read_cached(blocks.within, into)?
        {
            0 => Ok(None),
            len => {
                buffer.fill(len);
                Ok(Some((start + blocks.within, buffer.freeze())))
            }
        }
    }

    /// The next piece that is read ahead. `None` if nothing can be read ahead.
    fn load_ahead(&mut self) -> Result<Option<(u64, Bytes)>> {
        while let Some((at, most)) = self.ahead.wants() {
            match self.order(at, most) {
                Ok(true) => {}
                // It is met again when it is the next.
                Err(error) if self.ahead.is_empty() => return Err(error),
                Ok(false) | Err(_) => break,
            }
        }
        match self.ahead.take() {
            Some((start, Ok(bytes))) => Ok(Some((start, bytes))),
            Some((start, Err(error))) => {
                self.ahead = Ahead::at(start);
                Err(error)
            }
            None => Ok(None),
        }
    }

    /// Has a piece from the place `at` on read ahead.
    fn order(&mut self, at: u64, most: u64) -> Result<bool> {
        let Some(spot) = self.spot(at)? else {
            return Ok(false);
        };
        let wanted = spot.at_most(usize::try_from(most).unwrap_or(LONG_BLOCK));
        let mut into = self.shared.reading.buffer_for(Some(wanted as u64));
        let room = into.space().len();
        let len = wanted.min(if wanted > room {
            room - room % LONG_BLOCK
        } else {
            room
        });
        if len == 0 {
            return Ok(false);
        }
        let Some(blob) = self.blob(spot.content)?.ahead()? else {
            return Ok(false);
        };
        let within = spot.within;
        let order = Order {
            blob,
            within,
            len,
            into,
        };
        Ok(self.ahead.order(&self.shared.workers, order))
    }

    /// Blocks about a spot, or a little of the first one if memory is short.
    fn load_blocks(&mut self, spot: Spot, (blocks, len): (Spot, usize)) -> Result<(u64, Bytes)> {
        let start = self.position - spot.within;
        let mut buffer = self.shared.reading.buffer_of(len);
        if let Some(into) = buffer.space().get_mut(..len) {
            let least = usize::try_from(spot.within - blocks.within).unwrap_or(0);
            let len = read_all(self.blob(spot.content)?, blocks.within, into, least)?;
            buffer.fill(len);
            return Ok((start + blocks.within, buffer.freeze()));
        }
        let mut little = vec![0; spot.at_most(LITTLE)];
        let len = self.blob(spot.content)?.read_at(spot.within, &mut little)?;
        little.truncate(len);
        Ok((self.position, little.into()))
    }
}
