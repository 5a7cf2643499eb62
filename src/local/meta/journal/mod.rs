//! The journal: the truth about the store's state, durable by group commit.
//!
//! [`append`](Journal::append) gives a batch its sequence number and its place in a segment, in memory.
//! [`wait`](Journal::wait) returns when the journal is durable up to that number. One of the waiting
//! threads leads: it writes and syncs all that has gathered. The next group gathers in the meantime. The
//! journal has no timer, and no thread of its own.
//!
//! It keeps I2 (what `wait` has answered with `Ok` survives) and I8 (after a failure nothing more is
//! acknowledged). If the disk has no room for a batch, the batch is refused before it has a number. Batches
//! that free space (aborts, sweeps) may use the spare segment, and others may not. So a full disk can
//! always be emptied.

mod check;
mod remains;
mod restart;
mod scan;
#[cfg(all(test, shuttle))]
mod schedules;
mod segment;

use std::collections::VecDeque;
use std::iter;
use std::sync::Arc;
use std::time::Duration;

use check::Extent;
pub(crate) use remains::{Remains, remains};
pub(crate) use restart::{newest_change, restart};
pub(crate) use scan::{Scan, Sealed, Visit, is_unused, scan};
use segment::Segment;
pub(crate) use segment::{foreign, place_of as segment_place};

use crate::going::Going;
use crate::local::ballast::Ballast;
use crate::local::file::{self, Dir, Lock};
use crate::local::format::frame;
use crate::local::format::mutation::Batch;
use crate::local::format::segment::HEADER_LEN;
use crate::local::health::Health;
use crate::spans::span;
use crate::sync::{Condvar, GLANCE, Mutex, MutexGuard};
use crate::{DamagedFile, Event, Result, SyncKind};

/// How a batch changes the space that the store needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SpaceUse {
    /// It adds rows. It is refused if it would use up the spare segment.
    Grows,
    /// A later sweep frees space because of it. It may use the spare segment, and leaves some of it to the
    /// sweep.
    Frees,
    /// It frees space. It may use all that is left.
    Sweeps,
}

impl SpaceUse {
    /// Does a step for a batch. If the batch frees space, it may use the ballast's room.
    pub(crate) fn helped_by<T>(self, ballast: &Ballast, step: impl Fn() -> Result<T>) -> Result<T> {
        match self {
            Self::Grows => step(),
            Self::Frees | Self::Sweeps => ballast.helping(step),
        }
    }
}

/// What batches leave of the last segment for sweeps, bytes: three batches of 256 blobs. A quarter of small
/// segments.
const LEFT_TO_SWEEPS: u64 = 64 * 1024;

/// An appended batch. It is durable once [`Journal::wait`] has returned `Ok` for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[must_use = "a batch is durable only after wait"]
pub(crate) struct Ticket(u64);

impl Ticket {
    /// The batch's sequence number.
    pub(crate) fn seq(self) -> u64 {
        self.0
    }
}

pub(crate) struct Journal {
    dir: Dir,
    /// Checked before a segment is made: the directory must still be the store's alone.
    lock: Arc<Lock>,
    /// Removed before a write fails for lack of room.
    ballast: Arc<Ballast>,
    segment_len: u64,
    health: Arc<Health>,
    state: Mutex<State>,
    progress: Condvar,
    /// Segments are made one at a time, while other threads append.
    making: Mutex<()>,
}

struct State {
    last_seq: u64,
    durable: u64,
    /// Frames that have a place and are not yet given to a leader, in order.
    pending: Vec<Pending>,
    leading: bool,
    /// Files of journal and layers that were found damaged. If any are, no batch is accepted.
    damaged: Vec<DamagedFile>,
    active: Arc<Segment>,
    /// Where the next frame begins in the active segment.
    end: u64,
    /// Segments that were made before their use, in order.
    spares: VecDeque<Arc<Segment>>,
    sealed: VecDeque<Sealed>,
    /// The number of the next segment. It changes only while that is made.
    next_number: u64,
}

