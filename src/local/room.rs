//! Disk space. Bodies that would fill the disk are refused before they are received. A reserve lets aborts
//! and sweeps run when something else has filled it (R3, I7).

use std::sync::Arc;

use crate::local::ballast::Ballast;
use crate::local::file::{Dir, Place};
use crate::sync::Mutex;
use crate::{Error, Result};

/// The ballast is this fraction of the headroom: one in so many.
const BALLAST_SHARE: u64 = 4;
/// How far ahead of its bytes a body reserves room at most, bytes.
const STEP: u64 = 16 * 1024 * 1024;
/// How far when a whole step would be too much, bytes.
const SHORT_STEP: u64 = 256 * 1024;
/// Nothing is reserved ahead beyond this fraction of the room above the headroom: one in so many.
const AHEAD_SHARE: u64 = 4;

pub(crate) struct Room {
    root: Dir,
    headroom: u64,
    /// Bytes that bodies have reserved and not yet written. It is locked while the file system is asked. So
    /// of two bodies that ask at the same time, the later one sees what the earlier one got.
    reserved: Mutex<u64>,
    ballast: Arc<Ballast>,
}

impl Room {
    /// `ballast` is the place of a file that may be made.
    pub(crate) fn new(root: Dir, ballast: Place, headroom: u64) -> Self {
        let ballast = Arc::new(Ballast::new(ballast, headroom / BALLAST_SHARE));
        Self {
            root,
            headroom,
            reserved: Mutex::new(0),
            ballast,
        }
    }

    /// Passes if the disk has room for so many bytes now. Reserves none of it.
    ///
    /// # Errors
    /// [`Error::StorageFull`] if, with what others have reserved, they would use the headroom.
    pub(crate) fn check(&self, bytes: u64) -> Result<()> {
        let spare = Spare::of(self, *self.reserved.lock())?;
        spare.require(bytes)?;
        self.ballast.lay(spare.left);
        Ok(())
    }

    /// Reserves room for bytes that are about to be written.
    ///
    /// # Errors
    /// [`Error::StorageFull`] if they would use the headroom.
    pub(crate) fn reserve(self: &Arc<Self>, bytes: u64) -> Result<Reservation> {
        let mut reservation = self.reservation();
        reservation.receive(bytes, Some(0))?;
        Ok(reservation)
    }

    /// Makes a reservation that holds nothing yet.
    pub(crate) fn reservation(self: &Arc<Self>) -> Reservation {
        Reservation {
            room: Arc::clone(self),
            held: 0,
            received: 0,
        }
    }

    /// Reserves at least `least` bytes, or fails with [`StorageFull`](Error::StorageFull). Reserves up to
    /// `most` if that leaves enough for others. Returns how many.
    fn take(&self, least: u64, most: u64) -> Result<u64> {
        let mut reserved = self.reserved.lock();
        let spare = Spare::of(self, *reserved)?;
        spare.require(least)?;
        let taken = step((spare.left, *reserved), least, most);
        *reserved += taken;
        drop(reserved);
        self.ballast.lay(spare.left - taken);
        Ok(taken)
    }

    fn give_back(&self, bytes: u64) {
        *self.reserved.lock() -= bytes;
    }

    /// Makes room for calls that free space: removes the ballast if the disk is nearly full.
    pub(crate) fn give_up_ballast_if_low(&self) {
        if self
            .root
            .free_space()
            .is_ok_and(|free| free < self.ballast.len())
        {
            self.ballast.give_up();
        }
    }

    /// Whether bodies will soon be refused: less than twice the headroom is left.
    pub(crate) fn is_scarce(&self) -> bool {
        let scarce = self.headroom.saturating_mul(2);
        self.root.free_space().is_ok_and(|free| free < scarce)
    }

    /// The ballast.
    pub(crate) fn ballast(&self) -> &Arc<Ballast> {
        &self.ballast
    }

    /// Whether so many bytes are free beside what is kept for releases. It is for work that frees more than
    /// it takes, so it may use the headroom.
    pub(crate) fn has(&self, bytes: u64) -> bool {
        let needed = bytes.saturating_add(self.ballast.len());
        self.root.free_space().is_ok_and(|free| free >= needed)
    }

