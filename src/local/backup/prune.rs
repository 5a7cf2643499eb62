//! Removes states that nobody needs any more, and the blobs that no other state has.

use std::collections::HashSet;
use std::ops::ControlFlow;

use super::Backups;
use super::bring::ASIDE;
use crate::going::{Closing, Going, Reached};
use crate::local::file::{self, Handle};
use crate::local::meta::State;
use crate::values::backup::PruneReport;
use crate::{ContentHash, Progress, Result};

impl Backups {
    /// Keeps so many of the newest states, at least one, and removes the others. Then removes every blob that no
    /// kept state has, also what interrupted backups have brought.
    ///
    /// # Cost
    /// One read of the layers of each state that is kept, another of its rows of blobs, and one listing of all blobs.
    ///
    /// # Errors
    /// - [`Error::Damaged`](crate::Error::Damaged): a state that is kept cannot be read. Nothing is removed.
    /// - [`Error::Io`](crate::Error::Io).
    pub fn keep_newest(&self, states: usize) -> Result<PruneReport> {
        self.keep_newest_with(states, |_| ControlFlow::Continue(()))
    }

    /// Does what [`keep_newest`](Self::keep_newest) does, and tells `progress` how many bytes of layers are read, then
    /// how many of the 256 directories of blobs are done. If it returns `Break`, the call ends early.
    ///
    /// # Errors
    /// As for [`keep_newest`](Self::keep_newest).
    pub fn keep_newest_with(
        &self,
        states: usize,
        mut progress: impl FnMut(Progress) -> ControlFlow<()>,
    ) -> Result<PruneReport> {
        let closing = Closing::default();
        let going = Going::telling(&closing, &mut progress);
        let mut report = PruneReport::default();
        let pruned = self.prune(states.max(1), &going, &mut report);
        report.cut_short = going.conclude(pruned)? == Reached::CutShort;
        Ok(report)
    }

    fn prune(&self, kept: usize, going: &Going<'_>, report: &mut PruneReport) -> Result<()> {
        self.clean()?;
        let numbers = self.numbers()?;
        let (old, kept) = numbers.split_at(numbers.len().saturating_sub(kept));
        // Nothing is removed before all that is kept has been read.
        let kept = kept
            .iter()
            .map(|number| State::open(&self.dir_of(*number)?));
        let kept = kept.collect::<Result<Vec<State>>>()?;
        going.expect(kept.iter().map(State::len_bytes).sum())?;
        kept.iter()
            .try_for_each(|state| state.require_whole(going))?;
        going.expect(256)?;
        for number in old {
            self.remove(*number)?;
            report.states += 1;
        }
        for entry in self.blobs.list()? {
            let mut prefix = [0];
            if hex::decode_to_slice(entry.name.as_encoded_bytes(), &mut prefix).is_err() {
                continue;
            }
            let [prefix] = prefix;
            let mut needed = HashSet::new();
            for state in &kept {
                state.blobs(prefix, &mut |content, _| {
                    needed.insert(content);
                    Ok(())
                })?;
            }
            self.prune_prefix(prefix, &needed, report)?;
            going.advance(1)?;
        }
        going.finish();
        Ok(())
    }

    fn prune_prefix(
        &self,
        prefix: u8,
        needed: &HashSet<ContentHash>,
        report: &mut PruneReport,
    ) -> Result<()> {
        let dir = self.blobs.dir(hex::encode([prefix]))?;
        for entry in dir.list()? {
            let name = entry.name.to_string_lossy();
            let content = ContentHash::from_file_name(&name);
            let is_needed = content.is_some_and(|content| needed.contains(&content));
            let is_ours = content.is_some() || name.ends_with(".partial") || name.ends_with(ASIDE);
            if is_needed || !is_ours {
                continue;
            }
            let place = dir.at(&entry.name);
            let len = Handle::open_read(&place).and_then(|handle| handle.len());
            file::remove_if_present(&place)?;
            if content.is_some() {
                report.blobs += 1;
                report.bytes += len.unwrap_or(0);
            }
        }
        Ok(())
    }
}