struct Pending {
    segment: Arc<Segment>,
    offset: u64,
    kind: frame::Kind,
    seq: u64,
    payload: Vec<u8>,
}

impl Pending {
    /// Bytes of its frame.
    fn len(&self) -> usize {
        frame::frame_len(self.payload.len())
    }
}

impl Journal {
    /// Makes the first segment of a new store.
    pub(crate) fn create(dir: &Dir, segment_len: u64) -> Result<()> {
        Segment::create(dir, 1, segment_len).map(drop)
    }

    /// Continues where `found` says that the journal ends. `last_seq` is the newest batch of journal and
    /// snapshot.
    ///
    /// I2: what is acknowledged from now on builds on what was read, and some of that may exist in the page
    /// cache only. So it is first written again and synced. After a `kill -9` a sync would be enough. But
    /// after a failed sync the kernel may believe that lost pages are written.
    pub(crate) fn resume(
        dir: &Dir,
        (lock, ballast): (&Arc<Lock>, &Arc<Ballast>),
        segment_len: u64,
        found: &Scan,
    ) -> Result<Self> {
        for number in found.stillborn.iter().rev() {
            // The newest first, and one by one: a kill or a power cut must not leave a gap.
            file::remove(&segment::place_of(dir, *number))?;
            dir.sync()?;
        }
        let active = Segment::open(dir, found.tail.number)?;
        let torn = found.tail.end + found.tail.torn;
        ballast.helping(|| active.handle.write_zeros(found.tail.end, torn))?;
        active.write_again(found.tail.end, ballast)?;
        for sealed in found
            .sealed
            .iter()
            .filter(|sealed| sealed.last_seq >= found.durable)
        {
            Segment::open(dir, sealed.number)?.write_again(sealed.len, ballast)?;
        }
        dir.sync()?;
        let spare = found
            .spare
            .map(|number| Segment::open(dir, number))
            .transpose()?;
        if let Some(spare) = &spare {
            // The process that made the segment may have been killed before the header was durable.
            spare.write_again(HEADER_LEN as u64, ballast)?;
        }
        let state = State {
            last_seq: found.last_seq,
            durable: found.last_seq,
            pending: Vec::new(),
            leading: false,
            damaged: Vec::new(),
            next_number: found.spare.unwrap_or(found.tail.number) + 1,
            active: Arc::new(active),
            end: found.tail.end,
            spares: spare.map(Arc::new).into_iter().collect(),
            sealed: found.sealed.iter().copied().collect(),
        };
        Ok(Self {
            dir: dir.clone(),
            health: Arc::clone(dir.health()),
            lock: Arc::clone(lock),
            ballast: Arc::clone(ballast),
            segment_len,
            state: Mutex::new(state),
            progress: Condvar::new(),
            making: Mutex::default(),
        })
    }

    /// Gives the batch its number and its place. The caller holds the lock that covers the batch's rows,
    /// and applies the batch to the index under the same lock. So the index gets the mutations of a row in
    /// the journal's order.
    ///
    /// # Errors
    /// - [`Error::Poisoned`]: an earlier write or sync failed.
    /// - [`Error::Damaged`]: batches are refused.
    /// - [`Error::StorageFull`]: no segment can be made for the batch.
    pub(crate) fn append(&self, batch: &Batch, space: SpaceUse) -> Result<Ticket> {
        let payload = batch.payload().to_vec();
        let len = frame::frame_len(payload.len()) as u64;
        let mut state = self.state.lock();
        loop {
            self.health.check()?;
            state.check_accepts()?;
            match state.lacks(len, space, self.segment_len) {
                None => break,
                Some(lack) => self.make_segment(&mut state, lack, space)?,
            }
        }
        state.move_to_room_for(len);
        state.last_seq += 1;
        let seq = state.last_seq;
        state.place(frame::Kind::Batch, seq, payload);
        Ok(Ticket(seq))
    }

