//! What is put to the test: something that keeps data in a directory and answers calls.

use std::fmt::Debug;
use std::path::Path;

use crashing_disk::log::Op;
use serde::Serialize;
use serde::de::DeserializeOwned;

/// The mark that a check sets when it has seen all that the subject holds.
pub const SEEN: usize = usize::MAX;
/// The mark that a check sets when the first thing that it adds itself is acknowledged.
pub const ADDED: usize = usize::MAX - 3;
/// The mark that a check sets when what it added itself is acknowledged, and before it takes that
/// away again.
pub const PROBED: usize = usize::MAX - 1;
pub const UNPROBED: usize = usize::MAX - 2;
/// The mark that a check sets when it has closed the subject for the last time.
pub const CLOSED: usize = usize::MAX - 4;

pub trait Subject {
    /// What was asked of it, call by call, and what it answered.
    type History: Serialize + DeserializeOwned + Debug;

    /// Works in the empty directory `root`, marks each call with [`begin`](crate::shim::begin) and
    /// [`ack`](crate::shim::ack), and stops: nothing may run any more when this returns.
    fn run(&self, root: &Path, seed: u64) -> Self::History;

    /// Opens what a crash left in `root` and compares it with what was acknowledged at that moment.
    /// Gives what it holds, in words; marks [`SEEN`] once it knows.
    fn check(
        &self,
        root: &Path,
        history: &Self::History,
        moment: &Moment,
    ) -> Result<String, String>;
}

/// How far each call had come when the crash came.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Moment {
    calls: Vec<Span>,
    /// Whether a check has opened what was left since, and was itself cut short.
    pub reopened: bool,
    /// How far that check had come.
    pub stage: Stage,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Stage {
    #[default]
    Begun,
    /// It had added what it adds.
    Probed,
    /// It had begun to take that away.
    Unprobed,
    /// It had closed the subject.
    Closed,
}

impl Stage {
    fn of(check: &[Op]) -> Self {
        let stages = check.iter().map(|op| match op {
            Op::Ack(PROBED) => Self::Probed,
            Op::Begin(UNPROBED) => Self::Unprobed,
            Op::Ack(CLOSED) => Self::Closed,
            _ => Self::Begun,
        });
        stages.max().unwrap_or_default()
    }
}

/// From where to where in the log a call went on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Span {
    pub begun: Option<usize>,
    pub acked: Option<usize>,
}

impl Moment {
    /// The moment behind these lines of the log.
    pub fn after(ops: &[Op]) -> Self {
        let mut moment = Self::default();
        for (index, op) in ops.iter().enumerate() {
            match op {
                Op::Begin(call) if *call < CLOSED => moment.span(*call).begun = Some(index),
                Op::Ack(call) if *call < CLOSED => moment.span(*call).acked = Some(index),
                _ => {}
            }
        }
        moment
    }

    /// The same calls, after a check of what they left.
    pub fn reopened(&self, check: &[Op]) -> Self {
        Self {
            calls: self.calls.clone(),
            reopened: true,
            stage: Stage::of(check),
        }
    }

    fn span(&mut self, call: usize) -> &mut Span {
        if self.calls.len() <= call {
            self.calls.resize(call + 1, Span::default());
        }
        &mut self.calls[call]
    }

    pub fn of(&self, call: usize) -> Span {
        self.calls.get(call).copied().unwrap_or_default()
    }

    /// Whether the call had begun.
    pub fn begun(&self, call: usize) -> bool {
        self.of(call).begun.is_some()
    }

    /// Whether the call had returned.
    pub fn acked(&self, call: usize) -> bool {
        self.of(call).acked.is_some()
    }

    /// Whether one call had returned before another began.
    pub fn precedes(&self, first: usize, second: usize) -> bool {
        match (self.of(first).acked, self.of(second).begun) {
            (Some(end), Some(start)) => end < start,
            _ => false,
        }
    }
}
