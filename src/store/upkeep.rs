//! Upkeep: sweeping, housekeeping, verifying, and statistics.

use std::ops::ControlFlow;
use std::path::Path;

use super::{PartStore, housekeeping};
use crate::going::{Going, Reached};
use crate::spans::span;
#[cfg(doc)]
use crate::{Background, Backups};
use crate::{
    BackupReport, ContentHash, Error, Event, Key, ListNamespaces, MaintenanceReport, Progress,
    Result, Scope, Stats, SweepReport, Transfer, UploadInfo, VerifyReport,
};

impl PartStore {
    /// Removes every blob that nothing refers to and nobody uses ([I7](crate::rules#i7)). After an unclean
    /// open it also removes the files that a crash left in `blobs/`. The housekeeping sweeps by itself.
    ///
    /// A file is removed only if the journal and the layers confirm what the index says: that nothing
    /// refers to it. If a file cannot be removed, the others still are. The call then returns the first
    /// such failure, and the next sweep tries again.
    ///
    /// # Cost
    /// - One read of the journal and the layers for each 65,536 blobs that may be removed: about 2 s for
    ///   1,000,000 parts.
    /// - One sync of the journal and up to 256 of directories for each 256 blobs that are removed.
    /// - Some 200 bytes of memory for each of 65,536 blobs.
    /// - About 11 to 22 us of a processor for each part of the uploads and objects that have ended since the
    ///   last sweep with more than 32 parts.
    ///
    /// # Errors
    /// - [`Error::Poisoned`], [`Error::Closed`], [`Error::StorageFull`]: the store has stopped or is
    ///   closed, or the disk is full.
    /// - [`Error::Index`]: the index failed, or denies a reference that the journal knows. The store has
    ///   stopped, and nothing was removed. Opening it again rebuilds the index.
    /// - [`Error::Damaged`]: the journal or a layer does not hold what was written.
    /// - [`Error::DamagedRow`], [`Error::Io`]: a row of the index is damaged, or a system call failed.
    pub fn sweep(&self) -> Result<SweepReport> {
        self.sweep_with(|_| ControlFlow::Continue(()))
    }

    /// Does what [`sweep`](Self::sweep) does, and tells `progress` how far it has come. If `progress`
    /// returns `Break`, the sweep ends early. The report then says so, and counts what was removed before.
    /// The next sweep does the rest.
    ///
    /// It counts blobs: those that may be removed, and all of them after an unclean open. `progress` is
    /// called at the beginning and at the end, and at least once for each 256 blobs and some thousand
    /// records.
    ///
    /// `progress` may make any other call except [`close`](Self::close), `sweep`, `maintain` and `verify`,
    /// which would wait for this one. Closing waits for `progress` to return, and does not call it again.
    ///
    /// # Errors
    /// As for [`sweep`](Self::sweep).
    pub fn sweep_with(
        &self,
        mut progress: impl FnMut(Progress) -> ControlFlow<()>,
    ) -> Result<SweepReport> {
        let session = self.session()?;
        let going = Going::telling(&session.closing, &mut progress);
        let mut report = SweepReport::default();
        let swept = session.sweep(&going).map(|swept| report = swept);
        report.cut_short = going.conclude(swept)? == Reached::CutShort;
        Ok(report)
    }

    /// Does one round of housekeeping: expires uploads, sweeps, and makes a checkpoint when the journal is
    /// long. It is for servers that chose [`Background::Host`]. With [`Background::Thread`] it is harmless.
    ///
    /// # Errors
    /// As for [`sweep`](Self::sweep). [`Error::Damaged`] also says that a journal segment cannot be read.
    pub fn maintain(&self) -> Result<MaintenanceReport> {
        self.maintain_with(|_| ControlFlow::Continue(()))
    }