    /// Returns when the journal is durable up to the batch.
    ///
    /// # Errors
    /// [`Error::Poisoned`] if that failed, or anything failed before (I8).
    pub(crate) fn wait(&self, ticket: Ticket) -> Result<()> {
        let mut state = self.state.lock();
        loop {
            self.health.check()?;
            if state.durable >= ticket.0 {
                return Ok(());
            }
            if state.leading {
                // A sync may hang for ever, and another thread may find that the store has stopped.
                self.progress.wait_for(&mut state, GLANCE);
            } else {
                self.lead(&mut state);
            }
        }
    }

    /// Returns the newest batch. After waiting for it, everything is durable that any reader has seen so
    /// far.
    pub(crate) fn newest(&self) -> Ticket {
        Ticket(self.state.lock().last_seq)
    }

    /// Returns the sealed segments that are durable with their seal. A layer can replace them.
    pub(crate) fn sealed(&self) -> Vec<Sealed> {
        let state = self.state.lock();
        state
            .sealed
            .iter()
            .copied()
            .filter(|sealed| sealed.last_seq < state.durable)
            .collect()
    }

    /// Bytes of all segments in use.
    pub(crate) fn len(&self) -> u64 {
        let state = self.state.lock();
        state.end + state.sealed.iter().map(|sealed| sealed.len).sum::<u64>()
    }

    /// Reads all segments through the newest durable batch, and returns the damage. The caller ensures that
    /// no checkpoint removes any in the meantime.
    pub(crate) fn check_files(
        &self,
        going: &Going<'_>,
        found: &mut Vec<DamagedFile>,
    ) -> Result<()> {
        let (segments, durable) = {
            let state = self.state.lock();
            let sealed = state.sealed.iter().map(|sealed| Extent {
                number: sealed.number,
                last_seq: sealed.last_seq,
            });
            let active = Extent {
                number: state.active.stamp.number,
                last_seq: state.last_seq,
            };
            (sealed.chain([active]).collect::<Vec<_>>(), state.durable)
        };
        check::damaged_files((&self.dir, going), &segments, durable, found)
    }

    /// Passes each batch above `after` to `visit`, in order, through batch `through`, which is durable.
    /// Other threads may write behind it. `after` is the newest batch of a layer. The caller ensures that no
    /// checkpoint removes segments in the meantime.
    ///
    /// # Errors
    /// [`Error::Damaged`] if a batch cannot be read, and whatever `visit` returns.
    pub(crate) fn read_through(
        &self,
        (after, through): (u64, u64),
        visit: &mut Visit<'_>,
    ) -> Result<()> {
        let numbers: Vec<u64> = {
            let state = self.state.lock();
            let sealed = state.sealed.iter().map(|sealed| sealed.number);
            sealed.chain([state.active.stamp.number]).collect()
        };
        scan::read_through(&self.dir, &numbers, (after, through), visit)
    }

    /// Removes the segments that durable layers through `seq` replace. The segment with the newest
    /// durable batch stays, so a journal without any batch is always one that was lost.
    pub(crate) fn drop_through(&self, seq: u64) -> Result<()> {
        while let Some(number) = self.oldest_through(seq) {
            // One by one: a power cut must not leave an older segment without the one behind it. A segment
            // is forgotten only once it is removed, so what fails here is done again the next time.
            file::remove_if_present(&segment::place_of(&self.dir, number))?;
            self.dir.sync()?;
            self.state.lock().sealed.pop_front();
        }
        Ok(())
    }

    fn oldest_through(&self, seq: u64) -> Option<u64> {
        let state = self.state.lock();
        // Before any batch is durable, not even an empty segment is removed.
        let oldest = state
            .sealed
            .front()
            .filter(|sealed| sealed.last_seq <= seq && sealed.last_seq < state.durable);
        oldest.map(|sealed| sealed.number)
    }

