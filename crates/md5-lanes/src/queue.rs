//! The lane thread: it takes the chunks that messages submit, and hashes up to sixteen side by side.
//!
//! The thread runs the lanes a slice at a time. Between two slices, chunks that are hashed leave their lanes, and
//! waiting chunks take them. So no chunk waits for another one to end. A message that stalls has submitted nothing
//! and has no lane.
//!
//! Many lanes cost little more than a few. So when the lanes are empty, the thread waits until half as many chunks
//! have come as were last together. It waits no longer than until a message asks for its result. Messages ask
//! after they have written, and when there are many of them, writing takes longer than MD5.
//!
//! A chunk is never lost: its message keeps it. If the thread dies, [`Pending::wait`] answers `None`, and the
//! message hashes the chunk itself.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use crate::kernel::{self, Block, LANES, State};
use crate::sync::{self, Condvar, JoinHandle, Mutex};

/// Blocks of each lane between two looks at the queue: 64 KiB.
const SLICE: usize = 1024;
/// So many slices at most, while others wait, before a chunk makes room: 1 MiB.
const TURN: usize = 16 * SLICE;

/// The chunks that wait for a lane, and the thread that hashes them.
///
/// The thread is started with the first chunk that is worth it. Dropping the last handle ends the thread and
/// waits for it.
pub struct Lanes {
    name: &'static str,
    queue: Arc<Queue>,
    thread: Mutex<Thread>,
}

enum Thread {
    NotYet,
    Started(JoinHandle<()>),
    Failed,
}

#[derive(Default)]
struct Queue {
    waiting: Mutex<Waiting>,
    more: Condvar,
}

#[derive(Default)]
struct Waiting {
    chunks: VecDeque<Chunk>,
    /// The most chunks that were in the lanes at once since the lanes were last empty.
    together: usize,
    /// The thread has ended, or will: it takes no more chunks.
    closed: bool,
    #[cfg(test)]
    breaks_down: bool,
}

/// A chunk, from its message to its lane.
struct Chunk {
    state: State,
    bytes: Bytes,
    /// Blocks that are hashed.
    done: usize,
    /// The same when the chunk took its lane.
    since: usize,
    answer: Arc<Answer>,
}

#[derive(Default)]
struct Answer {
    progress: Mutex<Progress>,
    changed: Condvar,
}

#[derive(Clone, Copy, Default, PartialEq)]
enum Progress {
    #[default]
    Hashing,
    /// The same, and its message waits for it.
    Awaited,
    /// The same, and its message was dropped.
    Abandoned,
    Hashed(State),
    GivenUp,
}

/// A chunk that was submitted.
pub(crate) struct Pending {
    queue: Arc<Queue>,
    answer: Arc<Answer>,
}

impl Pending {
    /// Waits until the chunk is hashed. Answers `None` when the caller must hash it.
    pub(crate) fn wait(self) -> Option<State> {
        // A chunk that is not begun does not wait for company any more.
        self.tell(Progress::Awaited);
        let mut progress = self.answer.progress.lock();
        loop {
            match *progress {
                Progress::Hashing | Progress::Awaited => self.answer.changed.wait(&mut progress),
                Progress::Hashed(state) => return Some(state),
                Progress::GivenUp | Progress::Abandoned => return None,
            }
        }
    }

    /// Waits for at most `timeout`. Returns whether [`wait`](Self::wait) would answer at once.
    pub(crate) fn is_over_within(&self, timeout: Duration) -> bool {
        self.tell(Progress::Awaited);
        let mut progress = self.answer.progress.lock();
        let goes_on =
            |progress: &mut Progress| matches!(progress, Progress::Hashing | Progress::Awaited);
        if goes_on(&mut progress) {
            let changed = &self.answer.changed;
            changed.wait_while_for(&mut progress, goes_on, timeout);
        }
        !goes_on(&mut progress)
    }

