//! [`Workers`]: threads that read ahead. They start when a reader has work for them, and end soon after.
//! A reader that gets none reads by itself.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use crate::sync::{Condvar, Mutex, start};

/// How many reads are in flight at most.
const MOST: usize = 4;
/// A thread that had nothing to do for so long ends.
const IDLE: Duration = Duration::from_secs(1);

pub(super) type Job = Box<dyn FnOnce() + Send>;

#[derive(Default)]
pub(super) struct Workers {
    queue: Mutex<Queue>,
    changed: Condvar,
}

#[derive(Default)]
struct Queue {
    jobs: VecDeque<Job>,
    threads: usize,
    idle: usize,
    closed: bool,
}

impl Workers {
    /// Has the job done soon. If no thread can do it, drops it and returns `false`.
    pub(super) fn send(self: &Arc<Self>, job: Job) -> bool {
        let mut queue = self.queue.lock();
        if queue.closed {
            return false;
        }
        // A schedule has no threads but its own.
        if !cfg!(shuttle) && queue.idle <= queue.jobs.len() && queue.threads < MOST {
            let own = Arc::clone(self);
            if start("partstore-read", move || own.work()).is_ok() {
                queue.threads += 1;
            }
        }
        if queue.threads == 0 {
            return false;
        }
        queue.jobs.push_back(job);
        self.changed.notify_one();
        true
    }

    /// The threads end after the jobs that they have.
    pub(super) fn close(&self) {
        self.queue.lock().closed = true;
        self.changed.notify_all();
    }

    fn work(&self) {
        while let Some(job) = self.next() {
            // Whoever waits for it learns that no answer comes.
            let _ = catch_unwind(AssertUnwindSafe(job));
        }
    }

    /// The next job. `None` if this thread ends; it is then no longer counted.
    fn next(&self) -> Option<Job> {
        let mut queue = self.queue.lock();
        if queue.jobs.is_empty() && !queue.closed {
            queue.idle += 1;
            self.changed.wait_for(&mut queue, IDLE);
            queue.idle -= 1;
        }
        let job = queue.jobs.pop_front();
        if job.is_none() {
            queue.threads -= 1;
        }
        job
    }
}

#[cfg(all(test, not(shuttle)))]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::sync::mpsc::channel;

    use super::*;

    #[test]
    fn jobs_are_done_by_few_threads_also_after_one_panics_and_none_after_the_close() {
        let workers = Arc::new(Workers::default());
        let (done, all) = channel();
        let now = Arc::new(AtomicUsize::new(0));
        for number in 0..100 {
            let (done, now) = (done.clone(), Arc::clone(&now));
            assert!(workers.send(Box::new(move || {
                assert!(now.fetch_add(1, Ordering::SeqCst) < MOST);
                done.send(number).unwrap();
                now.fetch_sub(1, Ordering::SeqCst);
                assert!(number != 50, "as the test wants it to");
            })));
        }
        drop(done);
        let mut numbers: Vec<u32> = all.iter().collect();
        numbers.sort_unstable();
        assert!(numbers.into_iter().eq(0..100));
        workers.close();
        assert!(!workers.send(Box::new(|| panic!("it is closed"))));
    }
}