    /// Refuses batches from now on. With damaged files the journal cannot be made shorter, and after a kill
    /// the store would not open. What was appended before still becomes durable.
    pub(crate) fn refuse_for(&self, damaged: &[DamagedFile]) {
        let mut news = Vec::new();
        let mut state = self.state.lock();
        for file in damaged {
            if state.damaged.iter().all(|known| known.path != file.path) {
                state.damaged.push(file.clone());
                news.push(file.clone());
            }
        }
        drop(state);
        for file in news {
            self.health.witness().note(|| Event::DamagedFile { file });
        }
    }

    /// Returns the files that were found damaged since the store was opened.
    pub(crate) fn known_damage(&self) -> Vec<DamagedFile> {
        self.state.lock().damaged.clone()
    }

    /// Passes if the directory is the store's alone, and the segment that is written to still has its name.
    ///
    /// # Errors
    /// [`Error::Displaced`].
    pub(crate) fn check_ownership(&self) -> Result<()> {
        self.lock.check()?;
        self.state.lock().active.handle.check_in_place()
    }

    /// Whether the store may still acknowledge.
    pub(crate) fn health(&self) -> &Health {
        &self.health
    }

    /// # Errors
    /// [`Error::Damaged`](crate::Error::Damaged) if batches are refused.
    pub(crate) fn check_accepts(&self) -> Result<()> {
        self.state.lock().check_accepts()
    }

    /// Makes a segment before it is used, for a frame of `frame_len` bytes. For batches that free space, it
    /// may use the ballast's room. Other threads append in the meantime, and may have made the segment, so
    /// the caller checks again.
    fn make_segment(
        &self,
        state: &mut MutexGuard<'_, State>,
        frame_len: u64,
        space: SpaceUse,
    ) -> Result<()> {
        let number = state.next_number;
        MutexGuard::unlocked(state, || {
            let _alone = self.making.lock();
            if self.state.lock().next_number != number {
                return Ok(());
            }
            let create = || self.create_segment(number, frame_len);
            let segment = space.helped_by(&self.ballast, create)?;
            let mut state = self.state.lock();
            state.next_number += 1;
            state.spares.push_back(Arc::new(segment));
            Ok(())
        })
    }

    fn create_segment(&self, number: u64, frame_len: u64) -> Result<Segment> {
        self.check_ownership()?;
        let len = self
            .segment_len
            .max(frame_len + (HEADER_LEN + frame::SEAL_LEN) as u64);
        Segment::create(&self.dir, number, len)
    }

    /// Writes and syncs all that is pending. Other threads append in the meantime. They wait, or lead the
    /// next group.
    fn lead(&self, state: &mut MutexGuard<'_, State>) {
        let group = std::mem::take(&mut state.pending);
        let last = state.last_seq;
        let durable = state.durable;
        state.leading = true;
        let began = self.health.witness().begin();
        let mut syncs = Vec::new();
        let is_durable = MutexGuard::unlocked(state, || {
            let written = self.write_group(&group, durable, &mut syncs);
            // I8: whatever failed, bytes of acknowledged batches may be lost.
            written
                .inspect_err(|error| self.health.poison(error))
                .is_ok()
        });
        let took = began.took();
        state.leading = false;
        if is_durable {
            state.durable = last;
        }
        self.progress.notify_all();
        if let Some(took) = took {
            // Those that waited have their answers, so a slow observer holds up this call only.
            let written = is_durable.then(|| told(&group, took));
            MutexGuard::unlocked(state, || self.tell(syncs, written));
        }
    }

    fn tell(&self, syncs: Vec<Duration>, group: Option<Event>) {
        let syncs = syncs
            .into_iter()
            .map(|took| Event::sync(SyncKind::Journal, took));
        for event in syncs.chain(group) {
            self.health.witness().note(|| event);
        }
    }

