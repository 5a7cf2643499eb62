//! [`Known`]: what the truth (layers and journal) knows of some blobs, whatever the index says.
//!
//! A removed file cannot come back. So the sweep asks the truth before it removes one. It finds out here if
//! the index has lost rows (I4).

use std::collections::{HashMap, HashSet};
use std::ops::ControlFlow;

use super::MetaStore;
use super::layer::Layer;
use super::stack;
use crate::going::Going;
use crate::local::format::mutation::Tree;
use crate::local::format::record;
use crate::{ContentHash, Error, Result};

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
    /// Some reads of each layer for each blob, and one read of the journal behind the layers.
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
        // This lock keeps a checkpoint from removing the journal that is being read.
        let base = self.base.lock();
        let mut known = Known::of(contents);
        let view = self.stack.view();
        let read = known.ask(view.layers(), contents, going).and_then(|()| {
            let span = (base.seq, newest.seq());
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
        match read.inspect_err(|error| self.note_damage(error)) {
            Ok(()) => Ok(Some(known)),
            Err(Error::Closed) => Ok(None),
            Err(error) => Err(error),
        }
    }
}

impl Known {
    /// Asks the layers about each blob.
    fn ask(&mut self, layers: &[Layer], contents: &[ContentHash], going: &Going<'_>) -> Result<()> {
        for content in contents {
            going.advance_a_little(0)?;
            let first_key = record::numbered_key(content.as_bytes(), 0);
            if stack::get_in(layers, Tree::Blobs, &first_key)?.is_some() {
                self.learn(Tree::Blobs, &first_key, RowChange::Set);
            }
            stack::scan_in(layers, Tree::Refs, content.as_bytes(), &mut |key, _| {
                self.learn(Tree::Refs, key, RowChange::Set);
                Ok(ControlFlow::Continue(()))
            })?;
        }
        Ok(())
    }
}
