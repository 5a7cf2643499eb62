//! Room on the disk: bodies are refused before they fill it, and releasing works when something
//! else has (R3, I7).

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;

use crate::file::{self, Dir, Handle, Place};
use crate::{Error, Result};

/// What the ballast takes of the headroom.
const BALLAST_SHARE: u64 = 4;
/// A body of undeclared length asks again for room each time that it has grown by this much, bytes.
pub(crate) const UNDECLARED_STEP: u64 = 16 * 1024 * 1024;

pub(crate) struct Room {
    root: Dir,
    headroom: u64,
    /// Declared by bodies that are being received, and not yet written.
    reserved: AtomicU64,
    ballast: Ballast,
}

impl Room {
    /// `ballast` is the place of a file that may be made.
    pub(crate) fn new(root: Dir, ballast: Place, headroom: u64) -> Self {
        let ballast = Ballast {
            place: ballast,
            len: headroom / BALLAST_SHARE,
            laid: Mutex::new(false),
        };
        Self {
            root,
            headroom,
            reserved: AtomicU64::new(0),
            ballast,
        }
    }

    /// Reserves room for a body.
    ///
    /// # Errors
    /// [`Error::StorageFull`] when the body would take the headroom.
    pub(crate) fn reserve(self: &Arc<Self>, bytes: u64) -> Result<Reservation> {
        let mut reservation = Reservation {
            room: Arc::clone(self),
            unwritten: 0,
        };
        let available = reservation.extend(bytes)?;
        self.ballast.lay(available.saturating_sub(self.headroom));
        Ok(reservation)
    }

    /// Makes room for what releases: gives up the ballast when the disk is nearly full.
    pub(crate) fn for_release(&self) {
        if self
            .root
            .free_space()
            .is_ok_and(|free| free < self.ballast.len)
        {
            self.ballast.give_up();
        }
    }

    /// Bytes that bodies have declared and not yet sent.
    pub(crate) fn reserved(&self) -> u64 {
        self.reserved.load(Ordering::Relaxed)
    }
}

/// Room for one body, given back when dropped.
pub(crate) struct Reservation {
    room: Arc<Room>,
    unwritten: u64,
}

impl Reservation {
    /// Asks for more. Gives what is available in all.
    pub(crate) fn extend(&mut self, bytes: u64) -> Result<u64> {
        let room = &self.room;
        // Added before it is compared: of two bodies that ask at once each sees the other.
        let reserved = room
            .reserved
            .fetch_add(bytes, Ordering::Relaxed)
            .saturating_add(bytes);
        self.unwritten += bytes;
        let needed = reserved.saturating_add(room.headroom);
        let available = room.root.free_space()?;
        if available < needed {
            let path = room.root.path().to_owned();
            return Err(Error::StorageFull {
                path,
                needed,
                available,
            });
        }
        Ok(available)
    }

    /// Says that bytes were written: the file system counts them now.
    pub(crate) fn written(&mut self, bytes: u64) {
        let counted = bytes.min(self.unwritten);
        self.unwritten -= counted;
        self.room.reserved.fetch_sub(counted, Ordering::Relaxed);
    }

    /// Bytes that are reserved and not yet written.
    pub(crate) fn left(&self) -> u64 {
        self.unwritten
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        self.room
            .reserved
            .fetch_sub(self.unwritten, Ordering::Relaxed);
    }
}

/// A file that only takes room, to be given up when an abort or a sweep needs it on a full disk.
struct Ballast {
    place: Place,
    len: u64,
    laid: Mutex<bool>,
}

impl Ballast {
    /// Lays the ballast once there is `spare` room for it. That it could not is no failure.
    fn lay(&self, spare: u64) {
        let mut laid = self.laid.lock();
        if *laid || self.len == 0 || spare < 2 * self.len {
            return;
        }
        let made = file::remove_if_present(&self.place)
            .and_then(|_| Handle::create_new(&self.place))
            .and_then(|handle| handle.allocate(self.len));
        *laid = made.is_ok();
        if made.is_err() {
            let _ = file::remove_if_present(&self.place);
        }
    }

    fn give_up(&self) {
        let mut laid = self.laid.lock();
        // An earlier process may have laid it.
        let _ = file::remove_if_present(&self.place);
        *laid = false;
    }
}
