//! Threads of the store's own.

use std::collections::VecDeque;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::mpsc::sync_channel;
use std::thread::Builder;
pub(crate) use std::thread::JoinHandle;
use std::time::Duration;

use parking_lot::{Condvar, Mutex};

/// Threads of a pool, at most. A job that finds all of them at work waits.
const MOST: usize = 16;
/// Jobs that wait for each thread before another one is started: most are short, and a thread that is at
/// work takes the next one for less than it costs to wake another.
const JOBS_PER_THREAD: usize = 4;
/// A thread that had nothing to do for so long ends, or does the pool's round if it is the last one.
const IDLE: Duration = Duration::from_secs(5);

/// Starts a thread, which has this name in debuggers and process listings.
pub(crate) fn start(name: &str, run: impl FnOnce() + Send + 'static) -> io::Result<JoinHandle<()>> {
    Builder::new().name(name.to_owned()).spawn(run)
}

/// Threads that run jobs for others, who wait for some time and then give up: a thread that does not
/// come back from a job is lost, and nobody else.
pub(crate) struct Pool {
    name: &'static str,
    queue: Arc<Queue>,
    threads: Mutex<Vec<JoinHandle<()>>>,
}

struct Queue {
    state: Mutex<State>,
    changed: Condvar,
    /// What the last idle thread does each [`IDLE`].
    round: Box<dyn Fn() + Send + Sync>,
}

#[derive(Default)]
struct State {
    jobs: VecDeque<Job>,
    threads: usize,
    idle: usize,
    ended: bool,
}

pub(crate) type Job = Box<dyn FnOnce() + Send>;

impl Pool {
    /// A pool whose threads have this name. They are started when they are needed.
    pub(crate) fn new(name: &'static str, round: impl Fn() + Send + Sync + 'static) -> Self {
        let queue = Queue {
            state: Mutex::default(),
            changed: Condvar::new(),
            round: Box::new(round),
        };
        Self {
            name,
            queue: Arc::new(queue),
            threads: Mutex::default(),
        }
    }

    /// Runs the job on a thread of the pool, and gives what comes of it; `None` when that takes longer than
    /// `limit`, and when the job panics. A job that was given up goes on for as long as it does.
    pub(crate) fn run<T: Send + 'static>(
        &self,
        limit: Duration,
        job: impl FnOnce() -> T + Send + 'static,
    ) -> Option<T> {
        let (answer, answered) = sync_channel(1);
        let job = Box::new(move || {
            // Nobody may be left to be told.
            let _ = answer.try_send(job());
        });
        self.post(job);
        answered.recv_timeout(limit).ok()
    }

    /// Has the job run on a thread of the pool, some time; at once and here when no thread can be started.
    pub(crate) fn post(&self, job: Job) {
        let mut state = self.queue.state.lock();
        state.jobs.push_back(job);
        if state.idle > 0 {
            drop(state);
            self.queue.changed.notify_one();
        } else if state.jobs.len() > JOBS_PER_THREAD * state.threads {
            self.start_thread(&mut state);
            let stranded = (state.threads == 0).then(|| state.jobs.pop_back());
            drop(state);
            if let Some(job) = stranded.flatten() {
                job();
            }
        }
    }

    /// Starts another thread if jobs wait for one. Asked for by who waits for long.
    pub(crate) fn hurry(&self) {
        let mut state = self.queue.state.lock();
        if state.idle == 0 && !state.jobs.is_empty() {
            self.start_thread(&mut state);
        }
    }

    fn start_thread(&self, state: &mut State) {
        let queue = Arc::clone(&self.queue);
        if state.threads == MOST {
            return;
        }
        if let Ok(thread) = start(self.name, move || queue.work()) {
            state.threads += 1;
            let mut threads = self.threads.lock();
            threads.retain(|thread| !thread.is_finished());
            threads.push(thread);
        }
    }

    /// Waits until all threads have ended. Never called after a job was given up.
    pub(crate) fn end(&self) {
        self.queue.state.lock().ended = true;
        self.queue.changed.notify_all();
        for thread in self.threads.lock().drain(..) {
            // A panic there has been printed.
            let _ = thread.join();
        }
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        self.queue.state.lock().ended = true;
        self.queue.changed.notify_all();
    }
}

impl Queue {
    fn work(&self) {
        let mut state = self.state.lock();
        loop {
            if let Some(job) = state.jobs.pop_front() {
                drop(state);
                let _ = catch_unwind(AssertUnwindSafe(job));
                state = self.state.lock();
                continue;
            }
            if state.ended {
                break;
            }
            state.idle += 1;
            let timed_out = self.changed.wait_for(&mut state, IDLE).timed_out();
            state.idle -= 1;
            if timed_out && state.jobs.is_empty() {
                if state.idle > 0 {
                    break;
                }
                drop(state);
                (self.round)();
                state = self.state.lock();
            }
        }
        state.threads -= 1;
    }
}
