//! Takes a backup of an open store.

use std::path::Path;

use super::Backups;
use super::bring::{self, Blobs, Outcome};
use crate::Result;
use crate::going::Going;
use crate::local::blob::BlobFiles;
use crate::local::meta::{MetaStore, State};
use crate::values::backup::{BackupReport, Transfer};

/// What a backup is taken of, and how.
pub(crate) struct Taking<'a> {
    pub meta: &'a MetaStore,
    pub blobs: &'a BlobFiles,
    /// Permissions of its files.
    pub mode: u32,
    pub transfer: Transfer,
}

impl Taking<'_> {
    /// Takes a state. The caller ensures that no blob is removed in the meantime. `report` has what was done
    /// also after an error.
    ///
    /// # Errors
    /// [`Error::Closed`](crate::Error::Closed) if `going` says no. Those of [`MetaStore::hold_state`] and of
    /// the files on both sides.
    pub(crate) fn take(
        &self,
        into: &Path,
        going: &Going<'_>,
        report: &mut BackupReport,
    ) -> Result<()> {
        let backups = Backups::open_or_create(into, self.mode)?;
        let number = backups.clean()?;
        let dir = backups.begin(number)?;
        {
            let held = self.meta.hold_state(going)?;
            bring::bring_layers(held.state.files(), &dir, self.transfer, going)?;
        }
        let state = State::open(&dir)?;
        // A state with damaged rows would be none.
        state.require_whole(going)?;
        let [from, _] = self.blobs.dirs();
        let blobs = Blobs {
            from,
            to: &backups.blobs,
            transfer: self.transfer,
        };
        let mut outcome = Outcome::default();
        let brought = blobs.bring(&state, going, &mut outcome);
        report.batch = state.batch();
        report.blobs = outcome.blobs;
        report.bytes = outcome.bytes;
        report.present = outcome.present;
        report.brought = outcome.brought;
        report.damaged = outcome.damaged;
        brought?;
        // Who says no now is heard. Afterwards there is a state.
        going.finish();
        going.check()?;
        backups.finish(number, &state)?;
        report.state = number;
        Ok(())
    }
}
