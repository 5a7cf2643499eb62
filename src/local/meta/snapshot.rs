//! Snapshots: `snapshot/<seq>.snap`, all rows as they were after one batch. Older journal segments can then
//! be removed.

use std::path::PathBuf;

use super::fold::Fold;
use super::journal::{Journal, Sealed};
use super::rows::{RowReader, RowWriter};
use crate::going::{Closing, Going};
use crate::local::file::{self, Dir, Entry, Handle, Kind, Place};
use crate::{Error, Result};

/// The name of a snapshot before it is whole.
const STAGED: &str = "snapshot.tmp";

/// How much of the journal a snapshot covers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Extent {
    /// All sealed segments.
    All,
    /// As many of the oldest as can be folded in memory, without a run beside the snapshot.
    Step,
}

/// The snapshots of a store.
pub(crate) struct Snapshots {
    dir: Dir,
    spill_at: usize,
    closing: Closing,
}

impl Snapshots {
    /// At most `spill_at` bytes of rows are folded in memory at a time.
    pub(crate) fn new(dir: Dir, spill_at: usize) -> Self {
        Self {
            dir,
            spill_at,
            closing: Closing::default(),
        }
    }

    /// Makes folds end when `closing` begins.
    pub(crate) fn until(self, closing: &Closing) -> Self {
        Self {
            closing: closing.clone(),
            ..self
        }
    }

    /// Begins a fold whose temporary files are beside the snapshots.
    pub(crate) fn begin_fold(&self) -> Fold {
        Fold::new(self.dir.clone(), self.spill_at, self.closing.clone())
    }

