//! [`Ballast`]: a file that only takes room. It is removed when the disk is full (I7).

use crate::local::file::{self, Handle, Place};
use crate::sync::Mutex;
use crate::{Error, Result};

/// How many calls pass before a ballast that could not be made is tried again.
const PAUSE: u32 = 64;

/// Fractions of it that are better than nothing.
const SHARES: [u64; 2] = [4, 16];

#[derive(Debug)]
pub(crate) struct Ballast {
    place: Place,
    len: u64,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// Whether all of it exists.
    is_laid: bool,
    /// It is not tried again before so many more calls.
    pause: u32,
}

impl Ballast {
    /// `place` is that of a file that may be made, of `len` bytes. If `len` is 0, no ballast is ever made.
    pub(crate) fn new(place: Place, len: u64) -> Self {
        Self {
            place,
            len,
            state: Mutex::default(),
        }
    }

    /// Its length, bytes.
    pub(crate) fn len(&self) -> u64 {
        self.len
    }

    /// Makes the ballast once twice its length is spare. If it cannot be made, that is no failure.
    pub(crate) fn lay(&self, spare: u64) {
        let mut state = self.state.lock();
        if state.is_laid || self.len == 0 || spare < 2 * self.len {
            return;
        }
        if state.pause > 0 {
            // A quota has no room for it. The free space does not show quotas.
            state.pause -= 1;
            return;
        }
        match self.make() {
            Ok(()) => state.is_laid = true,
            Err(_) => state.pause = PAUSE,
        }
    }

    /// Makes all of it, or as much as the disk has room for. An earlier process may have made all or some
    /// of it.
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

    /// Gives the room back to the file system. `false` if no ballast existed.
    pub(crate) fn give_up(&self) -> bool {
        let mut state = self.state.lock();
        // An earlier process may have made it. xfs frees the room of a removed file some time later, so the
        // file is first cut to nothing.
        let _ = Handle::open_write(&self.place).and_then(|handle| handle.truncate(0));
        let removed = file::remove_if_present(&self.place).unwrap_or(false);
        *state = State::default();
        if removed {
            // btrfs gives room back only with its next transaction. If this sync fails, the room is free
            // later.
            let _ = self.place.dir().sync_file_system();
        }
        removed
    }

    /// Makes the attempt. If it has no room, the ballast is removed and the attempt is made once more.
    ///
    /// # Errors
    /// Those of the attempt; of the second one, if it was made.
    pub(crate) fn helping<T>(&self, mut attempt: impl FnMut() -> Result<T>) -> Result<T> {
        match attempt() {
            Err(Error::StorageFull { .. }) if self.give_up() => attempt(),
            done => done,
        }
    }
}
