//! Snapshots: `snapshot/<seq>.snap`, the whole live set as of a batch, so that older journal
//! segments can go.

use std::path::{Path, PathBuf};

use super::fold::Fold;
use super::journal::{Journal, Sealed};
use super::rows::{RowReader, RowWriter};
use crate::file;
use crate::{Error, Result};

/// The snapshots of a store.
pub(crate) struct Snapshots {
    dir: PathBuf,
}

impl Snapshots {
    pub(crate) fn new(dir: PathBuf) -> Self {
        Self { dir }
    }

    /// The newest published snapshot's sequence number; 0 when there is none.
    ///
    /// # Errors
    /// [`Error::Damaged`] when something else lies in the directory.
    pub(crate) fn newest(&self) -> Result<u64> {
        let mut newest = 0;
        for (name, _) in file::list(&self.dir)? {
            newest = newest.max(self.seq_of(&name)?.unwrap_or(0));
        }
        Ok(newest)
    }

    /// Opens the snapshot through `seq`; `None` for 0.
    ///
    /// # Errors
    /// [`Error::Damaged`] when its header does not read or names another batch.
    pub(crate) fn open(&self, seq: u64) -> Result<Option<RowReader>> {
        if seq == 0 {
            return Ok(None);
        }
        let reader = RowReader::open(&self.path_of(seq))?;
        if reader.seq() != seq {
            let reason = format!("this is the snapshot through batch {}", reader.seq());
            return Err(Error::Damaged {
                path: self.path_of(seq),
                offset: 8,
                reason,
            });
        }
        Ok(Some(reader))
    }

    /// Reads the snapshot through `seq` from front to back.
    ///
    /// # Errors
    /// [`Error::Damaged`] when it does not hold what was written.
    pub(crate) fn check(&self, seq: u64) -> Result<()> {
        if let Some(mut rows) = self.open(seq)? {
            while rows.next()?.is_some() {}
        }
        Ok(())
    }

    /// Makes one snapshot of snapshot `base` and all sealed segments, durably. Writes to the store go
    /// on meanwhile: only files that no longer change are read. Gives its sequence number, or `None`
    /// when no segment is newer than `base`. Nothing is removed yet.
    pub(crate) fn publish(&self, base: u64, journal: &Journal) -> Result<Option<u64>> {
        let mut sealed = journal.sealed();
        sealed.retain(|sealed| sealed.last_seq > base);
        let Some(last) = sealed.last().map(|sealed| sealed.last_seq) else {
            return Ok(None);
        };
        self.remove_others(base)?;
        let staged = self.dir.join("snapshot.tmp");
        let written = self.write(&staged, base, (&sealed, last), journal);
        if written.is_err() {
            // What can not be removed now is removed before the next one.
            let _ = file::remove_if_present(&staged);
        }
        written?;
        file::rename(&staged, &self.path_of(last))?;
        file::sync_dir(&self.dir)?;
        Ok(Some(last))
    }

    fn write(
        &self,
        staged: &Path,
        base: u64,
        (sealed, last): (&[Sealed], u64),
        journal: &Journal,
    ) -> Result<()> {
        let mut fold = Fold::new(self.dir.clone());
        journal.read_sealed(sealed, base, &mut |_, mutations| {
            mutations.iter().try_for_each(|mutation| fold.add(mutation))
        })?;
        let mut writer = RowWriter::create(staged.to_owned(), last)?;
        fold.finish(self.open(base)?, &mut |tree, key, value| {
            writer.push(tree, key, Some(value))
        })?;
        writer.finish()?.sync_all()
    }

    /// Removes every file but the snapshot through `seq`: older snapshots, and what a crash left of
    /// others.
    pub(crate) fn remove_others(&self, seq: u64) -> Result<()> {
        for (name, _) in file::list(&self.dir)? {
            if seq == 0 || self.seq_of(&name)? != Some(seq) {
                file::remove(&self.dir.join(name))?;
            }
        }
        Ok(())
    }

    /// The number in a snapshot's name; `None` for a file of work that a crash cut short.
    fn seq_of(&self, name: &str) -> Result<Option<u64>> {
        let path = self.dir.join(name);
        if path
            .extension()
            .is_some_and(|extension| extension == "run" || extension == "tmp")
        {
            return Ok(None);
        }
        let seq = name
            .strip_suffix(".snap")
            .and_then(|digits| digits.parse().ok());
        match seq.filter(|seq| self.path_of(*seq) == path) {
            Some(seq) => Ok(Some(seq)),
            None => Err(Error::Damaged {
                path,
                offset: 0,
                reason: "this is no snapshot".to_owned(),
            }),
        }
    }

    fn path_of(&self, seq: u64) -> PathBuf {
        self.dir.join(format!("{seq:020}.snap"))
    }
}