    /// Returns the newest published snapshot's sequence number. 0 for none.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub(crate) fn newest(&self) -> Result<u64> {
        Ok(self.seqs()?.into_iter().max().unwrap_or(0))
    }

    /// Returns the newest snapshot whose header can be read. 0 for none.
    pub(crate) fn newest_that_opens(&self) -> Result<u64> {
        let mut seqs = self.seqs()?;
        seqs.retain(|seq| self.open(*seq).is_ok());
        Ok(seqs.into_iter().max().unwrap_or(0))
    }

    /// Returns the sequence numbers of all files that have the name of a snapshot, ascending.
    pub(crate) fn seqs(&self) -> Result<Vec<u64>> {
        let entries = self.dir.list()?;
        let seqs = entries.iter().filter_map(|entry| match name_in(entry) {
            Some(Name::Snapshot(seq)) => Some(seq),
            _ => None,
        });
        Ok(seqs.collect())
    }

    /// Opens the snapshot through `seq`. `None` for 0.
    ///
    /// # Errors
    /// [`Error::Damaged`] if its header cannot be read or names another batch.
    pub(crate) fn open(&self, seq: u64) -> Result<Option<RowReader>> {
        if seq == 0 {
            return Ok(None);
        }
        let reader = RowReader::open(&self.place_of(seq))?;
        if reader.seq() != seq {
            let reason = format!("this is the snapshot through batch {}", reader.seq());
            return Err(Error::Damaged {
                path: self.place_of(seq).path(),
                offset: 8,
                reason,
            });
        }
        Ok(Some(reader))
    }

    /// Reads the snapshot through `seq` from front to back.
    ///
    /// # Errors
    /// [`Error::Damaged`] if it does not hold what was written. [`Error::Closed`] if `going` says no.
    pub(crate) fn check(&self, seq: u64, going: &Going<'_>) -> Result<()> {
        if let Some(mut rows) = self.open(seq)? {
            while let Some(row) = rows.next()? {
                let value = row.value.map_or(0, |value| value.len());
                going.advance_a_little((row.key.len() + value) as u64)?;
            }
        }
        Ok(())
    }

    /// Length of the snapshot through `seq`, bytes. 0 if it cannot be found out.
    pub(crate) fn len(&self, seq: u64) -> u64 {
        let len = Handle::open_read(&self.place_of(seq)).and_then(|file| file.len());
        len.unwrap_or(0)
    }

    /// Makes one snapshot of snapshot `base` and sealed segments, durably. Other threads write to the store
    /// in the meantime, because only files that no longer change are read. Returns its sequence number, or
    /// `None` if no segment is newer than `base`. Nothing is removed yet.
    pub(crate) fn publish(
        &self,
        base: u64,
        journal: &Journal,
        (extent, going): (Extent, &Going<'_>),
    ) -> Result<Option<u64>> {
        let sealed = self.segments(base, journal, extent);
        let Some(last) = sealed.last().map(|sealed| sealed.last_seq) else {
            return Ok(None);
        };
        self.remove_others(base)?;
        self.put(last, &mut |writer| {
            self.fold(base, (&sealed, journal), going)?.finish(
                self.open(base)?,
                &mut |tree, key, value| {
                    going.advance_a_little(0)?;
                    writer.push(tree, key, Some(value))
                },
            )
        })?;
        Ok(Some(last))
    }

    /// Makes the snapshot through `seq` from what `fill` writes, durably. It replaces one that has this
    /// number. If `fill` fails, nothing has changed.
    pub(crate) fn put(
        &self,
        seq: u64,
        fill: &mut dyn FnMut(&mut RowWriter) -> Result<()>,
    ) -> Result<()> {
        let staged = self.dir.at(STAGED);
        file::remove_if_present(&staged)?;
        let written = write(&staged, seq, fill);
        if written.is_err() {
            // If it cannot be removed now, it is removed before the next snapshot.
            let _ = file::remove_if_present(&staged);
        }
        written?;
        file::rename(&staged, &self.place_of(seq))?;
        self.dir.sync()
    }

    /// How many bytes a snapshot of one step takes at most. 0 if nothing is left to do.
    pub(crate) fn step_needs(&self, base: u64, journal: &Journal) -> u64 {
        let step = self.segments(base, journal, Extent::Step);
        if step.is_empty() {
            return 0;
        }
        self.len(base) + step.iter().map(|sealed| sealed.len).sum::<u64>()
    }

    /// The segments above `base` that a snapshot must cover.
    fn segments(&self, base: u64, journal: &Journal, extent: Extent) -> Vec<Sealed> {
        let mut sealed = journal.sealed();
        sealed.retain(|sealed| sealed.last_seq > base);
        if extent == Extent::Step {
            let mut bytes = 0;
            let mut count = 0;
            for segment in &sealed {
                bytes += segment.len;
                // At least one, even a large one.
                if count > 0 && bytes > self.spill_at as u64 / 2 {
                    break;
                }
                count += 1;
            }
            sealed.truncate(count);
        }
        sealed
    }

    fn fold(
        &self,
        base: u64,
        (sealed, journal): (&[Sealed], &Journal),
        going: &Going<'_>,
    ) -> Result<Fold> {
        let mut fold = self.begin_fold();
        journal.read_sealed(sealed, base, &mut |_, mutations| {
            going.advance_a_little(0)?;
            mutations.iter().try_for_each(|mutation| fold.add(mutation))
        })?;
        Ok(fold)
    }

    /// Removes every file of the store except the snapshot through `seq`: older snapshots, and what a crash
    /// left of others.
    pub(crate) fn remove_others(&self, seq: u64) -> Result<()> {
        for entry in self.dir.list()? {
            match name_in(&entry) {
                Some(Name::Snapshot(kept)) if kept == seq => {}
                Some(_) => drop(file::remove_if_present(&self.dir.at(entry.name))?),
                None => {}
            }
        }
        Ok(())
    }

    pub(crate) fn place_of(&self, seq: u64) -> Place {
        self.dir.at(name_of(seq))
    }
}

fn write(
    staged: &Place,
    seq: u64,
    fill: &mut dyn FnMut(&mut RowWriter) -> Result<()>,
) -> Result<()> {
    let mut writer = RowWriter::create(staged, seq)?;
    fill(&mut writer)?;
    writer.finish()?.sync_all()
}

/// What a name in the directory says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Name {
    /// The snapshot through this batch.
    Snapshot(u64),
    /// A temporary file.
    Work,
}

/// `None` for a name that no store makes there.
fn name_in(entry: &Entry) -> Option<Name> {
    if entry.kind == Kind::Directory {
        return None;
    }
    if entry.name == STAGED {
        return Some(Name::Work);
    }
    let (number, extension) = entry.name.to_str()?.split_once('.')?;
    let number = number.parse().ok()?;
    let name = match extension {
        "run" => Name::Work,
        "snap" => Name::Snapshot(number),
        _ => return None,
    };
    let given = [name_of(number), Fold::name_of_run(number)];
    given
        .iter()
        .any(|given| entry.name == **given)
        .then_some(name)
}

fn name_of(seq: u64) -> String {
    format!("{seq:020}.snap")
}

/// The files in the directory that do not belong to the store.
pub(crate) fn foreign(dir: &Dir) -> Result<Vec<PathBuf>> {
    let mut entries = dir.list()?;
    entries.retain(|entry| name_in(entry).is_none());
    Ok(entries
        .into_iter()
        .map(|entry| dir.at(entry.name).path())
        .collect())
}
