//! What the clients, the one who disturbs them, and the one who measures have in common.

use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;

const GLANCE: Duration = Duration::from_millis(10);
/// So long after the disk was full a refusal is still no wonder.
const AFTER_FULL: Duration = Duration::from_secs(15);

/// What clients are to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    Work,
    Rest,
    /// Read all that they know, and rest. The server has been opened anew if `true`.
    Check(bool),
    /// Remove everything, and end.
    Remove,
}

/// What was measured since the last sample.
#[derive(Default)]
pub struct Measured {
    pub writes_ms: Vec<f64>,
    pub reads_ms: Vec<f64>,
    pub bytes: u64,
    pub refused: u64,
    pub events: Vec<&'static str>,
}

pub struct Shared {
    /// No server answers, or one is about to be killed.
    down: AtomicBool,
    /// How many servers there were.
    pub generation: AtomicU64,
    full: Mutex<(bool, Option<Instant>)>,
    order: Mutex<(u64, Order)>,
    /// Clients that have done the last order.
    done: AtomicUsize,
    clients: usize,
    pub measured: Mutex<Measured>,
    violations: Mutex<Vec<String>>,
    pub acknowledged: AtomicU64,
    began: Instant,
}

impl Shared {
    pub fn new(clients: usize) -> Self {
        Self {
            down: AtomicBool::new(true),
            generation: AtomicU64::new(0),
            full: Mutex::new((false, None)),
            order: Mutex::new((0, Order::Work)),
            done: AtomicUsize::new(0),
            clients,
            measured: Mutex::default(),
            violations: Mutex::default(),
            acknowledged: AtomicU64::new(0),
            began: Instant::now(),
        }
    }

    pub fn seconds(&self) -> f64 {
        self.began.elapsed().as_secs_f64()
    }

    /// Says what must not be. The run goes on, and fails at its end.
    pub fn violation(&self, what: String) {
        eprintln!("VIOLATION after {:.0} s: {what}", self.seconds());
        self.violations.lock().push(what);
    }

    pub fn violations(&self) -> usize {
        self.violations.lock().len()
    }

    pub fn event(&self, name: &'static str) {
        self.measured.lock().events.push(name);
    }

    /// From now on broken answers are no wonder.
    pub fn goes_down(&self) {
        self.down.store(true, Ordering::SeqCst);
    }

    pub fn is_up(&self) {
        self.generation.fetch_add(1, Ordering::SeqCst);
        self.down.store(false, Ordering::SeqCst);
    }

    pub fn is_down(&self) -> bool {
        self.down.load(Ordering::SeqCst)
    }

    /// Waits until a server answers. Gives which one.
    pub fn wait_until_up(&self) -> u64 {
        while self.is_down() {
            std::thread::sleep(GLANCE);
        }
        self.generation.load(Ordering::SeqCst)
    }

    /// Whether this server answers without a break.
    pub fn is_still(&self, generation: u64) -> bool {
        !self.is_down() && self.generation.load(Ordering::SeqCst) == generation
    }

    pub fn set_full(&self, is_full: bool) {
        *self.full.lock() = (is_full, Some(Instant::now()));
    }

    /// Whether a refusal may be for want of room.
    pub fn may_be_full(&self) -> bool {
        let (is_full, since) = *self.full.lock();
        is_full || since.is_some_and(|since| since.elapsed() < AFTER_FULL)
    }

    /// Gives an order, and returns when all clients have done it (or have begun to work).
    pub fn order(&self, order: Order) {
        self.done.store(0, Ordering::SeqCst);
        {
            let mut current = self.order.lock();
            *current = (current.0 + 1, order);
        }
        while order != Order::Work && self.done.load(Ordering::SeqCst) < self.clients {
            std::thread::sleep(GLANCE);
        }
    }

    /// The number of the current order, and the order.
    pub fn ordered(&self) -> (u64, Order) {
        *self.order.lock()
    }

    pub fn is_done(&self) {
        self.done.fetch_add(1, Ordering::SeqCst);
    }
}
