//! The same job in several threads.

use partstore::Result;

/// Runs `job` for `0..threads`, all at once. Gives the first failure.
pub fn in_threads(threads: u32, job: impl Fn(u32) -> Result<()> + Sync) -> Result<()> {
    let job = &job;
    std::thread::scope(|scope| {
        let handles: Vec<_> = (0..threads)
            .map(|thread| scope.spawn(move || job(thread)))
            .collect();
        handles
            .into_iter()
            .try_for_each(|handle| handle.join().expect("a thread panicked"))
    })
}
