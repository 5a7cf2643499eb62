//! The sweep: removes blobs that no reference names (I7), and keeps those that are referenced or in use
//! (I4).
//!
//! A removed file cannot come back, so no file is removed because of the index alone. A round gathers
//! candidates from the index, and then asks the truth about them. If the truth knows a reference that the
//! index denies, the index has lost rows: the store stops, and nothing is removed.
//!
//! What is proven is removed in groups, under a claim on their hashes. First the rows of blobs without a
//! reference are removed, durably. Then the files and their names are removed, durably, before the next
//! group begins. A crash in between leaves a file without a row, an orphan, which the walk finds.

use std::sync::Arc;
use std::time::Instant;

use crate::going::Going;
use crate::local::blob::BlobFiles;
use crate::local::format::mutation::Tree;
use crate::local::meta::{Change, Known, MetaStore, SpaceUse};
use crate::local::pins::{Claimed, Pins, Watch};
use crate::local::release::Release;
use crate::local::suspects::Suspects;
use crate::{ContentHash, Error, Result, SweepReport};

/// Blobs under one claim: one journal sync for each such group.
const GROUP: usize = 256;
/// Candidates for one reading of the truth: some MiB of memory.
const ROUND: usize = 65_536;

/// What a sweep works on.
pub(crate) struct Sweep<'a, 'g> {
    pub meta: &'a MetaStore,
    pub blobs: &'a BlobFiles,
    pub pins: &'a Arc<Pins>,
    pub suspects: &'a Suspects,
    pub release: Release<'a, 'g>,
    /// It is asked between groups. It counts blobs.
    pub going: &'a Going<'g>,
}

/// Blobs that nothing refers to, by the index, and what was done with others.
#[derive(Default)]
struct Round {
    candidates: Vec<ContentHash>,
    report: SweepReport,
    /// The first failure to remove a file. It does not keep the other files from being removed.
    failure: Option<Error>,
}

impl Sweep<'_, '_> {
    /// Removes all that can be removed now.
    pub(crate) fn run(&self) -> Result<SweepReport> {
        let _alone = self.meta.pulse().lock(&self.suspects.sweeping)?;
        self.meta.check()?;
        self.meta.check_ownership()?;
        let mut round = Round::default();
        if self.suspects.all_are_kept() {
            round.report.deferred = true;
            return Ok(round.report);
        }
        loop {
            let before = round.report.blobs;
            let released = self.release_if_room(&mut round)?;
            self.run_round(&mut round)?;
            // Removed blobs make room for the next releases.
            let has_room = round.report.blobs > before && self.going.goes_on();
            match released {
                Err(_) if has_room => {}
                Err(full) if !self.going.has_stopped() => return Err(full),
                _ => break,
            }
        }
        round.failure.map_or(Ok(round.report), Err)
    }

    /// Releases what has ended, until the disk has no room for that. What was released before can be removed
    /// all the same.
    fn release_if_room(&self, round: &mut Round) -> Result<Result<()>> {
        match self.release.run() {
            Err(full @ Error::StorageFull { .. }) => Ok(Err(full)),
            done => {
                round.report.in_use += done?;
                Ok(Ok(()))
            }
        }
    }

    fn run_round(&self, round: &mut Round) -> Result<()> {
        let walks = self.suspects.anywhere();
        if self.going.expect(self.expected(walks)).is_err() {
            return Ok(());
        }
        self.gather_garbage(round)?;
        self.gather_refused(round)?;
        if walks {
            self.walk(round)?;
        }
        self.settle(round)?;
        if walks && self.going.goes_on() {
            self.suspects.looked_everywhere();
        }
        if !self.going.has_stopped() {
            self.going.finish();
        }
        Ok(())
    }

    /// About how many blobs will be checked.
    fn expected(&self, walks: bool) -> u64 {
        let tally = self.meta.tally();
        let files = if walks { tally.blobs } else { 0 };
        tally.rows_of(Tree::Garbage) + self.suspects.known().len() as u64 + files
    }

