//! Upkeep: sweeping, housekeeping, verifying, and statistics.

use std::ops::ControlFlow;
use std::path::PathBuf;
use std::sync::{Arc, Weak};

#[cfg(doc)]
use partstore::PartStore;
use partstore::{
    BackupReport, MaintenanceReport, Progress, Result, Scope, Stats, SweepReport, Transfer,
    VerifyReport,
};

use crate::AsyncPartStore;

/// What a caller has done with the future of a long call.
fn going(awaited: &Weak<()>) -> ControlFlow<()> {
    match awaited.strong_count() {
        0 => ControlFlow::Break(()),
        _ => ControlFlow::Continue(()),
    }
}

/// Tells a callback the progress, as long as the future is awaited.
pub(crate) fn telling<P: FnMut(Progress) -> ControlFlow<()>>(
    awaited: &Arc<()>,
    mut progress: P,
) -> impl FnMut(Progress) -> ControlFlow<()> + use<P> {
    let awaited = Arc::downgrade(awaited);
    move |reached| {
        going(&awaited)?;
        progress(reached)
    }
}

pub(crate) fn silent(_: Progress) -> ControlFlow<()> {
    ControlFlow::Continue(())
}

impl AsyncPartStore {
    /// Removes every blob that nothing refers to and nobody uses. If the future is dropped, the sweep ends early.
    ///
    /// # Errors
    /// As for [`PartStore::sweep`].
    pub async fn sweep(&self) -> Result<SweepReport> {
        self.sweep_with(silent).await
    }

    /// Does what [`sweep`](Self::sweep) does, and tells `progress`, on a thread of the pool.
    ///
    /// # Errors
    /// As for [`PartStore::sweep_with`].
    pub async fn sweep_with(
        &self,
        progress: impl FnMut(Progress) -> ControlFlow<()> + Send + 'static,
    ) -> Result<SweepReport> {
        let awaited = Arc::new(());
        let progress = telling(&awaited, progress);
        self.run(move |store| store.sweep_with(progress)).await
    }

    /// Does one round of housekeeping. If the future is dropped, the round ends early.
    ///
    /// # Errors
    /// As for [`PartStore::maintain`].
    pub async fn maintain(&self) -> Result<MaintenanceReport> {
        self.maintain_with(silent).await
    }

    /// Does what [`maintain`](Self::maintain) does, and tells `progress`, on a thread of the pool.
    ///
    /// # Errors
    /// As for [`PartStore::maintain_with`].
    pub async fn maintain_with(
        &self,
        progress: impl FnMut(Progress) -> ControlFlow<()> + Send + 'static,
    ) -> Result<MaintenanceReport> {
        let awaited = Arc::new(());
        let progress = telling(&awaited, progress);
        self.run(move |store| store.maintain_with(progress)).await
    }

    /// Reads what is on disk and compares it with its checksums. If the future is dropped, the call ends early.
    ///
    /// # Errors
    /// As for [`PartStore::verify`].
    pub async fn verify(&self, scope: Scope) -> Result<VerifyReport> {
        self.verify_with(scope, silent).await
    }

    /// Does what [`verify`](Self::verify) does, and tells `progress`, on a thread of the pool.
    ///
    /// # Errors
    /// As for [`PartStore::verify_with`].
    pub async fn verify_with(
        &self,
        scope: Scope,
        progress: impl FnMut(Progress) -> ControlFlow<()> + Send + 'static,
    ) -> Result<VerifyReport> {
        let awaited = Arc::new(());
        let progress = telling(&awaited, progress);
        self.run(move |store| store.verify_with(scope, progress))
            .await
    }

    /// Takes a backup into a directory. If the future is dropped, the backup ends early and makes no state.
    ///
    /// # Errors
    /// As for [`PartStore::back_up`].
    pub async fn back_up(
        &self,
        into: impl Into<PathBuf>,
        transfer: Transfer,
    ) -> Result<BackupReport> {
        self.back_up_with(into, transfer, silent).await
    }

    /// Does what [`back_up`](Self::back_up) does, and tells `progress`, on a thread of the pool.
    ///
    /// # Errors
    /// As for [`PartStore::back_up_with`].
    pub async fn back_up_with(
        &self,
        into: impl Into<PathBuf>,
        transfer: Transfer,
        progress: impl FnMut(Progress) -> ControlFlow<()> + Send + 'static,
    ) -> Result<BackupReport> {
        let awaited = Arc::new(());
        let progress = telling(&awaited, progress);
        let into = into.into();
        self.run(move |store| store.back_up_with(into, transfer, progress))
            .await
    }

    /// Returns the store in numbers.
    ///
    /// # Errors
    /// As for [`PartStore::stats`].
    pub async fn stats(&self) -> Result<Stats> {
        self.run(partstore::PartStore::stats).await
    }
}
