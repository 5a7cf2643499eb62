//! The sweep: whatever is not referenced goes (I7), whatever is referenced or in use stays (I4).
//!
//! For each group of blobs, under a claim on their hashes: no reference → the rows go, durably →
//! the file goes, and its name durably, before the next group. A crash in between leaves a file
//! without a row, an orphan, which the walk finds.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::Mutex;

use crate::blob::BlobStore;
use crate::meta::{Change, Claim, MetaStore, Orphans};
use crate::pins::{Claimed, Pins};
use crate::sabotage::Step;
use crate::{ContentHash, Result, SweepReport};

/// Blobs per claim: one journal sync each.
const GROUP: usize = 256;

/// What the sweep knows beside the garbage rows: files that may have no row.
pub(crate) struct Suspects {
    /// Published by a put that was then refused.
    published: Mutex<HashSet<ContentHash>>,
    /// Set after an unclean close: any file in `blobs/`.
    any: AtomicBool,
    /// One sweep at a time.
    sweeping: Mutex<()>,
}

impl Suspects {
    pub(crate) fn new(orphans: Orphans) -> Self {
        let sought = !Step::OrphansSought.is_taken();
        let any = AtomicBool::new(orphans == Orphans::Possible && sought);
        Self {
            published: Mutex::default(),
            any,
            sweeping: Mutex::default(),
        }
    }

    /// The file of this blob may have no row.
    pub(crate) fn add(&self, content: ContentHash) {
        self.published.lock().insert(content);
    }

    /// Whether a sweep has files to look at.
    pub(crate) fn any_known(&self) -> bool {
        !self.published.lock().is_empty()
    }

    /// What a clean close must tell the next open.
    pub(crate) fn orphans(&self) -> Orphans {
        let none = self.published.lock().is_empty() && !self.any.load(Ordering::Relaxed);
        if none {
            Orphans::None
        } else {
            Orphans::Possible
        }
    }
}

/// What a sweep works on.
pub(crate) struct Sweep<'a> {
    pub meta: &'a MetaStore,
    pub blobs: &'a BlobStore,
    pub pins: &'a Arc<Pins>,
    pub suspects: &'a Suspects,
    /// Asked between groups: a store that is being closed does not wait for a long sweep.
    pub go_on: &'a dyn Fn() -> bool,
}

impl Sweep<'_> {
    /// Removes all that can be removed now.
    pub(crate) fn run(&self) -> Result<SweepReport> {
        let _alone = self.suspects.sweeping.lock();
        self.meta.check()?;
        self.meta.check_ownership()?;
        let mut report = SweepReport::default();
        self.sweep_garbage(&mut report)?;
        self.sweep_refused(&mut report)?;
        if self.suspects.any.load(Ordering::Relaxed) {
            self.walk(&mut report)?;
        }
        Ok(report)
    }

    fn sweep_garbage(&self, report: &mut SweepReport) -> Result<()> {
        let mut after = None;
        loop {
            let group = self.meta.garbage(after, GROUP)?;
            let Some(last) = group.last().copied().filter(|_| (self.go_on)()) else {
                return Ok(());
            };
            after = Some(last);
            let found = group.len();
            let claimed = self.pins.claim(group);
            report.in_use += (found - claimed.contents().len()) as u64;
            self.release(claimed, report)?;
        }
    }

    /// Removes those of the claimed blobs that have no reference, and looks at none of them again.
    fn release(&self, mut claimed: Claimed, report: &mut SweepReport) -> Result<()> {
        let (mut change, mut dead, mut bytes) = (Change::default(), Vec::new(), 0);
        for content in claimed.contents() {
            change.remove_garbage(content);
            if self.meta.is_referenced(content)? {
                continue;
            }
            if let Some(sums) = self.meta.blob(content)? {
                change.remove_blob(content, sums.size);
                bytes += sums.size;
            }
            dead.push(*content);
        }
        if change.is_empty() {
            return Ok(());
        }
        if Step::RowGoneBeforeFile.is_taken() {
            self.remove_files(&dead)?;
        }
        let ticket = self.meta.commit(&change, Claim::Release)?;
        // Those that stay are anybody's again, before the disk is waited for.
        claimed.keep_only(&dead);
        // The row goes durably before the file: a durable row always has its file (I1).
        self.meta.wait(ticket)?;
        self.remove_files(&dead)?;
        report.blobs += dead.len() as u64;
        report.bytes += bytes;
        Ok(())
    }

    /// Looks at the blobs that were published by puts which then failed.
    fn sweep_refused(&self, report: &mut SweepReport) -> Result<()> {
        // Taken out before they are looked at: a put that is refused meanwhile adds its blob again.
        let suspects: Vec<ContentHash> = self.suspects.published.lock().drain().collect();
        let claimed = self.pins.claim(suspects.clone());
        let removed = self.remove_orphans(claimed.contents());
        let unresolved =
            |content: &ContentHash| removed.is_err() || !claimed.contents().contains(content);
        self.suspects
            .published
            .lock()
            .extend(suspects.iter().copied().filter(unresolved));
        report.in_use += (suspects.len() - claimed.contents().len()) as u64;
        report.orphans += removed?;
        Ok(())
    }

    /// Looks at every file in `blobs/`. Directories made meanwhile hold no orphans: whoever puts a
    /// file there answers for it.
    fn walk(&self, report: &mut SweepReport) -> Result<()> {
        for prefix in self.blobs.prefixes()? {
            let names = self.blobs.files(prefix)?;
            report.foreign += names.directories;
            for group in names.files.chunks(GROUP) {
                if !(self.go_on)() {
                    return Ok(());
                }
                // A file in use has a row, or its put says itself when it is refused.
                let claimed = self.pins.claim(group.to_vec());
                report.orphans += self.remove_orphans(claimed.contents())?;
            }
            // A process that was killed may have removed files whose names are still durable: a
            // power cut after the next clean close must not bring them back.
            let synced = self.blobs.sync_dir(prefix);
            synced.inspect_err(|error| self.meta.stop_if_it_must(error))?;
        }
        self.suspects.any.store(false, Ordering::Relaxed);
        Ok(())
    }

    /// Removes the files of those claimed blobs that have no row.
    fn remove_orphans(&self, claimed: &[ContentHash]) -> Result<u64> {
        let mut orphans = Vec::new();
        for content in claimed {
            if self.meta.blob(content)?.is_none() {
                orphans.push(*content);
            }
        }
        self.remove_files(&orphans)
    }

    /// Removes files so that they stay removed: a clean close must not leave one that a power cut
    /// brings back.
    fn remove_files(&self, contents: &[ContentHash]) -> Result<u64> {
        self.remove_and_sync(contents).inspect_err(|error| {
            // Their rows are gone: only a walk finds those that are left.
            self.suspects.any.store(true, Ordering::Relaxed);
            self.meta.stop_if_it_must(error);
        })
    }

    fn remove_and_sync(&self, contents: &[ContentHash]) -> Result<u64> {
        let mut removed = Vec::new();
        for content in contents {
            if self.blobs.remove(content)? {
                removed.push(*content);
            }
        }
        self.blobs.sync_names(&removed)?;
        Ok(removed.len() as u64)
    }
}