    /// Gathers garbage. A blob that has a reference again is no longer garbage.
    fn gather_garbage(&self, round: &mut Round) -> Result<()> {
        let mut after = None;
        loop {
            let group = self.meta.garbage(after, GROUP)?;
            let Some(last) = group.last().copied().filter(|_| self.going.goes_on()) else {
                return Ok(());
            };
            after = Some(last);
            let (found, before) = (group.len(), round.candidates.len());
            let claimed = self.pins.claim(group);
            round.report.in_use += (found - claimed.contents().len()) as u64;
            let mut change = Change::default();
            for content in claimed.contents() {
                if self.meta.is_referenced(content)? {
                    change.remove_garbage(content);
                } else {
                    round.candidates.push(*content);
                }
            }
            if !change.is_empty() {
                // This batch is not waited for. If a crash loses it, the blob is checked once more.
                let _ = self.meta.commit(change, SpaceUse::Sweeps)?;
            }
            drop(claimed);
            self.looked_at(found - (round.candidates.len() - before));
            self.settle_if_full(round)?;
        }
    }

    /// Gathers the blobs that were published by puts which then failed.
    fn gather_refused(&self, round: &mut Round) -> Result<()> {
        for group in self.suspects.known().chunks(GROUP) {
            let claimed = self.pins.claim(group.to_vec());
            round.report.in_use += (group.len() - claimed.contents().len()) as u64;
            for content in claimed.contents() {
                if self.meta.blob_size(content)?.is_some() {
                    self.suspects.clear(content);
                } else {
                    round.candidates.push(*content);
                }
            }
            drop(claimed);
            self.settle_if_full(round)?;
        }
        Ok(())
    }

    /// Gathers every file in `blobs/` that has no row. Directories that are made in the meantime hold no
    /// orphans, because a put reports its own file if it fails.
    fn walk(&self, round: &mut Round) -> Result<()> {
        for prefix in self.blobs.prefixes()? {
            let names = self.blobs.files(prefix)?;
            round.report.foreign += names.directories;
            for group in names.files.chunks(GROUP) {
                if !self.going.goes_on() {
                    return Ok(());
                }
                let before = round.candidates.len();
                // A file in use has a row, or its put reports it when the put is refused.
                for content in self.pins.claim(group.to_vec()).contents() {
                    if self.meta.blob_size(content)?.is_none() {
                        round.candidates.push(*content);
                    }
                }
                self.looked_at(group.len() - (round.candidates.len() - before));
                self.settle_if_full(round)?;
            }
            // A process that was killed may have removed files whose names are still durable. A power cut
            // after the next clean close must not bring them back.
            self.blobs.sync_dir(prefix)?;
        }
        Ok(())
    }

    /// Counts blobs as done. Candidates count only when they are removed. Whether to continue is asked
    /// before the next group.
    fn looked_at(&self, blobs: usize) {
        let _ = self.going.advance(blobs as u64);
    }

    fn settle_if_full(&self, round: &mut Round) -> Result<()> {
        if round.candidates.len() < ROUND {
            Ok(())
        } else {
            self.settle(round)
        }
    }

    /// Asks the truth about the candidates, and removes them.
    fn settle(&self, round: &mut Round) -> Result<()> {
        let mut candidates = std::mem::take(&mut round.candidates);
        candidates.sort_unstable();
        candidates.dedup();
        if candidates.is_empty() {
            return Ok(());
        }
        // Every change of a reference from here on is noted, and all earlier ones are part of what is read.
        // So where nothing is noted, truth and index must agree.
        let watch = self.pins.watch(&candidates);
        let begun = Instant::now();
        let known = self.meta.known(&candidates, self.going);
        self.suspects.rest_after(begun.elapsed());
        let Some(known) = known? else { return Ok(()) };
        self.compare(&candidates, &known, &watch)?;
        for group in candidates.chunks(GROUP) {
            if !self.going.goes_on() {
                return Ok(());
            }
            self.remove_proven(group, &watch, round)?;
            self.looked_at(group.len());
        }
        Ok(())
    }

