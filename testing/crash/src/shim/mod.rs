//! The shim: this program's own `open`, `write`, `rename`, `fsync` and so on, which the linker
//! prefers to libc's. Whatever runs in this process, std and C code included, goes through them;
//! they do the real system call, and log it, fail it, or leave a sync out.
//!
//! One lock is held over a call and its line in the log, so that the log's order is the order of
//! what happened. A sync runs without it; its line says where it began.
//!
//! What the shim does not see (raw system calls, `mmap`) does not stay hidden: replaying a whole
//! log must give the live directory, and every run checks that it does.

mod calls;
mod raw;
mod tracker;

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::c_int;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crashing_disk::log::{Node, Op, Recording};
use tracker::Tracker;

/// Whether anything is recorded; else every call goes straight through.
static ACTIVE: AtomicBool = AtomicBool::new(false);
static SHIM: Mutex<Option<Shim>> = Mutex::new(None);

struct Shim {
    tracker: Tracker,
    plan: Plan,
    /// Calls that the plan's fault could have hit.
    counted: u64,
    hits: u64,
    syncs: BTreeMap<String, u64>,
    /// What no sync of the file system covers.
    left_out: BTreeSet<Node>,
    /// Who calls now is not the subject.
    aside: bool,
}

/// What the shim does besides recording.
#[derive(Clone, Debug, Default)]
pub struct Plan {
    pub fault: Option<Fault>,
    /// Syncs of this class are answered with success, and not done.
    pub without: Option<String>,
    /// What such a sync would have covered is not covered by one of the whole file system either.
    pub for_good: bool,
    /// Syncs take a moment, as on a disk, so that threads meet there.
    pub slow_syncs: bool,
}

/// The calls that can be failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    Open,
    Create,
    Read,
    Write,
    Sync,
    Rename,
    Unlink,
    List,
    /// `fstat` and `fstatat`.
    Stat,
    /// `flock`.
    Lock,
    /// `fcntl` that sets the flags of an open file.
    Flags,
}

impl Kind {
    pub const ALL: [Self; 11] = [
        Self::Open,
        Self::Create,
        Self::Read,
        Self::Write,
        Self::Sync,
        Self::Rename,
        Self::Unlink,
        Self::List,
        Self::Stat,
        Self::Lock,
        Self::Flags,
    ];
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    Errno(c_int),
    /// Half of the bytes are read or written.
    Short,
}

/// The `nth` call of the kind fails, counted from 1, and then as many more as `times` says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fault {
    pub kind: Kind,
    pub nth: u64,
    pub times: u64,
    pub failure: Failure,
}

/// Records what happens below `root` until [`stop`].
pub fn start(root: &Path, plan: Plan) {
    let tracker = Tracker::new(root);
    *lock() = Some(Shim {
        tracker,
        plan,
        counted: 0,
        hits: 0,
        syncs: BTreeMap::new(),
        left_out: BTreeSet::new(),
        aside: false,
    });
    ACTIVE.store(true, Ordering::SeqCst);
}

/// What was recorded.
pub struct Recorded {
    pub recording: Recording,
    /// How many calls it could have hit.
    pub counted: u64,
    /// Each class of syncs, and how often it was asked for.
    pub syncs: BTreeMap<String, u64>,
}

/// Ends the recording.
///
/// # Panics
/// When nothing is recorded.
pub fn stop() -> Recorded {
    ACTIVE.store(false, Ordering::SeqCst);
    let shim = lock().take().expect("a recording was started");
    Recorded {
        recording: shim.tracker.finish(),
        counted: shim.counted,
        syncs: shim.syncs,
    }
}

/// Notes that a call of the subject begins.
pub fn begin(call: usize) {
    note(Op::Begin(call));
}

/// Notes that a call of the subject has returned.
pub fn ack(call: usize) {
    note(Op::Ack(call));
}

/// From now on nothing fails and nothing is left out.
pub fn relent() {
    if let Some(shim) = lock().as_mut() {
        shim.plan.fault = None;
        shim.plan.without = None;
    }
}

/// Does something that the subject does not do: it is recorded, but its syncs have no class.
pub fn aside<T>(run: impl FnOnce() -> T) -> T {
    let set = |aside| {
        if let Some(shim) = lock().as_mut() {
            shim.aside = aside;
        }
    };
    set(true);
    let done = run();
    set(false);
    done
}

/// How often the fault was met.
pub fn hits() -> u64 {
    lock().as_ref().map_or(0, |shim| shim.hits)
}

fn note(op: Op) {
    if let Some(shim) = lock().as_mut() {
        shim.tracker.log(op);
    }
}

fn lock() -> MutexGuard<'static, Option<Shim>> {
    SHIM.lock().unwrap_or_else(PoisonError::into_inner)
}

fn active() -> bool {
    ACTIVE.load(Ordering::Relaxed)
}

impl Shim {
    /// Whether this call, which moves no bytes, is to fail with an error.
    fn refuses(&mut self, kind: Kind) -> Option<c_int> {
        if self
            .plan
            .fault
            .is_some_and(|fault| fault.failure == Failure::Short)
        {
            return None;
        }
        match self.fails(kind)? {
            Failure::Errno(errno) => Some(errno),
            Failure::Short => None,
        }
    }

    /// Whether this call is to fail.
    fn fails(&mut self, kind: Kind) -> Option<Failure> {
        let fault = self.plan.fault.filter(|fault| fault.kind == kind)?;
        self.counted += 1;
        let hit = (fault.nth..fault.nth.saturating_add(fault.times)).contains(&self.counted);
        self.hits += u64::from(hit);
        hit.then_some(fault.failure)
    }
}

/// The class of a sync: the call, what it is called on, with names that differ from run to run left
/// out, and what it covers. A store that lies deeper has the same classes.
fn class_of(call: &str, path: &str, covered: &str) -> String {
    let mut class = Vec::new();
    let path = path.strip_prefix("deep/").unwrap_or(path);
    for part in path.split('/') {
        // Those of later checkpoints have a number.
        let is_numbered = |number: &str| number.parse::<u32>().is_ok();
        let part = match part.strip_prefix("index.") {
            Some(number) if is_numbered(number) => "index",
            _ => part,
        };
        let (stem, extension) = part.split_once('.').unwrap_or((part, ""));
        let is_hex = !stem.is_empty()
            && stem
                .bytes()
                .all(|byte| byte.is_ascii_hexdigit() || byte == b'-');
        class.push(match (is_hex, stem.len(), extension) {
            (true, 2, "") => "xx".to_owned(),
            (true, _, "") => "*".to_owned(),
            (true, _, _) => format!("*.{extension}"),
            _ => part.to_owned(),
        });
        // The files of an index are its own business.
        if part == "index" || part == "index.copy" {
            return format!("sync {}/**", class.join("/"));
        }
    }
    format!("{call} {} ({covered})", class.join("/"))
}
