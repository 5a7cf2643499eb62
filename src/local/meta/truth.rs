//! [`Known`]: what the truth (snapshot and journal) knows of some blobs, whatever the index says.
//!
//! A removed file cannot come back. So the sweep asks the truth before it removes one. It finds out here if
//! the index has lost rows (I4).

use std::collections::{HashMap, HashSet};

use super::MetaStore;
use super::rows::RowReader;
use crate::going::Going;
use crate::local::format::mutation::Tree;
use crate::{ContentHash, Error, Result};

/// How many rows of a snapshot are read between two questions whether to continue: some milliseconds.
const ROWS_AT_A_TIME: usize = 16 * 1024;

/// What the truth knows of each of some blobs. It takes some 100 bytes of memory for each, and for each of
/// their references.
pub(crate) struct Known {
    blobs: HashMap<ContentHash, Facts>,
}

/// What is known of a blob at one point of the truth.
#[derive(Default)]
struct Facts {
    has_record: bool,
    /// Keys of the references, without the hash.
    references: HashSet<Box<[u8]>>,
}

impl Known {
    fn of(contents: &[ContentHash]) -> Self {
        let blobs = contents.iter().map(|content| (*content, Facts::default()));
        Self {
            blobs: blobs.collect(),
        }
    }

    /// Whether a part refers to the blob.
    pub(crate) fn is_referenced(&self, content: &ContentHash) -> bool {
        let facts = self.blobs.get(content);
        facts.is_some_and(|facts| !facts.references.is_empty())
    }

    /// Whether the blob has a record.
    pub(crate) fn has_record(&self, content: &ContentHash) -> bool {
        let facts = self.blobs.get(content);
        facts.is_some_and(|facts| facts.has_record)
    }

    /// Adds a row that is set or removed after all rows that were added before.
    fn learn(&mut self, tree: Tree, key: &[u8], change: RowChange) {
        let Some((content, rest)) = key.split_first_chunk::<32>() else {
            return;
        };
        let Some(facts) = self.blobs.get_mut(&ContentHash::from_bytes(*content)) else {
            return;
        };
        match (tree, change) {
            (Tree::Refs, RowChange::Set) => drop(facts.references.insert(rest.into())),
            (Tree::Refs, RowChange::Removed) => drop(facts.references.remove(rest)),
            (Tree::Blobs, change) if rest == [0, 0] => {
                facts.has_record = change == RowChange::Set;
            }
            _ => {}
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum RowChange {
    Set,
    Removed,
}

impl MetaStore {
    /// Reads what the truth knows of the blobs, through the batch that is the newest now. `None` if `going`
    /// said no before the end.
    ///
    /// # Cost
    /// One read of snapshot and journal. Nothing is sorted or written.
    ///
    /// # Errors
    /// [`Error::Damaged`] if the truth does not hold what was written; [`Error::Poisoned`], [`Error::Io`].
    pub(crate) fn known(
        &self,
        contents: &[ContentHash],
        going: &Going<'_>,
    ) -> Result<Option<Known>> {
        let newest = self.journal.newest();
        self.journal.wait(newest)?;
        // This lock keeps a snapshot from removing what is being read.
        let base = self.snapshot.lock();
        let mut known = Known::of(contents);
        let read = self.read_snapshot(*base, &mut known, going).and_then(|()| {
            let span = (*base, newest.seq());
            self.journal.read_through(span, &mut |_, mutations| {
                for mutation in mutations {
                    let change = mutation
                        .value
                        .map_or(RowChange::Removed, |_| RowChange::Set);
                    known.learn(mutation.tree, mutation.key, change);
                }
                going.advance_a_little(0)
            })
        });
        match read.inspect_err(|error| self.note_damage(*base, error)) {
            Ok(()) => Ok(Some(known)),
            Err(Error::Closed) => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn read_snapshot(&self, base: u64, known: &mut Known, going: &Going<'_>) -> Result<()> {
        let Some(mut rows) = self.snapshots.open(base)? else {
            return Ok(());
        };
        while learn_some(&mut rows, known)? {
            going.check()?;
        }
        Ok(())
    }
}

/// Returns whether more rows may follow.
fn learn_some(rows: &mut RowReader, known: &mut Known) -> Result<bool> {
    for _ in 0..ROWS_AT_A_TIME {
        match rows.next()? {
            Some(row) => known.learn(row.tree, &row.key, RowChange::Set),
            None => return Ok(false),
        }
    }
    Ok(true)
}