    /// # Errors
    /// [`Error::Index`] if the index has lost rows. The store has then stopped.
    fn compare(&self, candidates: &[ContentHash], known: &Known, watch: &Watch) -> Result<()> {
        for content in candidates {
            let denied = if known.is_referenced(content) && !self.meta.is_referenced(content)? {
                "a part refers to"
            } else if known.has_record(content) && self.meta.blob_size(content)?.is_none() {
                "a record exists of"
            } else {
                continue;
            };
            // Checked after the index was read: whoever has changed it since has touched the blob by now.
            if watch.is_touched(content) {
                continue;
            }
            let lost = Error::Index {
                cause: format!(
                    "it has lost rows: journal and snapshot say that {denied} the blob {content}, but the index has no such row"
                ),
            };
            // I8: nothing that the index says counts any more. Without a clean close it is rebuilt.
            self.meta.health().poison(&lost);
            return Err(lost);
        }
        Ok(())
    }

    fn remove_proven(&self, group: &[ContentHash], watch: &Watch, round: &mut Round) -> Result<()> {
        let mut claimed = self.pins.claim(group.to_vec());
        let mut proven = claimed.contents().to_vec();
        proven.retain(|content| !watch.is_touched(content));
        claimed.keep_only(&proven);
        for content in group {
            if proven.binary_search(content).is_err() {
                round.report.in_use += 1;
                if self.meta.blob_size(content)?.is_none() {
                    // Only this note makes a later sweep check the blob again.
                    self.suspects.add(*content);
                }
            }
        }
        self.remove_unreferenced(claimed, round)
    }

    /// Removes the claimed blobs that have no reference, and clears the garbage row of every claimed blob.
    fn remove_unreferenced(&self, mut claimed: Claimed, round: &mut Round) -> Result<()> {
        let (mut change, mut dead, mut orphans) = (Change::default(), Vec::new(), Vec::new());
        let (mut blobs, mut bytes) = (0, 0);
        for content in claimed.contents() {
            if self.meta.is_garbage(content)? {
                change.remove_garbage(content);
            }
            if self.meta.is_referenced(content)? {
                continue;
            }
            match self.meta.blob(content)? {
                Some(sums) => {
                    change.remove_blob(content, &sums);
                    (blobs, bytes) = (blobs + 1, bytes + sums.size);
                    dead.push(*content);
                }
                None => orphans.push(*content),
            }
        }
        let ticket = (!change.is_empty()).then(|| self.meta.commit(change, SpaceUse::Sweeps));
        // The claim on blobs that remain ends before the disk is waited for.
        let mut removed = [dead.as_slice(), &orphans].concat();
        removed.sort_unstable();
        claimed.keep_only(&removed);
        // I1: the row is removed durably before the file, so a durable row always has its file.
        ticket.map_or(Ok(()), |ticket| self.meta.wait(ticket?))?;
        self.remove_files(&dead, round)?;
        round.report.orphans += self.remove_files(&orphans, round)?;
        round.report.blobs += blobs;
        round.report.bytes += bytes;
        Ok(())
    }

    /// Removes files so that they stay removed: after a clean close, a power cut must not bring one back.
    /// Returns how many files existed.
    fn remove_files(&self, contents: &[ContentHash], round: &mut Round) -> Result<u64> {
        let mut removed = Vec::new();
        for content in contents {
            match self.blobs.remove(content) {
                Ok(found) => {
                    removed.extend(found.then_some(*content));
                    self.suspects.clear(content);
                }
                Err(error) => {
                    // Its row is removed. Only this note makes a later sweep check the blob again.
                    self.suspects.add(*content);
                    round.failure.get_or_insert(error);
                }
            }
        }
        self.blobs.sync_names(&removed).inspect_err(|_| {
            // Only a walk finds names that may come back.
            self.suspects.suspect_all();
        })?;
        Ok(removed.len() as u64)
    }
}
