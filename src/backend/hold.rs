//! [`Hold`]: what keeps blobs from removal.

use std::any::Any;
use std::sync::Arc;

use super::rows::StoredBlob;
use crate::{Object, ObjectPart, Part, PartNumber};

/// Keeps some blobs from removal for as long as it exists ([I4](crate::rules#i4)). What it is, the engine
/// decides. Clones keep the same blobs.
#[derive(Clone)]
pub struct Hold(Arc<dyn Any + Send + Sync>);

impl Hold {
    /// Makes one of a value, which is dropped with the last clone.
    #[must_use]
    pub fn new(kept: impl Any + Send + Sync) -> Self {
        Self(Arc::new(kept))
    }

    /// Returns the value that it was made of, if that has this type. A hold of another engine has not.
    #[must_use]
    pub fn get<T: Any>(&self) -> Option<&T> {
        self.0.downcast_ref()
    }
}

impl std::fmt::Debug for Hold {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Hold").finish_non_exhaustive()
    }
}

/// A part whose bytes stay.
#[derive(Clone, Debug)]
pub struct HeldPart {
    /// The part.
    pub part: Part,
    /// Its blob.
    pub blob: StoredBlob,
    /// Keeps that blob.
    pub hold: Hold,
}

/// An object whose bytes stay.
#[derive(Clone, Debug)]
pub struct HeldObject {
    /// The object.
    pub object: Object,
    /// Its first parts, in order, with their places: all, or as many as the engine likes to read now.
    /// [`Catalog::held_parts`](super::Catalog::held_parts) has the others.
    pub parts: Vec<ObjectPart>,
    /// Keeps the blobs of all of them, and what the engine knows of the parts.
    pub hold: Hold,
}

/// Where some parts of an object begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PartsFrom {
    /// With the one that has this byte of the object.
    Byte(u64),
    /// With the first one that has at least this number.
    Number(PartNumber),
}

impl ObjectPart {
    /// Gives the parts of an object their places. They are in order.
    #[must_use]
    pub fn all(parts: impl IntoIterator<Item = Part>) -> Vec<Self> {
        let mut offset = 0;
        let place = |part: Part| {
            let placed = Self::at(offset, part);
            offset = placed.end();
            placed
        };
        parts.into_iter().map(place).collect()
    }

    /// Gives a part of an object its place.
    #[must_use]
    pub fn at(offset: u64, part: Part) -> Self {
        Self { part, offset }
    }

    /// The place behind it.
    pub(crate) fn end(&self) -> u64 {
        self.offset.saturating_add(self.part.size)
    }
}
