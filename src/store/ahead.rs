//! [`Ahead`]: pieces of an object that are read before the reader asks for them, in order.

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::Bytes;

use super::session::Session;
use super::workers::Workers;
use crate::backend::{BlobReader, StoredBlob};
use crate::buffers::Buffer;
use crate::sync::{Condvar, Mutex};
use crate::{ContentHash, Result};

/// Bytes of the longest piece: a large buffer.
const LONGEST: u64 = 2 << 20;
/// How far ahead is read, bytes: at first, and at most. It doubles with each piece that the reader takes. So
/// what is read in vain is no more than what the reader wanted. Four pieces are in flight, and two are read or
/// being checked. So no request waits for the reader to take the piece before it.
const FIRST: u64 = 1 << 20;
const FARTHEST: u64 = 6 * LONGEST;
/// How many pieces at most. Small parts are small pieces.
const PIECES: usize = 16;

pub(super) struct Ahead {
    pieces: VecDeque<Piece>,
    /// The place behind the last piece.
    end: u64,
    window: u64,
}

struct Piece {
    start: u64,
    answer: Arc<Slot>,
}

/// A piece that is to be read: bytes of one blob, and memory for them.
pub(super) struct Order {
    pub blob: Box<dyn BlobReader>,
    pub within: u64,
    pub len: usize,
    pub into: Buffer,
}

impl Ahead {
    /// Nothing is read ahead of `start`.
    pub(super) fn at(start: u64) -> Self {
        Self {
            pieces: VecDeque::new(),
            end: start,
            window: FIRST,
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.pieces.is_empty()
    }

    /// Whether the next piece has the byte at this place.
    pub(super) fn has(&self, position: u64) -> bool {
        let mut pieces = self.pieces.iter().map(|piece| piece.start);
        let starts = pieces.next().is_some_and(|start| start <= position);
        starts && position < pieces.next().unwrap_or(self.end)
    }

    /// Where the next piece to be ordered begins, and how long it may be. `None` if enough is ordered.
    pub(super) fn wants(&self) -> Option<(u64, u64)> {
        let first = self.pieces.front().map_or(self.end, |piece| piece.start);
        let is_near = self.end - first < self.window && self.pieces.len() < PIECES;
        is_near.then_some((self.end, LONGEST.min(self.window / 2)))
    }

    /// Has the next piece read. `false` if no thread does it.
    pub(super) fn order(&mut self, workers: &Arc<Workers>, order: Order) -> bool {
        let answer = Arc::new(Slot::default());
        let (start, len) = (self.end, order.len as u64);
        let sender = Sender(Arc::clone(&answer));
        let is_sent = workers.send(Box::new(move || {
            // If the reader has been dropped or was moved, nobody waits for it.
            if sender.is_awaited() {
                sender.answer(order.read());
            }
        }));
        if is_sent {
            self.pieces.push_back(Piece { start, answer });
            self.end += len;
        }
        is_sent
    }

    /// Waits for the next piece. `None` if it was not read, for whatever reason.
    pub(super) fn take(&mut self) -> Option<(u64, Result<Bytes>)> {
        let piece = self.pieces.pop_front()?;
        self.window = FARTHEST.min(2 * self.window);
        Some((piece.start, piece.answer.wait()?))
    }
}

impl Order {
    fn read(mut self) -> Result<Bytes> {
        let space = self.into.space();
        let into = space.get_mut(..self.len).unwrap_or_default();
        let len = read_all(&mut *self.blob, self.within, into, 0)?;
        self.into.fill(len);
        Ok(self.into.freeze())
    }
}

/// Opens a blob that is read from its first byte to its last, in long pieces.
pub(super) fn open_in_order(
    session: &Session,
    content: &ContentHash,
    blob: StoredBlob,
) -> Result<Box<dyn BlobReader>> {
    let reader = session.blobs.open(content, blob)?;
    Ok(reader.ahead()?.unwrap_or(reader))
}

/// Fills `into`, as far as the blob has bytes. Returns how many: more than `least`, if it has them. An error behind
/// these is met again by whoever reads on.
pub(super) fn read_all(
    blob: &mut dyn BlobReader,
    within: u64,
    into: &mut [u8],
    least: usize,
) -> Result<usize> {
    let mut done = 0;
    while done < into.len() {
        let rest = into.get_mut(done..).unwrap_or_default();
        match blob.read_at(within + done as u64, rest) {
            Ok(0) => break,
            Ok(read) => done += read,
            Err(error) if done <= least => return Err(error),
            Err(_) => break,
        }
    }
    Ok(done)
}

/// Where the answer of a worker is left.
#[derive(Default)]
struct Slot {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
enum State {
    #[default]
    Awaited,
    Here(Result<Bytes>),
    /// None comes.
    Given,
}

impl Slot {
    fn wait(&self) -> Option<Result<Bytes>> {
        let mut state = self.state.lock();
        while matches!(*state, State::Awaited) {
            self.changed.wait(&mut state);
        }
        match std::mem::replace(&mut *state, State::Given) {
            State::Here(answer) => Some(answer),
            State::Awaited | State::Given => None,
        }
    }
}

/// The worker's end. Dropped without an answer, it says that none comes.
struct Sender(Arc<Slot>);

impl Sender {
    fn is_awaited(&self) -> bool {
        Arc::strong_count(&self.0) > 1
    }

    fn answer(&self, answer: Result<Bytes>) {
        *self.0.state.lock() = State::Here(answer);
        self.0.changed.notify_all();
    }
}

impl Drop for Sender {
    fn drop(&mut self) {
        let mut state = self.0.state.lock();
        if matches!(*state, State::Awaited) {
            *state = State::Given;
            self.0.changed.notify_all();
        }
    }
}
