//! Upkeep: sweeping, housekeeping, verifying, and the store in numbers.

use std::ops::ControlFlow;

use super::engine::Engine;
use super::{PartStore, housekeeping};
use crate::going::{Going, Reached};
use crate::verify::Verify;
#[cfg(doc)]
use crate::{Background, Error};
use crate::{MaintenanceReport, Progress, Result, Scope, Stats, SweepReport, VerifyReport};

impl PartStore {
    /// Removes every blob that nothing refers to and nobody uses ([I7](crate::rules#i7)). After an unclean open this
    /// finds what a crash left in `blobs/`, too. The housekeeping does it by itself.
    ///
    /// A file is removed only when the journal and the snapshot confirm what the index says: that nothing
    /// refers to it. A file that cannot be removed keeps none of the others; the call answers with the
    /// first such failure, and the next sweep tries again.
    ///
    /// # Cost
    /// One read of the journal and the snapshot for each 65,536 blobs that may be removed: about 2 s for
    /// 1,000,000 parts. One sync of the journal and up to 256 of directories for each 256 blobs removed.
    /// Some 200 bytes of memory for each of 65,536 blobs.
    ///
    /// # Errors
    /// [`Error::Poisoned`]; [`Error::Closed`]; [`Error::StorageFull`]; [`Error::Index`], also when the
    /// index denies a reference that the journal knows: the store has stopped, nothing was removed, and
    /// opening it again rebuilds the index; [`Error::Damaged`] when the journal or the snapshot is not
    /// what was written; [`Error::DamagedRow`], [`Error::Io`].
    pub fn sweep(&self) -> Result<SweepReport> {
        self.sweep_with(|_| ControlFlow::Continue(()))
    }

    /// Does what [`sweep`](Self::sweep) does, tells `progress` how far it has come, and ends early when that
    /// breaks: the report says so and counts what was removed before. The next sweep does the rest.
    ///
    /// What is counted is blobs: those that may be removed, and, after an unclean open, all. It is called
    /// at the beginning, at least once for each 256 blobs and some thousand records read, and at the end.
    ///
    /// It may make any other call, but [`close`](Self::close), `sweep`, `maintain` and `verify`, which would
    /// wait for this one. Closing waits for it to return, and asks it no more.
    ///
    /// # Errors
    /// As for [`sweep`](Self::sweep).
    pub fn sweep_with(
        &self,
        mut progress: impl FnMut(Progress) -> ControlFlow<()>,
    ) -> Result<SweepReport> {
        let engine = self.engine()?;
        let going = Going::telling(&engine.closing, &mut progress);
        let mut report = SweepReport::default();
        let swept = engine.sweep(&going).map(|swept| report = swept);
        report.cut_short = going.conclude(swept)? == Reached::CutShort;
        Ok(report)
    }

    /// Does one round of housekeeping: expires uploads, sweeps, and takes a snapshot when the
    /// journal has grown long. For hosts that chose [`Background::Host`]; with
    /// [`Background::Thread`] it is harmless.
    ///
    /// # Errors
    /// As for [`sweep`](Self::sweep); [`Error::Damaged`] when a journal segment does not read.
    pub fn maintain(&self) -> Result<MaintenanceReport> {
        self.maintain_with(|_| ControlFlow::Continue(()))
    }

    /// Does what [`maintain`](Self::maintain) does, tells `progress` how far it has come, and ends early when
    /// that breaks: the report says so. A snapshot that is broken off changes nothing.
    ///
    /// What is counted are the blobs of the sweep, as for [`sweep_with`](Self::sweep_with): nothing is done
    /// while uploads expire, and all while the snapshot is taken. `progress` is called in all three steps,
    /// and may call what it may there.
    ///
    /// # Errors
    /// As for [`maintain`](Self::maintain).
    pub fn maintain_with(
        &self,
        mut progress: impl FnMut(Progress) -> ControlFlow<()>,
    ) -> Result<MaintenanceReport> {
        let engine = self.engine()?;
        let going = Going::telling(&engine.closing, &mut progress);
        let mut report = MaintenanceReport::default();
        let done = housekeeping::round(&engine, &going).map(|done| report = done);
        report.cut_short = going.conclude(done)? == Reached::CutShort;
        Ok(report)
    }

    /// Reads what is on disk and compares it with its checksums, and records with each other, while
    /// the store is in use. Damaged files and blobs are listed, not returned as errors.
    ///
    /// # Cost
    /// About 13 us of a processor a part; with [`Scope::Everything`] one read of all blobs.
    ///
    /// # Errors
    /// [`Error::Closed`], also when the store is closed in the meantime; [`Error::Index`],
    /// [`Error::DamagedRow`], [`Error::Io`].
    pub fn verify(&self, scope: Scope) -> Result<VerifyReport> {
        self.verify_with(scope, |_| ControlFlow::Continue(()))
    }

    /// Does what [`verify`](Self::verify) does, tells `progress` how far it has come, and ends early when
    /// that breaks: the report says so and has what was found before.
    ///
    /// What is counted is bytes: of the journal, the snapshot and the records, and with
    /// [`Scope::Everything`] of the blobs. What is added in the meantime is not counted. `progress` is called
    /// at the beginning, for each journal segment, for 256 records at the most, for each 256 KiB of a blob,
    /// and at the end.
    ///
    /// It may make any other call, but [`close`](Self::close), `sweep`, `maintain` and `verify`, which would
    /// wait for this one. Closing waits for it to return, and asks it no more.
    ///
    /// # Errors
    /// As for [`verify`](Self::verify).
    pub fn verify_with(
        &self,
        scope: Scope,
        mut progress: impl FnMut(Progress) -> ControlFlow<()>,
    ) -> Result<VerifyReport> {
        let engine = self.engine()?;
        let Engine {
            meta,
            blobs,
            pins,
            locks,
            closing,
            ..
        } = &*engine;
        let going = Going::telling(closing, &mut progress);
        let verify = Verify {
            meta,
            blobs,
            pins,
            locks,
            going: &going,
        };
        let mut report = VerifyReport::default();
        let verified = verify.run(scope, &mut report);
        report.cut_short = going.conclude(verified)? == Reached::CutShort;
        Ok(report)
    }

    /// The store in numbers.
    ///
    /// # Errors
    /// [`Error::Closed`]; [`Error::Io`] when the file system does not tell its free space.
    pub fn stats(&self) -> Result<Stats> {
        self.handle.shared.check_process()?;
        let background_failure = self.handle.shared.failure.lock().clone();
        Ok(Stats {
            background_failure,
            ..self.engine()?.stats()?
        })
    }
}