    /// Does what [`maintain`](Self::maintain) does, and tells `progress` how far it has come. If `progress`
    /// returns `Break`, the round ends early, and the report says so. A checkpoint that is broken off changes
    /// nothing.
    ///
    /// It counts the blobs of the sweep, as [`sweep_with`](Self::sweep_with) does: none is done while
    /// uploads expire, and all are done while the checkpoint is made. `progress` is called in all three
    /// steps, and may make the same calls as there.
    ///
    /// # Errors
    /// As for [`maintain`](Self::maintain).
    pub fn maintain_with(
        &self,
        mut progress: impl FnMut(Progress) -> ControlFlow<()>,
    ) -> Result<MaintenanceReport> {
        let session = self.session()?;
        let going = Going::telling(&session.closing, &mut progress);
        let mut report = MaintenanceReport::default();
        let done = housekeeping::round(&session, &going).map(|done| report = done);
        report.cut_short = going.conclude(done)? == Reached::CutShort;
        Ok(report)
    }

    /// Reads what is on disk and compares it with its checksums, and compares records with each other. The
    /// store can be used in the meantime. Damaged files and blobs are listed, not returned as errors.
    ///
    /// # Cost
    /// About 12 us of a processor a part. With [`Scope::Everything`] also one read of all blobs: on two threads a
    /// processor and eight at most, each with 2 MiB of the memory for bodies. They read past the page cache where
    /// the file system allows it, so that the disk is what is checked.
    ///
    /// # Errors
    /// - [`Error::Closed`]: the store is closed, or was closed in the meantime.
    /// - [`Error::Index`], [`Error::DamagedRow`], [`Error::Io`]: the index or a system call failed.
    pub fn verify(&self, scope: Scope) -> Result<VerifyReport> {
        self.verify_with(scope, |_| ControlFlow::Continue(()))
    }

    /// Does what [`verify`](Self::verify) does, and tells `progress` how far it has come. If `progress`
    /// returns `Break`, the call ends early. The report then says so, and has what was found before.
    ///
    /// It counts bytes: those of the journal, the layers and the records, and with [`Scope::Everything`]
    /// those of the blobs. What is added in the meantime is not counted. `progress` is called at the
    /// beginning and at the end. In between it is called for each journal segment, at least once for 256
    /// records, and for each 256 KiB of a blob. While it is called, no thread reads on for long: a caller that
    /// sleeps in it limits the rate.
    ///
    /// `progress` may make any other call except [`close`](Self::close), `sweep`, `maintain` and `verify`,
    /// which would wait for this one. Closing waits for `progress` to return, and does not call it again.
    ///
    /// # Errors
    /// As for [`verify`](Self::verify).
    pub fn verify_with(
        &self,
        scope: Scope,
        progress: impl FnMut(Progress) -> ControlFlow<()>,
    ) -> Result<VerifyReport> {
        self.verify_behind(scope, None, progress)
    }

    /// Goes on with a [`verify_with`](Self::verify_with) that was ended, maybe by the end of the process. Blobs are compared in
    /// the order of their hashes: those up to `behind` are left out, and so are files and records, which come first. With
    /// `None` nothing is left out.
    ///
    /// [`Progress::compared`] says how far it has come, and the report's counts say the same. What is stored meanwhile below
    /// that is not compared. A report that was cut short may have damage that was found beyond it, too.
    ///
    /// # Errors
    /// As for [`verify`](Self::verify).
    pub fn verify_behind(
        &self,
        scope: Scope,
        behind: Option<&ContentHash>,
        mut progress: impl FnMut(Progress) -> ControlFlow<()>,
    ) -> Result<VerifyReport> {
        let _span = span!(INFO, "verify", scope = ?scope);
        let session = self.session()?;
        let going = Going::telling(&session.closing, &mut progress);
        let mut report = VerifyReport::default();
        let verified = session.catalog.verify(scope, behind, &going, &mut report);
        report.cut_short = going.conclude(verified)? == Reached::CutShort;
        Ok(report)
    }