    /// Writes the frames, segment by segment. Each segment is durable with its seal before the next is written
    /// to. So a segment with frames proves that the one before it is whole. `syncs` gets how long they took, if
    /// somebody wants to know.
    fn write_group(
        &self,
        group: &[Pending],
        durable: u64,
        syncs: &mut Vec<Duration>,
    ) -> Result<()> {
        let _span = span!(DEBUG, "group", frames = group.len());
        for run in group.chunk_by(|before, after| before.segment.stamp == after.segment.stamp) {
            let Some(first) = run.first() else { continue };
            let mut bytes = Vec::with_capacity(run.iter().map(Pending::len).sum());
            for pending in run {
                let numbers = frame::Numbers {
                    seq: pending.seq,
                    durable,
                };
                frame::encode(
                    first.segment.stamp,
                    pending.kind,
                    numbers,
                    &pending.payload,
                    &mut bytes,
                );
            }
            first.segment.append(bytes, first.offset, &self.ballast)?;
            let began = self.health.witness().begin();
            first.segment.handle.sync_data()?;
            syncs.extend(began.took());
        }
        Ok(())
    }
}

impl State {
    fn check_accepts(&self) -> Result<()> {
        self.damaged
            .first()
            .map_or(Ok(()), |file| Err(file.refusal()))
    }

    /// Which segment must be made before a frame of `len` bytes is accepted: the length of the frame that
    /// it is for, 0 for any. `None` if nothing is missing. A batch that grows leaves a spare segment behind
    /// it.
    fn lacks(&self, len: u64, space: SpaceUse, segment_len: u64) -> Option<u64> {
        let left = left_by(space, segment_len);
        let spares = self.spares.iter();
        let empty = spares.map(|spare| spare.room(HEADER_LEN as u64));
        let mut rooms = iter::once(self.active.room(self.end))
            .chain(empty)
            .enumerate();
        let Some((at, room)) = rooms.find(|(_, room)| *room >= len) else {
            return Some(len + left);
        };
        let leaves_a_segment = at < self.spares.len();
        let enough = space != SpaceUse::Grows && room - len >= left;
        (!leaves_a_segment && !enough).then_some(0)
    }

    /// Moves to the segment that has room for the frame. A segment that is too small for it is sealed empty
    /// on the way.
    fn move_to_room_for(&mut self, len: u64) {
        while self.active.room(self.end) < len {
            let Some(next) = self.spares.pop_front() else {
                return;
            };
            self.move_on_to(next);
        }
    }

    fn place(&mut self, kind: frame::Kind, seq: u64, payload: Vec<u8>) {
        let offset = self.end;
        self.end += frame::frame_len(payload.len()) as u64;
        self.pending.push(Pending {
            segment: Arc::clone(&self.active),
            offset,
            kind,
            seq,
            payload,
        });
    }

    /// Seals the active segment. What follows is written to `next`.
    fn move_on_to(&mut self, next: Arc<Segment>) {
        self.place(frame::Kind::Seal, self.last_seq, Vec::new());
        self.sealed.push_back(Sealed {
            number: self.active.stamp.number,
            last_seq: self.last_seq,
            len: self.active.len,
        });
        self.active = next;
        self.end = HEADER_LEN as u64;
    }
}

/// What must be left of the last segment for the sweeps that follow, bytes.
fn left_by(space: SpaceUse, segment_len: u64) -> u64 {
    match space {
        SpaceUse::Frees => LEFT_TO_SWEEPS.min(segment_len / 4),
        SpaceUse::Grows | SpaceUse::Sweeps => 0,
    }
}

/// What an observer is told of a group.
fn told(group: &[Pending], took: Duration) -> Event {
    let batches = group
        .iter()
        .filter(|frame| frame.kind == frame::Kind::Batch);
    Event::Group {
        changes: batches.count() as u64,
        bytes: group.iter().map(|frame| frame.len() as u64).sum(),
        took,
    }
}
