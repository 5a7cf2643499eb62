//! [`Places`]: in which part a byte is. Of an object with many parts only a few are known at a time; the catalog
//! has the others.

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::Arc;

use super::session::Session;
use super::shared::Shared;
use crate::backend::{Hold, PartsFrom};
use crate::{ContentHash, Error, ObjectPart, PartNumber, Result};

/// How many parts are asked for at once.
const WINDOW: usize = 32;
/// How many answers are kept: a reader, what it reads ahead, and places to which it may seek again.
const WINDOWS: usize = 16;

pub(super) struct Places {
    shared: Arc<Shared>,
    /// How many parts it has, and how many bytes.
    count: usize,
    size: u64,
    /// All parts, or the first ones.
    first: Vec<ObjectPart>,
    /// Parts that were asked for, in order. The latest answer is the last one.
    windows: VecDeque<Vec<Placed>>,
    /// [I4](crate::rules#i4): parts and blobs stay while they are read.
    hold: Hold,
}

/// A part, as far as reading needs it.
#[derive(Clone, Copy)]
struct Placed {
    content: ContentHash,
    offset: u64,
    size: u64,
}

/// A place in a part.
#[derive(Clone, Copy)]
pub(super) struct Spot {
    pub content: ContentHash,
    pub within: u64,
    /// Bytes of the part from here on.
    pub left: u64,
}

/// What a caller is about to read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// A place, and perhaps nothing behind it.
    Piece,
    /// One part after the other.
    Parts,
}

impl Places {
    /// The first parts of something that has `count` parts and `size` bytes.
    pub(super) fn new(
        shared: &Arc<Shared>,
        first: Vec<ObjectPart>,
        (count, size): (usize, u64),
        hold: Hold,
    ) -> Self {
        Self {
            shared: Arc::clone(shared),
            count,
            size,
            first,
            windows: VecDeque::new(),
            hold,
        }
    }

    /// The store that has them.
    #[cfg(not(shuttle))]
    pub(super) fn shared(&self) -> &Shared {
        &self.shared
    }

    /// Their bytes together.
    #[cfg(not(shuttle))]
    pub(super) fn size(&self) -> u64 {
        self.size
    }

    /// What keeps parts and blobs.
    pub(super) fn hold(&self) -> &Hold {
        &self.hold
    }

    /// Where a byte is. `None` behind the end.
    ///
    /// # Errors
    /// [`Error::Index`] if the catalog does not name the part.
    pub(super) fn spot(&mut self, position: u64, next: Next) -> Result<Option<Spot>> {
        if position >= self.size {
            return Ok(None);
        }
        if let Some(spot) = self.known(position) {
            return Ok(Some(spot));
        }
        // Whoever seeks again and again will need the others, too, if all of them can be kept.
        let seeks_again = !self.windows.is_empty() && self.count <= WINDOWS * WINDOW;
        let most = match next {
            Next::Piece if !seeks_again => 1,
            Next::Piece | Next::Parts => WINDOW,
        };
        let parts = self.ask(PartsFrom::Byte(position), most)?;
        if self.windows.len() >= WINDOWS {
            self.windows.pop_front();
        }
        self.windows
            .push_back(parts.iter().map(Placed::of).collect());
        self.known(position).map(Some).ok_or_else(lost_parts)
    }

    fn known(&self, position: u64) -> Option<Spot> {
        let first = place_of(&self.first, position).and_then(|at| self.first.get(at));
        let found = first.map(Placed::of).or_else(|| {
            let mut windows = self.windows.iter().rev();
            windows.find_map(|parts| parts.get(place_of(parts, position)?).copied())
        })?;
        let within = position - found.offset;
        Some(Spot {
            content: found.content,
            within,
            left: found.size - within,
        })
    }

    fn ask(&self, from: PartsFrom, most: usize) -> Result<Vec<ObjectPart>> {
        if self.first.len() >= self.count {
            return Ok(Vec::new());
        }
        self.ask_in(&*self.shared.session()?, from, most)
    }

    fn ask_in(&self, session: &Session, from: PartsFrom, most: usize) -> Result<Vec<ObjectPart>> {
        session.catalog.held_parts(&self.hold, from, most)
    }

    /// The part with this byte.
    pub(super) fn with_byte(&self, byte: u64) -> Result<Option<ObjectPart>> {
        if byte >= self.size {
            return Ok(None);
        }
        if let Some(at) = place_of(&self.first, byte) {
            return Ok(self.first.get(at).cloned());
        }
        Ok(self.ask(PartsFrom::Byte(byte), 1)?.pop())
    }

    /// The part with this number.
    pub(super) fn with_number(&self, number: PartNumber) -> Result<Option<ObjectPart>> {
        let found = self
            .first
            .binary_search_by_key(&number, |placed| placed.part.number);
        if let Ok(at) = found {
            return Ok(self.first.get(at).cloned());
        }
        let found = self.ask(PartsFrom::Number(number), 1)?.pop();
        Ok(found.filter(|placed| placed.part.number == number))
    }

    /// All parts, in order.
    pub(super) fn all(&self) -> impl Iterator<Item = Result<ObjectPart>> {
        self.all_by(|from, most| self.ask(from, most))
    }

    /// The same, within a call that has the session.
    pub(super) fn all_in(&self, session: &Session) -> impl Iterator<Item = Result<ObjectPart>> {
        self.all_by(|from, most| self.ask_in(session, from, most))
    }

    fn all_by(
        &self,
        ask: impl Fn(PartsFrom, usize) -> Result<Vec<ObjectPart>>,
    ) -> impl Iterator<Item = Result<ObjectPart>> {
        let mut window = self.first.clone().into_iter();
        let (mut left, mut next) = (self.count, Some(PartNumber::MIN));
        std::iter::from_fn(move || {
            if left > 0 && window.len() == 0 {
                let more = next.map_or(Ok(Vec::new()), |next| ask(PartsFrom::Number(next), WINDOW));
                match more {
                    Ok(parts) => window = parts.into_iter(),
                    Err(error) => {
                        left = 0;
                        return Some(Err(error));
                    }
                }
            }
            left = left.checked_sub(1)?;
            let Some(placed) = window.next() else {
                left = 0;
                return Some(Err(lost_parts()));
            };
            next = PartNumber::new(u32::from(placed.part.number.get()) + 1).ok();
            Some(Ok(placed))
        })
    }
}

fn lost_parts() -> Error {
    Error::Index {
        cause: "it has lost parts of an object that is being read".to_owned(),
    }
}

/// The place in the list of the part that has the byte.
fn place_of(parts: &[impl Bytes], byte: u64) -> Option<usize> {
    parts.first().filter(|first| first.range().start <= byte)?;
    let at = parts.partition_point(|placed| placed.range().end <= byte);
    (at < parts.len()).then_some(at)
}

/// Bytes of an object.
trait Bytes {
    fn range(&self) -> Range<u64>;
}

impl Bytes for ObjectPart {
    fn range(&self) -> Range<u64> {
        self.offset..self.end()
    }
}

impl Bytes for Placed {
    fn range(&self) -> Range<u64> {
        self.offset..self.offset + self.size
    }
}

impl Placed {
    fn of(placed: &ObjectPart) -> Self {
        Self {
            content: placed.part.content,
            offset: placed.offset,
            size: placed.part.size,
        }
    }
}