    /// Tells the thread what the message wants of its chunk, unless the chunk is hashed.
    fn tell(&self, wanted: Progress) {
        if self.answer.change(wanted) {
            self.queue.look_again();
        }
    }
}

impl Drop for Pending {
    /// A message that has not waited does not want its digest. The thread soon lets go of the bytes.
    fn drop(&mut self) {
        self.tell(Progress::Abandoned);
    }
}

impl Lanes {
    /// Starts no thread yet. `name` is what debuggers and process listings will call it.
    ///
    /// # Panics
    /// When `name` holds a NUL byte.
    #[must_use]
    pub fn new(name: &'static str) -> Self {
        assert!(!name.contains('\0'), "a NUL byte in a thread's name");
        let thread = if kernel::has_lanes() {
            Thread::NotYet
        } else {
            Thread::Failed
        };
        Self {
            name,
            queue: Arc::default(),
            thread: Mutex::new(thread),
        }
    }

    /// Returns whether messages are hashed side by side: the processor has AVX2, and the thread has not failed.
    #[must_use]
    pub fn are_used(&self) -> bool {
        !matches!(*self.thread.lock(), Thread::Failed) && !self.queue.waiting.lock().closed
    }

    /// Submits whole blocks. Answers `None` when there is no thread: the caller must hash them.
    pub(crate) fn submit(&self, state: State, bytes: Bytes) -> Option<Pending> {
        self.start()?;
        let answer = Arc::<Answer>::default();
        let chunk = Chunk {
            state,
            bytes,
            done: 0,
            since: 0,
            answer: Arc::clone(&answer),
        };
        let mut waiting = self.queue.waiting.lock();
        if waiting.closed {
            return None;
        }
        waiting.chunks.push_back(chunk);
        drop(waiting);
        self.queue.more.notify_one();
        let queue = Arc::clone(&self.queue);
        Some(Pending { queue, answer })
    }

    /// Lets the thread panic, with what is in its lanes, before it looks at the queue again.
    #[cfg(test)]
    pub(crate) fn break_down(&self) {
        self.queue.waiting.lock().breaks_down = true;
        self.queue.more.notify_one();
    }

    fn start(&self) -> Option<()> {
        let mut thread = self.thread.lock();
        if let Thread::NotYet = *thread {
            let queue = Arc::clone(&self.queue);
            let started = sync::start(self.name, move || run(&queue));
            *thread = started.map_or(Thread::Failed, Thread::Started);
        }
        match *thread {
            Thread::Started(_) => Some(()),
            _ => None,
        }
    }
}

impl Drop for Lanes {
    fn drop(&mut self) {
        self.queue.close();
        if let Thread::Started(thread) = std::mem::replace(self.thread.get_mut(), Thread::Failed) {
            // If it has panicked, the messages have hashed their own chunks.
            let _ = thread.join();
        }
    }
}

impl Queue {
    /// Takes no more chunks, and gives up those that wait.
    fn close(&self) {
        let mut waiting = self.waiting.lock();
        waiting.closed = true;
        let given_up = std::mem::take(&mut waiting.chunks);
        drop(waiting);
        drop(given_up);
        self.more.notify_all();
    }

    fn look_again(&self) {
        // Under the lock: otherwise the thread could miss it between its look at the queue and its sleep.
        let _waiting = self.waiting.lock();
        self.more.notify_one();
    }

    /// Fills the free lanes. Waits while all lanes are empty. Returns `false` when the thread must end.
    fn admit(&self, lanes: &mut Vec<Chunk>) -> bool {
        let mut waiting = self.waiting.lock();
        if lanes.is_empty() {
            while !waiting.closed && !waiting.is_worth_it() {
                #[cfg(test)]
                assert!(!waiting.breaks_down, "a test wants it");
                self.more.wait(&mut waiting);
            }
            waiting.together = 0;
        }
        #[cfg(test)]
        assert!(!waiting.breaks_down, "a test wants it");
        if lanes.is_empty() && waiting.chunks.is_empty() {
            return false;
        }
        let mut others = waiting.chunks.len();
        if others > LANES - lanes.len() {
            let had_their_turn = lanes.extract_if(.., |chunk| chunk.done - chunk.since >= TURN);
            waiting.chunks.extend(had_their_turn);
        }
        while others > 0
            && lanes.len() < LANES
            && let Some(mut chunk) = waiting.chunks.pop_front()
        {
            chunk.since = chunk.done;
            lanes.push(chunk);
            others -= 1;
        }
        waiting.together = waiting.together.max(lanes.len());
        true
    }
}

