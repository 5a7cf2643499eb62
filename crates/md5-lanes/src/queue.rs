//! The lane thread: takes what bodies submit and hashes up to sixteen chunks side by side.
//!
//! It runs the lanes a slice at a time. Between slices, chunks that have come in take the lanes that are
//! free, and those that are done leave: nobody waits for another's chunk to end. A body that stalls has
//! submitted nothing and has no lane.
//!
//! Full lanes cost no more than one. So when all have left, chunks wait for some company, but no longer than
//! until a body asks for its result: bodies do so when they have written, which takes longer than MD5 when
//! they are many.
//!
//! A chunk is never lost: whoever submitted it has it still, and hashes it itself when the thread
//! has died with it ([`Pending::wait`] answers `None`).

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use crate::kernel::{self, Block, LANES, State};
use crate::sync::{self, Condvar, JoinHandle, Mutex};

/// Blocks of each lane between two looks at the queue: 64 KiB.
const SLICE: usize = 1024;
/// Slices after which a chunk makes room when others wait: 1 MiB.
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
    /// How many were in the lanes at a time since they were last empty, at most.
    together: usize,
    /// Nobody takes chunks any more.
    closed: bool,
    #[cfg(test)]
    breaks_down: bool,
}

/// One body's chunk, on its way.
struct Chunk {
    state: State,
    bytes: Bytes,
    /// Blocks that are hashed.
    done: usize,
    /// And those when it came into its lane.
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
    /// The same, and somebody waits for it.
    Awaited,
    /// Nobody wants it any more.
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
    /// Waits until the chunk is hashed; `None` when that has to be done by somebody else.
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

    /// Waits for so long; whether [`wait`](Self::wait) has an answer then.
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

    /// Has the thread look what is wanted of the chunk now, unless it is hashed.
    fn tell(&self, wanted: Progress) {
        if self.answer.change(wanted) {
            self.queue.look_again();
        }
    }
}

impl Drop for Pending {
    /// Unless it was waited for, the digest is not wanted any more, and the bytes are let go of soon.
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

    /// Has whole blocks hashed; `None` when nobody is there to do it.
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
            // A panic of its own is behind it: the bodies have helped themselves.
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
        // With the lock, so that the thread does not miss it between its look and its sleep.
        let _waiting = self.waiting.lock();
        self.more.notify_one();
    }

    /// Fills the free lanes; waits if none is at work. `false` when it is over.
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
    /// Whether to begin: half as many are there as were last together, or one is waited for. Drops what
    /// nobody wants any more.
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

/// What the thread does. However it ends, nobody waits for it afterwards.
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

/// Hashes as many blocks of each lane as the shortest has left, or a slice.
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
    match &mut work[..] {
        [(state, blocks)] if !kernel::lanes_are_fastest() => kernel::compress_one(state, blocks),
        work => kernel::compress_many(work),
    }
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

    /// Answers when all is hashed; `true` then.
    fn leave_if_done(&mut self) -> bool {
        let done = self.left().is_empty();
        if done {
            // Whoever waits may want the memory back.
            self.bytes = Bytes::new();
            self.done = 0;
            self.answer.give(Progress::Hashed(self.state));
        }
        done
    }
}

impl Drop for Chunk {
    /// Nobody hashes it any more: unless it is answered, it is given up.
    fn drop(&mut self) {
        self.answer.give(Progress::GivenUp);
    }
}

impl Answer {
    /// Notes what the body wants of a chunk that is not hashed; `false` when it is, or when that was noted
    /// before.
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
