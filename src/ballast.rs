//! [`Ballast`]: a file that only takes room. It is removed when the disk is full (I7).

use crate::file::{self, Handle, Place};
use crate::sync::Mutex;
use crate::{Error, Result};

/// After this many calls a ballast is tried again that could not be laid.
const PAUSE: u32 = 64;

/// Parts of it that are better than nothing.
const SHARES: [u64; 2] = [4, 16];

#[derive(Debug)]
pub(crate) struct Ballast {
    place: Place,
    len: u64,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// Whether all of it is there.
    is_laid: bool,
    /// Not tried before so many more calls.
    pause: u32,
}

impl Ballast {
    /// `place` is that of a file that may be made, of `len` bytes; with 0 there is never one.
    pub(crate) fn new(place: Place, len: u64) -> Self {
        Self {
            place,
            len,
            state: Mutex::default(),
        }
    }

    /// Bytes.
    pub(crate) fn len(&self) -> u64 {
        self.len
    }

    /// Lays the ballast once there is `spare` room for twice as much. That it could not is no failure.
    pub(crate) fn lay(&self, spare: u64) {
        let mut state = self.state.lock();
        if state.is_laid || self.len == 0 || spare < 2 * self.len {
            return;
        }
        if state.pause > 0 {
            // A quota, which the free space does not show, has no room for it.
            state.pause -= 1;
            return;
        }
        match self.make() {
            Ok(()) => state.is_laid = true,
            Err(_) => state.pause = PAUSE,
        }
    }

    /// All of it, or else as much as there is room for. An earlier process may have laid it, or some of it.
    fn make(&self) -> Result<()> {
        let handle = match Handle::open_write(&self.place) {
            Err(error) if error.is_not_found() => Handle::create_new(&self.place)?,
            opened => opened?,
        };
        let laid = handle.len()?;
        if laid == self.len {
            return Ok(());
        }
        let whole = handle.allocate(self.len);
        let shares = SHARES.map(|share| self.len / share);
        if whole.is_err()
            && !shares
                .into_iter()
                .any(|len| len <= laid || handle.allocate(len).is_ok())
        {
            let _ = file::remove_if_present(&self.place);
        }
        whole
    }

    /// Gives the room back to the file system; `false` when there was no ballast.
    pub(crate) fn give_up(&self) -> bool {
        let mut state = self.state.lock();
        // An earlier process may have laid it. xfs frees what a removed file had some time later.
        let _ = Handle::open_write(&self.place).and_then(|handle| handle.truncate(0));
        let removed = file::remove_if_present(&self.place).unwrap_or(false);
        *state = State::default();
        if removed {
            // btrfs gives room back with its next transaction only. What is not synced now is later.
            let _ = self.place.dir().sync_file_system();
        }
        removed
    }

    /// Makes the attempt; without room for it the ballast is given up and the attempt is made once more.
    ///
    /// # Errors
    /// Those of the attempt: of the second one, if there was one.
    pub(crate) fn helping<T>(&self, mut attempt: impl FnMut() -> Result<T>) -> Result<T> {
        match attempt() {
            Err(Error::StorageFull { .. }) if self.give_up() => attempt(),
            done => done,
        }
    }
}
