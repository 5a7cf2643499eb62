//! Rows in temporary files, one for each tree, which are read side by side.

use super::super::fold::Fold;
use super::super::rows::{Row, RowReader, RowWriter};
use crate::local::file::{Dir, Place};
use crate::local::format::mutation::Tree;
use crate::{Error, Result};

/// It takes a row, or returns `false`.
type Divert<'a> = dyn FnMut(Tree, &[u8], &[u8]) -> Result<bool> + 'a;

/// The rows of each tree in a file.
pub(super) struct Streams {
    places: Vec<Place>,
}

impl Streams {
    /// Writes what is left of a fold. `divert` is offered each row first. What it takes is not written.
    pub(super) fn of(fold: Fold, dir: &Dir, divert: &mut Divert<'_>) -> Result<Self> {
        let places: Vec<Place> = Tree::ALL.iter().map(|tree| dir.at(tree.name())).collect();
        let writers = places.iter().map(|place| RowWriter::create(place, 0));
        let mut writers = writers.collect::<Result<Vec<_>>>()?;
        fold.finish_rows(&mut |tree, key, value| {
            if divert(tree, key, value)? {
                return Ok(());
            }
            match writers.get_mut(tree.at()) {
                Some(writer) => writer.push(tree, key, Some(value)),
                None => Ok(()),
            }
        })?;
        for writer in writers {
            writer.finish()?;
        }
        Ok(Self { places })
    }

    pub(super) fn open(&self, tree: Tree) -> Result<Stream> {
        let place = self.places.get(tree.at()).ok_or(Error::Closed)?;
        let mut reader = RowReader::open(place)?;
        let next = reader.next()?;
        Ok(Stream { reader, next })
    }
}

pub(super) struct Stream {
    reader: RowReader,
    next: Option<Row>,
}

impl Stream {
    pub(super) fn peek(&self) -> Option<&Row> {
        self.next.as_ref()
    }

    pub(super) fn next(&mut self) -> Result<Option<Row>> {
        let Some(taken) = self.next.take() else {
            return Ok(None);
        };
        self.next = self.reader.next()?;
        Ok(Some(taken))
    }

    /// Takes the rows whose keys begin with `prefix`, and skips those before.
    pub(super) fn take(&mut self, prefix: &[u8]) -> Result<Vec<Row>> {
        let mut taken = Vec::new();
        while let Some(row) = self.peek() {
            if row.key.starts_with(prefix) {
                taken.extend(self.next()?);
            } else if row.key.as_slice() < prefix {
                self.next()?;
            } else {
                break;
            }
        }
        Ok(taken)
    }
}