    /// Takes a backup into a directory, which becomes one of [`Backups`] if it is empty or missing. The state in
    /// it is that of one moment: all that was answered with `Ok` before this call, and none of what begins
    /// after it returns. Other calls go on meanwhile.
    ///
    /// Blobs that an earlier backup has brought there are not brought again. Until the backup is done, no sweep
    /// removes anything, so the disk may get fuller.
    ///
    /// # Cost
    /// A checkpoint, and a copy or link and one read of all layers. For each new blob, as [`Transfer`] says: one system
    /// call, or one read, write and sync. For each other blob, one look at its file.
    ///
    /// # Errors
    /// - [`Error::NoBackup`]: the engine takes none.
    /// - [`Error::InvalidArgument`]: the directory is inside the store's.
    /// - [`Error::NotAStore`]: the directory has something else. [`Error::StoreLocked`]: another backup or
    ///   restore works there. [`Error::NewerFormat`].
    /// - [`Error::StorageFull`]: the store's disk has no room for the checkpoint, or that of the backup for the
    ///   files. What was brought stays. The next backup goes on from there.
    /// - [`Error::Damaged`], [`Error::Poisoned`], [`Error::Closed`], [`Error::Io`].
    ///
    /// A damaged blob is no error. [`BackupReport::damaged`] names it. What is in the backup already is not read
    /// again: [`Backups::verify`] reads it.
    pub fn back_up(&self, into: impl AsRef<Path>, transfer: Transfer) -> Result<BackupReport> {
        self.back_up_with(into, transfer, |_| ControlFlow::Continue(()))
    }

    /// Does what [`back_up`](Self::back_up) does, and tells `progress` how many bytes of blobs are there. If it
    /// returns `Break`, the call ends early and no state is made.
    ///
    /// `progress` may make the same calls as that of [`sweep_with`](Self::sweep_with).
    ///
    /// # Errors
    /// As for [`back_up`](Self::back_up).
    pub fn back_up_with(
        &self,
        into: impl AsRef<Path>,
        transfer: Transfer,
        mut progress: impl FnMut(Progress) -> ControlFlow<()>,
    ) -> Result<BackupReport> {
        let session = self.session()?;
        let _span = span!(INFO, "back_up");
        let began = session.options.witness.begin();
        let going = Going::telling(&session.closing, &mut progress);
        let mut report = BackupReport::default();
        let taken = session.back_up(into.as_ref(), transfer, &going, &mut report);
        report.cut_short = going.conclude(taken)? == Reached::CutShort;
        session.options.witness.tell(began, |took| Event::Backup {
            report: report.clone(),
            took,
        });
        Ok(report)
    }

    /// Returns the store in numbers.
    ///
    /// # Errors
    /// - [`Error::Closed`]: the store is closed.
    /// - [`Error::Io`]: the file system does not say how much space is free.
    pub fn stats(&self) -> Result<Stats> {
        self.handle.shared.check_process()?;
        let background_failure = self.handle.shared.failure.lock().clone();
        self.session()?.stats(background_failure)
    }

    /// Returns the open upload that was initiated first, of all namespaces. `None` if no upload is open.
    ///
    /// # Cost
    /// That of [listing](Self::list_uploads) all open uploads.
    ///
    /// # Errors
    /// As for [`list_uploads`](Self::list_uploads).
    pub fn oldest_upload(&self) -> Result<Option<UploadInfo>> {
        let (mut oldest, mut query) = (None, ListNamespaces::new());
        self.find_older("", &mut oldest)?;
        loop {
            let page = self.list_namespaces(&query)?;
            for namespace in page.namespaces {
                if namespace.usage.open_uploads > 0 {
                    self.find_older(&namespace.name, &mut oldest)?;
                }
            }
            match page.next {
                Some(after) => query = query.after(after),
                None => return Ok(oldest),
            }
        }
    }

    /// Looks for an older upload in a namespace.
    fn find_older(&self, namespace: &str, oldest: &mut Option<UploadInfo>) -> Result<()> {
        for info in self.uploads(Key::new(namespace, "")) {
            let info = match info {
                // It was removed in the meantime.
                Err(Error::NoSuchNamespace { .. }) => return Ok(()),
                info => info?,
            };
            let is_older = |than: &UploadInfo| info.initiated_at < than.initiated_at;
            if oldest.as_ref().is_none_or(is_older) {
                *oldest = Some(info);
            }
        }
        Ok(())
    }
}