    /// Makes the ballast if the disk has some room for it, even in the headroom.
    pub(crate) fn lay_ballast(&self) {
        self.ballast.lay(self.root.free_space().unwrap_or(0));
    }

    /// Bytes that are reserved and not yet written.
    pub(crate) fn reserved(&self) -> u64 {
        *self.reserved.lock()
    }
}

/// What the disk has above the headroom at one moment, bytes.
struct Spare<'a> {
    room: &'a Room,
    /// Bytes that are free on the file system.
    available: u64,
    reserved: u64,
    /// Bytes of it that are not reserved.
    left: u64,
}

impl<'a> Spare<'a> {
    fn of(room: &'a Room, reserved: u64) -> Result<Self> {
        let available = room.root.free_space()?;
        let taken = reserved.saturating_add(room.headroom);
        Ok(Self {
            room,
            available,
            reserved,
            left: available.saturating_sub(taken),
        })
    }

    fn require(&self, bytes: u64) -> Result<()> {
        let taken = self.reserved.saturating_add(self.room.headroom);
        let needed = taken.saturating_add(bytes);
        if self.available >= needed {
            return Ok(());
        }
        Err(Error::StorageFull {
            path: self.room.root.path().to_owned(),
            needed,
            available: self.available,
        })
    }
}

/// How much of `most` to reserve for a body that needs `least`, when so much is spare and so much is
/// already reserved. Never more than is spare, unless `least` is more.
fn step((spare, reserved): (u64, u64), least: u64, most: u64) -> u64 {
    let most_ahead = spare.saturating_add(reserved) / AHEAD_SHARE;
    let fits = |step: &u64| reserved.saturating_add(*step) <= most_ahead;
    [most, most.min(SHORT_STEP).max(least)]
        .into_iter()
        .find(fits)
        .unwrap_or(least)
}

/// Room for one body, which grows as bytes arrive. When this is dropped, what was not written is given
/// back.
pub(crate) struct Reservation {
    room: Arc<Room>,
    /// Reserved and not yet written.
    held: u64,
    /// Received and not yet written. It is at most what is held.
    received: u64,
}

impl Reservation {
    /// Reserves room for `bytes` that have arrived, and, in steps, for some of those that will come: `rest`
    /// of them, if that is known.
    ///
    /// # Errors
    /// [`Error::StorageFull`] if what has arrived would use the headroom.
    pub(crate) fn receive(&mut self, bytes: u64, rest: Option<u64>) -> Result<()> {
        let received = self.received.saturating_add(bytes);
        if received > self.held {
            let least = received - self.held;
            let step = rest.map_or(STEP, |rest| least.saturating_add(rest).min(STEP));
            self.held += self.room.take(least, step.max(least))?;
        }
        self.received = received;
        Ok(())
    }

    /// Says that received bytes were written. The file system counts them from now on.
    pub(crate) fn written(&mut self, bytes: u64) {
        let counted = bytes.min(self.received);
        self.received -= counted;
        self.held -= counted;
        self.room.give_back(counted);
    }

    /// Gives back what is not written.
    pub(crate) fn cancel(&mut self) {
        self.room.give_back(self.held);
        (self.held, self.received) = (0, 0);
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        self.cancel();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_is_short_when_much_is_held_and_no_longer_than_what_is_left() {
        let (all, share) = (100 * STEP, 25 * STEP);
        let held = |held, (least, most)| step((all - held, held), least, most);
        assert_eq!(held(0, (1, STEP)), STEP);
        assert_eq!(held(0, (1, 2)), 2);
        assert_eq!(held(share - STEP, (1, STEP)), STEP);
        assert_eq!(held(share - SHORT_STEP, (1, STEP)), SHORT_STEP);
        assert_eq!(held(share, (1, STEP)), 1);
        assert_eq!(held(share, (STEP, STEP)), STEP, "it has arrived");
        assert_eq!(step((STEP, 0), 1, STEP), SHORT_STEP);
        assert_eq!(step((4 * SHORT_STEP - 4, 0), 7, STEP), 7);
        assert_eq!(step((7, 0), 7, STEP), 7);
    }
}
