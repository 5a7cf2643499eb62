//! Runs tests under chosen schedules: what they share.

pub mod disk;

use std::sync::{Arc, Mutex};

use parking_lot::schedule;
use shuttle::rand::{Rng, thread_rng};
use shuttle::scheduler::{DfsScheduler, PctScheduler, RandomScheduler, Scheduler};
use shuttle::thread::JoinHandle;
use shuttle::{Config, Runner};

/// Runs `body`, each time on an empty disk, under random schedules: half of them choose among all
/// tasks at each point, the others let one task run on and interrupt it in few places.
pub fn check(schedules: usize, body: impl Fn() + Copy + Send + Sync + 'static) {
    let factor = std::env::var("PARTSTORE_SCHEDULES");
    let factor = factor.map_or(1, |factor| factor.parse().expect("a number"));
    let half = schedules * factor / 2;
    run(RandomScheduler::new(half), body);
    run(PctScheduler::new(4, half), body);
}

/// Runs `body` under all schedules.
pub fn check_all(body: impl Fn() + Send + Sync + 'static) {
    run(DfsScheduler::new(None, false), body);
}

fn run(scheduler: impl Scheduler + 'static, body: impl Fn() + Send + Sync + 'static) {
    let mut config = Config::new();
    config.stack_size = 1 << 20;
    Runner::new(scheduler, config).run(move || {
        schedule::run(|| {
            schedule::lose_wake_ups(false);
            disk::renew();
            body();
        });
    });
}

/// Starts a task. It may go on to the end before anybody else runs, or not begin before all others
/// wait.
pub fn task<T: 'static + Send>(body: impl FnOnce() -> T + Send + 'static) -> JoinHandle<T> {
    shuttle::thread::spawn(body)
}

/// Waits for all of them, and gives what they gave.
pub fn join<T>(tasks: impl IntoIterator<Item = JoinHandle<T>>) -> Vec<T> {
    let joined = tasks.into_iter().map(JoinHandle::join);
    joined.map(|done| done.expect("a task")).collect()
}

/// A number below `limit` that the schedule chooses.
#[must_use]
pub fn below(limit: usize) -> usize {
    thread_rng().gen_range(0..limit)
}

/// What was acknowledged, in that order. Looking at it is no schedule point.
pub struct Acknowledged<T>(Arc<Mutex<Vec<T>>>);

impl<T: Clone> Acknowledged<T> {
    /// Nothing yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Something more is acknowledged.
    pub fn push(&self, one: T) {
        self.0.lock().unwrap().push(one);
    }

    /// All that is.
    #[must_use]
    pub fn so_far(&self) -> Vec<T> {
        self.0.lock().unwrap().clone()
    }
}

impl<T> Default for Acknowledged<T> {
    fn default() -> Self {
        Self(Arc::default())
    }
}

impl<T> Clone for Acknowledged<T> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

/// Starts a task that cuts the power somewhen, and gives what is left then, and what had been
/// acknowledged.
#[must_use]
pub fn power_cut<T: Clone + Send + 'static>(
    acknowledged: &Acknowledged<T>,
    within: usize,
) -> JoinHandle<(disk::Remains, Vec<T>)> {
    let acknowledged = acknowledged.clone();
    task(move || {
        for _ in 0..below(within) {
            schedule::point();
        }
        (disk::cut_power(), acknowledged.so_far())
    })
}
