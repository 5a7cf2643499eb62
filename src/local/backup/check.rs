//! Reads all that is in a directory of backups, and compares it with its checksums and hashes.

use std::collections::BTreeMap;
use std::ops::ControlFlow;

use super::Backups;
use super::bring;
use crate::going::{Closing, Going, Reached};
use crate::local::file::{self, Dir};
use crate::local::meta::State;
use crate::values::backup::BackupVerifyReport;
use crate::{DamagedFile, Progress, Result};

impl Backups {
    /// Reads every layer of all states, and every blob of those whose layers are whole, and compares them with their
    /// checksums and hashes. What is damaged is listed, and is no error.
    ///
    /// A blob that has other bytes, or fewer, is moved aside, to its name with `.damaged` behind. So the next backup
    /// brings it once more, if the store still has it whole. [`keep_newest`](Self::keep_newest) removes what was moved.
    /// A blob that cannot be read now stays: it may be read another time.
    ///
    /// # Cost
    /// One read of all.
    ///
    /// # Errors
    /// [`Error::Io`](crate::Error::Io).
    pub fn verify(&self) -> Result<BackupVerifyReport> {
        self.verify_with(|_| ControlFlow::Continue(()))
    }

    /// Does what [`verify`](Self::verify) does, and tells `progress` how many bytes of layers are read, then how many of
    /// blobs, about. If it returns `Break`, the call ends early.
    ///
    /// # Errors
    /// As for [`verify`](Self::verify).
    pub fn verify_with(
        &self,
        mut progress: impl FnMut(Progress) -> ControlFlow<()>,
    ) -> Result<BackupVerifyReport> {
        let closing = Closing::default();
        let going = Going::telling(&closing, &mut progress);
        let mut report = BackupVerifyReport::default();
        let verified = self.check(&going, &mut report);
        report.cut_short = going.conclude(verified)? == Reached::CutShort;
        Ok(report)
    }

    fn check(&self, going: &Going<'_>, report: &mut BackupVerifyReport) -> Result<()> {
        let states = self.whole_states(going, report)?;
        let bytes = states.iter().map(|state| state.tally().blob_bytes).max();
        going.expect(bytes.unwrap_or(0))?;
        for prefix in 0..=u8::MAX {
            let mut blobs = BTreeMap::new();
            for state in &states {
                state.blobs(prefix, &mut |content, size| {
                    blobs.insert(content, size);
                    Ok(())
                })?;
            }
            if blobs.is_empty() {
                continue;
            }
            let name = hex::encode([prefix]);
            self.blobs.create_dir(&name)?;
            let dir = self.blobs.dir(&name)?;
            for (content, size) in blobs {
                let place = dir.at(content.to_string());
                let mut advance = |bytes| going.advance(bytes);
                match bring::check(&place, (size, &content), &mut advance)? {
                    Ok(()) => {
                        report.blobs += 1;
                        report.bytes += size;
                    }
                    Err(damage) => {
                        if damage.is_proven {
                            move_aside(&dir, &content.to_string())?;
                        }
                        report.damaged.push(damage.of(&content));
                    }
                }
            }
        }
        going.finish();
        Ok(())
    }

    /// The states of which every row can be read. The others are reported.
    fn whole_states(
        &self,
        going: &Going<'_>,
        report: &mut BackupVerifyReport,
    ) -> Result<Vec<State>> {
        let mut states = Vec::new();
        for number in self.numbers()? {
            report.states += 1;
            let opened = self
                .read(number)
                .and_then(|_| State::open(&self.dir_of(number)?));
            let whole = opened.and_then(|state| {
                going.expect(state.len_bytes())?;
                state.require_whole(going)?;
                Ok(state)
            });
            match whole {
                Ok(state) => states.push(state),
                Err(error) if error.tells_of_damage() || error.is_not_found() => {
                    report.files.push(DamagedFile::of(&error));
                }
                Err(error) => return Err(error),
            }
        }
        Ok(states)
    }
}

/// Durably, so that no backup believes that it is there.
fn move_aside(dir: &Dir, name: &str) -> Result<()> {
    let (from, to) = (dir.at(name), dir.at(format!("{name}{}", bring::ASIDE)));
    match file::rename(&from, &to) {
        Err(error) if error.is_not_found() => Ok(()),
        renamed => renamed.and_then(|()| dir.sync()),
    }
}
