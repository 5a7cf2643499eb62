//! The metadata store: an ordered set of rows with an atomic durable batch.
//!
//! The [`journal`] and the [`snapshot`] are the truth, and sled is the [`index`] that answers questions. A
//! change is appended to the journal and applied to the index. It is durable when the journal says so. This
//! module does not know blob files.
//!
//! It keeps I2 (with the journal), I8 and I9.

mod ahead;
mod change;
mod fold;
mod index;
pub(crate) mod journal;
#[cfg_attr(
    any(not(test), shuttle),
    expect(dead_code, unused_imports, reason = "until snapshots are layers")
)]
pub(crate) mod layer;
mod marker;
mod merge;
mod open;
mod passes;
mod pulse;
mod query;
mod rebuild;
mod repair;
pub(crate) mod rows;
pub(crate) mod salvage;
mod snapshot;
mod truth;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

pub(crate) use change::Change;
use index::Index;
pub(crate) use index::prove_threads;
use journal::Journal;
pub(crate) use journal::{SpaceUse, Ticket};
use marker::MarkerFile;
pub(crate) use open::Opening;
pub(crate) use pulse::Pulse;
pub(crate) use snapshot::Extent;
use snapshot::Snapshots;
pub(crate) use truth::Known;

use crate::going::{Closing, Going};
use crate::local::ballast::Ballast;
use crate::local::file::{Dir, Place};
use crate::local::format::marker::{Marker, Orphans};
use crate::local::format::tally::Tally;
use crate::local::health::Health;
use crate::sync::Mutex;
use crate::{DamagedFile, Error, Result};

pub(crate) struct MetaStore {
    journal: Journal,
    index: Index,
    snapshots: Snapshots,
    /// Sequence number of the published snapshot. 0 for none. It is locked while a snapshot is taken or
    /// read, so a snapshot stays for as long.
    snapshot: Mutex<u64>,
    /// The same number, for readers that need no lock.
    snapshot_seq: AtomicU64,
    marker: MarkerFile,
    snapshot_at: u64,
    /// Removed when a step that frees space has no room.
    ballast: Arc<Ballast>,
    closing: Closing,
}

/// The places of the metadata, below `meta/`.
struct Places {
    journal: Dir,
    snapshots: Dir,
    index: Place,
}

impl Places {
    fn below(dir: &Dir) -> Result<Self> {
        let journal = dir.dir("journal")?;
        // Older stores get this flag for the files that are made from now on.
        dir.write_in_place();
        journal.write_in_place();
        Ok(Self {
            journal,
            snapshots: dir.dir("snapshot")?,
            index: dir.at("index"),
        })
    }

    /// The files in the directories that do not belong to the store.
    fn foreign(&self) -> Result<Vec<PathBuf>> {
        let mut foreign = journal::foreign(&self.journal)?;
        foreign.extend(snapshot::foreign(&self.snapshots)?);
        Ok(foreign)
    }
}

/// Whether this is a segment or a snapshot, and not a temporary file.
fn is_of_truth(path: &Path) -> bool {
    path.extension()
        .is_some_and(|extension| extension == "log" || extension == "snap")
}

impl MetaStore {
    /// Appends the change to the journal and applies it to the index. Readers see it at once. It is durable
    /// after [`wait`](Self::wait).
    ///
    /// The caller holds the lock that covers the rows. For the rows of an upload, its references and its
    /// share of its namespace's usage that is the upload's lock. For a key's object it is the key's lock.
    /// For the rows of a blob it is a pin or a claim on the content hash. So the mutations
    /// of a row are in the journal in the order in which the index gets them.
    ///
    /// # Errors
    /// - [`Error::StorageFull`], [`Error::Damaged`]: nothing was changed.
    /// - [`Error::Poisoned`], [`Error::Index`]: only opening the store again tells whether the change was
    ///   kept.
    pub(crate) fn commit(&self, change: Change, space: SpaceUse) -> Result<Ticket> {
        // An index that does not answer would never get what the journal has.
        self.check()?;
        let batch =
            &change.into_batch(|namespace, stripe| self.usage_of_stripe(namespace, stripe))?;
        let len = batch.payload().len();
        let _assured = space.helped_by(&self.ballast, || self.index.assure(len, space))?;
        let ticket = self.journal.append(batch, space)?;
        let applied = self.index.apply(batch).map_err(index::as_failure);
        applied.inspect_err(|error| self.health().poison(error))?;
        Ok(ticket)
    }

    /// Returns when the change is durable.
    ///
    /// # Errors
    /// [`Error::Poisoned`] (I8).
    pub(crate) fn wait(&self, ticket: Ticket) -> Result<()> {
        self.journal.wait(ticket)
    }

    /// Returns when everything that any reader has seen is durable.
    ///
    /// # Errors
    /// [`Error::Poisoned`] (I8).
    pub(crate) fn wait_for_all(&self) -> Result<()> {
        self.journal.wait(self.journal.newest())
    }

    /// Sequence number of the newest batch.
    pub(crate) fn newest(&self) -> u64 {
        self.journal.newest().seq()
    }

    /// Whether the store may still acknowledge (I8).
    pub(crate) fn health(&self) -> &Health {
        self.journal.health()
    }

    /// The failure that has stopped the store (I8).
    pub(crate) fn poisoned(&self) -> Option<String> {
        self.look_at_index();
        self.health().cause().map(str::to_owned)
    }

    /// # Errors
    /// [`Error::Poisoned`] after a failure (I8). [`Error::Damaged`] if the truth was found damaged.
    pub(crate) fn check(&self) -> Result<()> {
        self.look_at_index();
        self.health().check()?;
        self.journal.check_accepts()
    }

    /// Stops the store if the index does not answer any more.
    fn look_at_index(&self) {
        if let Err(silent) = self.index.pulse().check() {
            self.health().poison(&silent);
        }
    }

