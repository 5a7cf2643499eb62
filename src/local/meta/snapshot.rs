//! Snapshots: what stores of formats 1 and 2 have in place of [layers](super::layers). `<seq>.snap` has all
//! rows as they were after one batch. An open writes them to a layer.

use super::rows::RowReader;
use crate::going::Going;
use crate::local::file::{Dir, Entry, Kind, Place};
use crate::{Error, Result};

/// The name of a snapshot before it was whole.
const UNFINISHED: &str = "snapshot.tmp";

/// The snapshots in a directory.
pub(super) struct Snapshots {
    dir: Dir,
}

impl Snapshots {
    pub(super) fn in_dir(dir: &Dir) -> Self {
        Self { dir: dir.clone() }
    }

    /// Returns the newest snapshot's sequence number. 0 for none.
    pub(super) fn newest(&self) -> Result<u64> {
        Ok(self.seqs()?.into_iter().max().unwrap_or(0))
    }

    /// Returns the sequence numbers of all files that have the name of a snapshot, ascending.
    pub(super) fn seqs(&self) -> Result<Vec<u64>> {
        let mut seqs: Vec<u64> = self.dir.list()?.iter().filter_map(seq_in).collect();
        seqs.sort_unstable();
        Ok(seqs)
    }

    /// Opens the snapshot through `seq`.
    ///
    /// # Errors
    /// [`Error::Damaged`] if its header cannot be read or names another batch.
    pub(super) fn open(&self, seq: u64) -> Result<RowReader> {
        let reader = RowReader::open(&self.place_of(seq))?;
        if reader.seq() != seq {
            let reason = format!("this is the snapshot through batch {}", reader.seq());
            return Err(Error::Damaged {
                path: self.place_of(seq).path(),
                offset: 8,
                reason,
            });
        }
        Ok(reader)
    }

    /// Reads the snapshot through `seq` from front to back. Returns how many rows it has.
    ///
    /// # Errors
    /// [`Error::Damaged`] if it does not hold what was written. [`Error::Closed`] if `going` says no.
    pub(super) fn check(&self, seq: u64, going: &Going<'_>) -> Result<u64> {
        let (mut rows, mut read) = (self.open(seq)?, 0);
        while let Some(row) = rows.next()? {
            let value = row.value.map_or(0, |value| value.len());
            going.advance_a_little((row.key.len() + value) as u64)?;
            read += 1;
        }
        Ok(read)
    }

    pub(super) fn place_of(&self, seq: u64) -> Place {
        self.dir.at(name_of(seq))
    }
}

/// Whether this is a snapshot, or what is left of one that was being written.
pub(super) fn is_ours(entry: &Entry) -> bool {
    entry.kind != Kind::Directory && (entry.name == UNFINISHED || seq_in(entry).is_some())
}

fn seq_in(entry: &Entry) -> Option<u64> {
    if entry.kind == Kind::Directory {
        return None;
    }
    let seq = entry.name.to_str()?.strip_suffix(".snap")?.parse().ok()?;
    (*name_of(seq) == entry.name).then_some(seq)
}

fn name_of(seq: u64) -> String {
    format!("{seq:020}.snap")
}
