//! Makes a store of a state.

use std::ops::ControlFlow;
use std::path::Path;

use super::Backups;
use super::bring::{self, Blobs, Outcome};
use crate::going::{Closing, Going, Reached};
use crate::local::blob::BlobFiles;
use crate::local::directory::{self, RESTORING};
use crate::local::file::{self, Dir, Lock};
use crate::local::meta::State;
use crate::values::backup::{RestoreReport, Transfer};
use crate::{Error, Options, Progress, Result};

impl Backups {
    /// Makes a store of a state, in a directory that is missing or empty. Without a number it is the newest
    /// state. The store can be opened when this returns `Ok`, and the report says that it was not cut short.
    ///
    /// A directory in which a restore of the same state was interrupted is continued. Until it is done, it has
    /// a file `RESTORING`, and opening it is refused.
    ///
    /// Layers are read through. Blobs are compared with their hashes if they are copied.
    /// [`PartStore::verify`](crate::PartStore::verify) reads all.
    ///
    /// # Cost
    /// One read of the layers. For each blob that is not linked: its bytes, unless the file system shares
    /// them, and a sync.
    ///
    /// # Errors
    /// - [`Error::NoSuchState`]: there is no such state, or none at all.
    /// - [`Error::NotAStore`]: the directory is not empty.
    /// - [`Error::StoreLocked`]: another process restores to it.
    /// - [`Error::Damaged`]: the state's layers are damaged. [`Error::NewerFormat`]: a newer version took it.
    /// - [`Error::StorageFull`], [`Error::Io`].
    pub fn restore(
        &self,
        state: Option<u64>,
        to: impl AsRef<Path>,
        transfer: Transfer,
    ) -> Result<RestoreReport> {
        self.restore_with(state, to, transfer, |_| ControlFlow::Continue(()))
    }

    /// Does what [`restore`](Self::restore) does, and tells `progress` how many bytes of blobs are there. If it
    /// returns `Break`, the call ends early. The same call later goes on.
    ///
    /// # Errors
    /// As for [`restore`](Self::restore).
    pub fn restore_with(
        &self,
        state: Option<u64>,
        to: impl AsRef<Path>,
        transfer: Transfer,
        mut progress: impl FnMut(Progress) -> ControlFlow<()>,
    ) -> Result<RestoreReport> {
        let closing = Closing::default();
        let going = Going::telling(&closing, &mut progress);
        let mut report = RestoreReport {
            state: self.number_of(state)?,
            ..RestoreReport::default()
        };
        let restored = self.restore_to(to.as_ref(), transfer, &going, &mut report);
        report.cut_short = going.conclude(restored)? == Reached::CutShort;
        Ok(report)
    }

    /// The state that is meant.
    fn number_of(&self, wanted: Option<u64>) -> Result<u64> {
        let numbers = self.numbers()?;
        let found = match wanted {
            None => numbers.last().copied(),
            Some(wanted) => numbers.contains(&wanted).then_some(wanted),
        };
        found.ok_or_else(|| Error::NoSuchState {
            path: self.root().path().to_owned(),
            state: wanted,
        })
    }

    fn restore_to(
        &self,
        to: &Path,
        transfer: Transfer,
        going: &Going<'_>,
        report: &mut RestoreReport,
    ) -> Result<()> {
        let (found, format) = self.read(report.state)?;
        if format > directory::FORMAT {
            return Err(Error::NewerFormat {
                path: self.root().path().to_owned(),
                found: format,
                supported: directory::FORMAT,
            });
        }
        let options = Options::default();
        let path = file::absolute(to)?;
        file::create_dirs(&path, options.mode)?;
        let root = Dir::open(&path, options.mode)?;
        // Before the lock, so that nothing is made in a directory of somebody else.
        directory::refuse_to_restore(&root)?;
        let lock =
            Lock::take(&root, "LOCK")?.ok_or_else(|| Error::StoreLocked { path: path.clone() })?;
        directory::begin_restore(&root, &self.note(report.state))?;
        let source = self.dir_of(report.state)?;
        let layers = State::open(&source)?;
        report.batch = layers.batch();
        if layers.batch() != found.batch {
            return Err(Error::Damaged {
                path: source.path().to_owned(),
                offset: 0,
                reason: format!(
                    "its layers end with batch {}, and it has batch {}",
                    layers.batch(),
                    found.batch
                ),
            });
        }
        BlobFiles::create(&root)?;
        root.create_dir("meta")?;
        let meta = root.dir("meta")?;
        // Those of an earlier restore may be of another state.
        file::remove_tree_if_present(&meta.at("snapshot"))?;
        meta.create_dir("snapshot")?;
        let snapshot = meta.dir("snapshot")?;
        bring::bring_layers(layers.files(), &snapshot, transfer, going)?;
        let state = State::open(&snapshot)?;
        state.require_whole(going)?;
        let blobs = Blobs {
            from: &self.blobs,
            to: &root.dir("blobs")?,
            transfer,
        };
        let mut outcome = Outcome::default();
        let brought = blobs.bring(&state, going, &mut outcome);
        report.blobs = outcome.blobs;
        report.bytes = outcome.bytes;
        report.present = outcome.present;
        report.brought = outcome.brought;
        report.damaged = outcome.damaged;
        brought?;
        state.begin_journal(&meta, &options.journal)?;
        meta.sync()?;
        root.sync()?;
        file::sync_parents(root.path())?;
        going.finish();
        going.check()?;
        // The last step: from here on it is a store.
        directory::end_restore(lock.dir(), format)
    }

    /// What `RESTORING` says.
    fn note(&self, state: u64) -> String {
        let from = self.root().path().display();
        format!("{RESTORING} state {state} of {from}\n")
    }
}
