//! [`Ahead`]: free room on the disk behind the end of the index's file. So a full disk is met before a
//! batch has a number, and not by sled, which cannot recover from such a failure.

use super::journal::SpaceUse;
use crate::local::file::Handle;
use crate::sync::Mutex;
use crate::{Error, Result};

/// How many bytes sled writes for each byte of a batch: measured 8 for puts, 3 for aborts, 5 for sweeps.
/// Its file grows by that or less, because sled uses free space in it again.
const WRITTEN_PER_GROWTH: u64 = 8;
const WRITTEN_PER_RELEASE: u64 = 4;
const WRITTEN_PER_SWEEP: u64 = 6;
/// How much sled may hold back of earlier batches: a segment of its log, bytes.
const HELD_BACK: u64 = 512 * 1024;
/// What growth leaves to releases, bytes, or this fraction of the file if that is more. A rebuild of the
/// index has no other room than this and that of the old file. With parts it needed half of the old file,
/// with large metadata a fifth more than it.
const LEFT_TO_RELEASES: u64 = 2 * 1024 * 1024;
const SHARE_LEFT: u64 = 4;
/// What releases leave to sweeps, bytes.
const LEFT_TO_SWEEPS: u64 = 512 * 1024;
/// How much is allocated at once if the disk has room, bytes.
const STEP: u64 = 1024 * 1024;

#[derive(Debug)]
pub(super) struct Ahead {
    /// `None` if no such file exists, for an index in memory.
    file: Option<Handle>,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// Reserved for batches that are being applied, bytes.
    in_flight: u64,
    /// The file has room up to this place, and is no shorter than it was then.
    end: u64,
    len: u64,
}

/// Room for a batch until this is dropped. By then the batch is applied.
#[must_use = "the room is held for as long as this lives"]
pub(super) struct Assured<'a> {
    ahead: &'a Ahead,
    bytes: u64,
}

impl Ahead {
    pub(super) fn of(file: Option<Handle>) -> Self {
        Self {
            file,
            state: Mutex::default(),
        }
    }

    /// Ensures that a batch of so many bytes can be applied.
    ///
    /// # Errors
    /// [`Error::StorageFull`].
    pub(super) fn assure(&self, batch: usize, space: SpaceUse) -> Result<Assured<'_>> {
        let bytes = (batch as u64).saturating_mul(match space {
            SpaceUse::Grows => WRITTEN_PER_GROWTH,
            SpaceUse::Frees => WRITTEN_PER_RELEASE,
            SpaceUse::Sweeps => WRITTEN_PER_SWEEP,
        });
        let mut state = self.state.lock();
        if let Some(file) = &self.file {
            state.measure(file)?;
            let needed = HELD_BACK + state.in_flight + bytes + state.left_by(space);
            // A release may just have removed the ballast. Others must not get its room.
            let step = STEP.max(if space == SpaceUse::Grows { 0 } else { bytes });
            state.extend(file, needed, step)?;
        }
        state.in_flight += bytes;
        Ok(Assured { ahead: self, bytes })
    }

    /// Allocates as much as it can of what is left to releases.
    pub(super) fn lay(&self) {
        let mut state = self.state.lock();
        let Some(file) = &self.file else { return };
        if state.measure(file).is_err() {
            return;
        }
        let all = HELD_BACK + state.left_by(SpaceUse::Grows);
        let _ = [all, all / 2, all / 4, all / 8]
            .into_iter()
            .find(|needed| state.extend(file, *needed, 0).is_ok());
    }
}

impl State {
    fn measure(&mut self, file: &Handle) -> Result<()> {
        let len = file.len()?;
        if len < self.len {
            // sled shortens its file if its end is free, and the room behind the end is lost with it.
            self.end = 0;
        }
        self.len = len;
        Ok(())
    }

    /// What a batch must leave free for batches of the other uses, bytes.
    fn left_by(&self, space: SpaceUse) -> u64 {
        match space {
            SpaceUse::Grows => LEFT_TO_SWEEPS + LEFT_TO_RELEASES.max(self.len / SHARE_LEFT),
            SpaceUse::Frees => LEFT_TO_SWEEPS,
            SpaceUse::Sweeps => 0,
        }
    }

    fn extend(&mut self, file: &Handle, needed: u64, step: u64) -> Result<()> {
        if self.end >= self.len + needed {
            return Ok(());
        }
        let made = [needed + step, needed].into_iter().find_map(|ahead| {
            let made = file.allocate_ahead(self.len, ahead);
            made.ok().map(|()| self.len + ahead)
        });
        // xfs also refuses what an earlier process has allocated.
        self.end = made.map_or_else(|| file.allocated(), Ok)?;
        if self.end >= self.len + needed {
            return Ok(());
        }
        Err(Error::StorageFull {
            path: file.path(),
            needed: 0,
            available: 0,
        })
    }
}

impl Drop for Assured<'_> {
    fn drop(&mut self) {
        self.ahead.state.lock().in_flight -= self.bytes;
    }
}