impl Waiting {
    /// Returns whether to begin: half as many chunks wait as were last together, or a message asks for its
    /// result. Drops abandoned chunks.
    fn is_worth_it(&mut self) -> bool {
        self.chunks
            .retain(|chunk| !chunk.answer.is(Progress::Abandoned));
        let company = self.together.div_ceil(2).max(1);
        self.chunks.len() >= company
            || self
                .chunks
                .iter()
                .any(|chunk| chunk.answer.is(Progress::Awaited))
    }
}

/// What the thread does. However it ends, no message waits for it afterwards.
fn run(queue: &Queue) {
    struct CloseAtEnd<'a>(&'a Queue);
    impl Drop for CloseAtEnd<'_> {
        fn drop(&mut self) {
            self.0.close();
        }
    }
    let _close_at_end = CloseAtEnd(queue);
    let mut lanes = Vec::with_capacity(LANES);
    while queue.admit(&mut lanes) {
        slice(&mut lanes);
        lanes.retain_mut(|chunk| !chunk.leave_if_done() && !chunk.answer.is(Progress::Abandoned));
    }
}

/// Hashes a slice of each lane, or less if a lane has less left.
fn slice(lanes: &mut [Chunk]) {
    let left = lanes.iter().map(|chunk| chunk.left().len()).min();
    let len = left.unwrap_or(0).min(SLICE);
    let mut states = [kernel::START; LANES];
    for (state, chunk) in states.iter_mut().zip(&*lanes) {
        *state = chunk.state;
    }
    let mut work: Vec<(&mut State, &[Block])> = states
        .iter_mut()
        .zip(&*lanes)
        .map(|(state, chunk)| (state, chunk.left().split_at(len).0))
        .collect();
    kernel::compress_many(&mut work);
    for (chunk, state) in lanes.iter_mut().zip(states) {
        chunk.state = state;
        chunk.done += len;
    }
}

impl Chunk {
    /// The blocks that are not hashed yet.
    fn left(&self) -> &[Block] {
        let (blocks, _) = self.bytes.as_chunks();
        blocks.get(self.done..).unwrap_or_default()
    }

    /// If the whole chunk is hashed, answers the message and returns `true`.
    fn leave_if_done(&mut self) -> bool {
        let done = self.left().is_empty();
        if done {
            // The waiting message may want the memory back.
            self.bytes = Bytes::new();
            self.done = 0;
            self.answer.give(Progress::Hashed(self.state));
        }
        done
    }
}

impl Drop for Chunk {
    /// A chunk that is dropped without an answer is given up: its message hashes it.
    fn drop(&mut self) {
        self.answer.give(Progress::GivenUp);
    }
}

impl Answer {
    /// Notes what the message wants of its chunk. Returns `false` when the chunk is hashed, or when something
    /// was noted before.
    fn change(&self, wanted: Progress) -> bool {
        let mut progress = self.progress.lock();
        let changes = *progress == Progress::Hashing;
        if changes {
            *progress = wanted;
        }
        changes
    }

    fn is(&self, progress: Progress) -> bool {
        *self.progress.lock() == progress
    }

    /// The first answer counts.
    fn give(&self, answer: Progress) {
        let mut progress = self.progress.lock();
        if !matches!(*progress, Progress::Hashed(_) | Progress::GivenUp) {
            *progress = answer;
        }
        drop(progress);
        self.changed.notify_all();
    }
}