    /// Whether the index still answers.
    pub(crate) fn pulse(&self) -> &Arc<Pulse> {
        self.index.pulse()
    }

    /// Passes if the directory is the store's alone. Otherwise the store stops (I8).
    ///
    /// # Errors
    /// [`Error::Displaced`].
    pub(crate) fn check_ownership(&self) -> Result<()> {
        self.journal.check_ownership()
    }

    pub(crate) fn tally(&self) -> Tally {
        self.index.tally()
    }

    /// Bytes of the journal.
    pub(crate) fn journal_len(&self) -> u64 {
        self.journal.len()
    }

    /// Sequence number of the published snapshot. 0 for none.
    pub(crate) fn snapshot_seq(&self) -> u64 {
        self.snapshot_seq.load(Ordering::Relaxed)
    }

    /// Whether the journal has become so long, compared with what it describes, that a snapshot saves disk
    /// space and rebuild time.
    pub(crate) fn wants_snapshot(&self) -> bool {
        let live = self.tally().bytes;
        self.journal.len() > self.snapshot_at.max(2 * live)
    }

    /// Takes a snapshot of all or some sealed segments, and removes them. `false` if they had nothing new.
    /// It does not read the index, and delays nobody.
    ///
    /// # Errors
    /// [`Error::StorageFull`], [`Error::Io`], [`Error::Damaged`]: the journal stays as it is.
    pub(crate) fn take_snapshot(&self, extent: Extent, going: &Going<'_>) -> Result<bool> {
        self.check()?;
        let mut base = self.snapshot.lock();
        let taken = self.renew_snapshot(&mut base, (extent, going));
        taken.inspect_err(|error| self.note_damage(*base, error))
    }

    /// Refuses changes from now on, if the error of a reader or writer of the truth means damage.
    fn note_damage(&self, base: u64, error: &Error) {
        if error.tells_of_damage() {
            // If the check itself fails, the next one reports it.
            let _ = self.look_for_damage(base);
        }
        if matches!(error, Error::Damaged { path, .. } if is_of_truth(path)) {
            self.journal.refuse_for(&[DamagedFile::of(error)]);
        }
    }

    /// As soon as a snapshot is durable, the store continues from it, whatever happens to the files that it
    /// replaces. They are removed now or the next time.
    fn renew_snapshot(
        &self,
        base: &mut u64,
        (extent, going): (Extent, &Going<'_>),
    ) -> Result<bool> {
        self.journal.check_ownership()?;
        let newer = self
            .snapshots
            .publish(*base, &self.journal, (extent, going))?;
        *base = newer.unwrap_or(*base);
        self.snapshot_seq.store(*base, Ordering::Relaxed);
        // The snapshot took some time. What it replaces is removed only if the snapshot is where the next
        // open looks for it.
        self.journal.check_ownership()?;
        self.snapshots.remove_others(*base)?;
        self.journal.drop_through(*base)?;
        Ok(newer.is_some())
    }

    /// How many bytes a snapshot and the runs of its fold take at most.
    pub(crate) fn snapshot_needs(&self, extent: Extent) -> u64 {
        match extent {
            Extent::All => self.tally().bytes + 2 * self.journal.len(),
            Extent::Step => self
                .snapshots
                .step_needs(self.snapshot_seq(), &self.journal),
        }
    }

    /// Bytes of snapshot and journal.
    pub(crate) fn files_len(&self) -> u64 {
        self.journal.len() + self.snapshots.len(self.snapshot_seq())
    }

    /// Reads snapshot and journal from disk, through the newest durable batch, and returns the damage. If
    /// it finds any, no change is accepted from now on.
    ///
    /// # Errors
    /// [`Error::Closed`] if `going` says no; what was found before is returned as well. [`Error::Io`].
    pub(crate) fn check_files(
        &self,
        going: &Going<'_>,
        found: &mut Vec<DamagedFile>,
    ) -> Result<()> {
        let base = self.snapshot.lock();
        let checked = self.check_truth(*base, going, found);
        self.journal.refuse_for(found);
        checked
    }

    /// The caller holds the lock of the snapshot, which is that of batch `base`.
    fn look_for_damage(&self, base: u64) -> Result<()> {
        let mut damaged = Vec::new();
        let checked = self.check_truth(base, &Going::until(&self.closing), &mut damaged);
        self.journal.refuse_for(&damaged);
        checked
    }

    fn check_truth(
        &self,
        base: u64,
        going: &Going<'_>,
        found: &mut Vec<DamagedFile>,
    ) -> Result<()> {
        self.journal.check_files(going, found)?;
        let check = || self.snapshots.check(base, going);
        found.extend(DamagedFile::met_by(&check)?);
        Ok(())
    }

    /// Files of journal and snapshot that were found damaged since the store was opened.
    pub(crate) fn known_damage(&self) -> Vec<DamagedFile> {
        self.journal.known_damage()
    }

    /// Closes cleanly. The next open trusts the index, if its rows add up.
    ///
    /// # Errors
    /// - [`Error::Poisoned`], [`Error::Displaced`], [`Error::Index`], [`Error::Io`]: no marker exists, and
    ///   the next open rebuilds the index.
    /// - [`Error::Damaged`]: a marker exists, and the next open writes the truth anew from the index.
    pub(crate) fn close(self, orphans: Orphans) -> Result<()> {
        let newest = self.journal.newest();
        self.journal.wait(newest)?;
        let tally = self.index.close()?;
        self.journal.check_ownership()?;
        let marker = Marker {
            seq: newest.seq(),
            tally,
            orphans,
        };
        self.marker.write(&marker, &self.ballast)?;
        self.journal.health().check()?;
        self.journal.check_accepts()
    }
}
