//! The same job in several threads at once.

use std::sync::Barrier;
use std::thread::{self, ScopedJoinHandle};
use std::time::{Duration, Instant};

/// Runs `job` for `0..threads`, all at once. Gives the time from the first thread's start to the last one's end.
///
/// # Errors
///
/// The failure of the first of the jobs that failed; all have ended by then.
///
/// # Panics
///
/// When a job panicked.
pub fn at_once<E: Send>(
    threads: u32,
    job: impl Fn(u32) -> Result<(), E> + Sync,
) -> Result<Duration, E> {
    let start = Barrier::new(threads as usize);
    let run = |thread| {
        start.wait();
        let began = Instant::now();
        job(thread).map(|()| began)
    };
    let run = &run;
    let began: Result<Vec<Instant>, E> = thread::scope(|scope| {
        let threads: Vec<_> = (0..threads)
            .map(|thread| scope.spawn(move || run(thread)))
            .collect();
        let ended = threads.into_iter().map(ScopedJoinHandle::join);
        ended.map(|run| run.expect("a job panicked")).collect()
    });
    let first = began?.into_iter().min();
    Ok(first.map_or(Duration::ZERO, |first| first.elapsed()))
}
