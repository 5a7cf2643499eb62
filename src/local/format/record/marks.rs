//! [`Marks`]: where some parts of an object begin, so that a byte's part is found without the rows before it.

use super::super::cursor::{Cursor, len_u16};
use crate::PartNumber;

/// Parts from one mark to the next. The marks of 10,000 parts take 1,560 bytes.
const STRIDE: usize = 64;

/// A place between two parts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Mark {
    /// The number of the part before it. 0 at the start.
    pub after: u16,
    /// Bytes of all parts before it.
    pub offset: u64,
    /// How many parts are before it.
    pub parts: usize,
}

/// The places behind each [`STRIDE`] parts of an object, as far as they are known.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Marks(Vec<Mark>);

impl Mark {
    const START: Self = Self {
        after: 0,
        offset: 0,
        parts: 0,
    };

    /// The place behind the next part, which has this number and so many bytes.
    pub(crate) fn behind(self, number: PartNumber, size: u64) -> Self {
        Self {
            after: number.get(),
            offset: self.offset + size,
            parts: self.parts + 1,
        }
    }
}

impl Marks {
    /// Those of an object with these parts, which are in order.
    pub(crate) fn of(parts: impl IntoIterator<Item = (PartNumber, u64)>) -> Self {
        let (mut marks, mut place) = (Self::default(), Mark::START);
        for (number, size) in parts {
            place = place.behind(number, size);
            marks.pass(place);
        }
        marks
    }

    /// Remembers a place, if a mark is due there.
    pub(crate) fn pass(&mut self, place: Mark) {
        if place.parts == (self.0.len() + 1) * STRIDE {
            self.0.push(place);
        }
    }

    /// The last mark at or before a byte of the object.
    pub(crate) fn before_byte(&self, byte: u64) -> Mark {
        self.last(|mark| mark.offset <= byte)
    }

    /// The last mark before a part.
    pub(crate) fn before_part(&self, number: PartNumber) -> Mark {
        self.last(|mark| mark.after < number.get())
    }

    fn last(&self, is_before: impl Fn(&Mark) -> bool) -> Mark {
        let found = self.0.partition_point(is_before).checked_sub(1);
        let found = found.and_then(|at| self.0.get(at));
        found.copied().unwrap_or(Mark::START)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn encode(&self, fields: &mut Vec<u8>) {
        fields.extend_from_slice(&len_u16(self.0.len()));
        for mark in &self.0 {
            fields.extend_from_slice(&mark.after.to_be_bytes());
            fields.extend_from_slice(&mark.offset.to_be_bytes());
        }
    }

    pub(super) fn decode(cursor: &mut Cursor<'_>) -> Option<Self> {
        let mut marks = Vec::new();
        for at in 1..=usize::from(cursor.u16()?) {
            marks.push(Mark {
                after: cursor.u16()?,
                offset: cursor.u64()?,
                parts: at * STRIDE,
            });
        }
        Some(Self(marks))
    }
}
