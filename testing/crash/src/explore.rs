//! Records a subject, crashes it at many moments, and asks what is left.

use std::collections::hash_map::DefaultHasher;
use std::collections::{BTreeSet, HashSet};
use std::hash::{Hash, Hasher};
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use crashing_disk::image::Image;
use crashing_disk::log::{Op, Recording};
use crashing_disk::loss::{self, Policy};
use fastrand::Rng;
use serde::{Deserialize, Serialize};

use crate::shim::{self, Plan, Recorded};
use crate::subject::{ADDED, Moment, PROBED, SEEN, Subject};

/// One crash: these numbers and the recording say all about it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Crash {
    /// It comes behind so many lines of the log.
    pub at: usize,
    pub policy: Policy,
    pub seed: u64,
}

/// How much of a recording is tried.
#[derive(Clone, Copy, Debug)]
pub enum Budget {
    /// So many crashes, picked at random.
    Sample(u64),
    /// Every line, every policy, with so many seeds for the random ones; from the first call on, or
    /// from the beginning.
    Every { seeds: u64, creation: bool },
}

/// What a recording came to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Found {
    /// Crash states that were opened and checked. States that are alike, byte for byte and call for
    /// call, count once, but for kills.
    pub states: u64,
    /// Those of them that came while the check before was opening the store.
    pub in_recovery: u64,
    pub failures: Vec<Failure>,
    /// The classes of syncs that were asked for.
    pub syncs: BTreeSet<String>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    pub crash: Option<Crash>,
    /// A second crash, while what the first had left was opened and checked.
    pub second: Option<Crash>,
    pub reason: String,
}

/// All that a replay needs.
#[derive(Debug, Serialize, Deserialize)]
pub struct Case<H> {
    pub history: H,
    pub recording: Recording,
    /// What the first check did, and what it saw, when the failure came behind a second crash.
    pub check: Option<(Recording, Option<String>)>,
    pub failure: Failure,
}

/// Where directories are made: in memory, if the system has a place there.
pub fn scratch() -> io::Result<tempfile::TempDir> {
    let memory = Path::new("/dev/shm");
    let mut builder = tempfile::Builder::new();
    builder.prefix("crash-");
    match builder.tempdir_in(memory) {
        Ok(dir) => Ok(dir),
        Err(_) => builder.tempdir(),
    }
}

pub struct Explorer<'a, S: Subject> {
    pub subject: &'a S,
    pub budget: Budget,
    /// The policies of the first crashes.
    pub policies: &'a [Policy],
    /// Of so many crashes one is followed by crashes during the check.
    pub second_every: u64,
    /// Follows each kill by crashes at every line of the check, or at one of so many.
    pub second_step: Option<usize>,
    /// The class of syncs that is left out, in the checks, too.
    pub without: Option<String>,
    /// Stops at the first failure.
    pub first_only: bool,
    /// Told before each state is opened, so that a check which hangs is noticed.
    pub alive: &'a mut dyn FnMut(),
    /// Where the cases of failures are saved.
    pub keep: Option<PathBuf>,
}

impl<S: Subject> Explorer<'_, S> {
    /// Records one run of the subject and explores it.
    ///
    /// # Errors
    /// When directories cannot be made.
    pub fn explore(&mut self, seed: u64, plan: Plan) -> io::Result<Found> {
        let dir = scratch()?;
        shim::start(dir.path(), plan);
        let run = quietly(|| self.subject.run(dir.path(), seed));
        let recorded = shim::stop();
        let mut found = Found {
            syncs: recorded.syncs.into_keys().collect(),
            ..Found::default()
        };
        let recording = recorded.recording;
        let history = match run {
            Ok(history) => history,
            Err(reason) => {
                found.failures.push(Failure {
                    crash: None,
                    second: None,
                    reason: format!("the run itself: {reason}"),
                });
                return Ok(found);
            }
        };
        // The self-check: nothing may have escaped the shim.
        if let Some(difference) = loss::live(&recording).difference(&Image::of(dir.path())?) {
            found.failures.push(Failure {
                crash: None,
                second: None,
                reason: format!("the recorder missed something: {difference}"),
            });
            return Ok(found);
        }
        let mut random = Rng::with_seed(seed ^ 0x63_7261_7368);
        let mut known = HashSet::new();
        for crash in self.crashes(&recording, &mut random) {
            (self.alive)();
            let image = loss::crash(&recording, crash.at, crash.policy, crash.seed);
            let moment = Moment::after(&recording.ops[..crash.at]);
            let mut hasher = DefaultHasher::new();
            // After a kill alike states differ in what is not synced yet.
            let unsynced = (crash.policy == Policy::Kill).then_some(crash.at);
            (&image, &moment, unsynced).hash(&mut hasher);
            if !known.insert(hasher.finish()) {
                continue;
            }
            found.states += 1;
            let (recorded, outcome) = self.check(&image, &history, &moment)?;
            found.syncs.extend(recorded.syncs.into_keys());
            let mut check = recorded.recording;
            let mut begins = 0;
            if crash.policy == Policy::Kill {
                // The page cache lives on: what was not synced then still is not.
                check = recording.then(crash.at, &check);
                begins = crash.at;
            }
            let mut failures = Vec::new();
            match outcome {
                Err(reason) => failures.push((None, None, reason)),
                Ok(view) if random.u64(0..self.second_every) == 0 => {
                    let seconds = self.seconds(&check, begins, crash.policy, &mut random);
                    for second in seconds {
                        (self.alive)();
                        found.in_recovery += 1;
                        found.states += 1;
                        if let Err(reason) =
                            self.check_second(&check, second, &view, &history, &moment)?
                        {
                            failures.push((
                                Some(second),
                                Some((check.clone(), Some(view.clone()))),
                                reason,
                            ));
                            break;
                        }
                    }
                }
                Ok(_) => {}
            }
            for (second, check, reason) in failures {
                let failure = Failure {
                    crash: Some(crash),
                    second,
                    reason,
                };
                self.save(seed, &history, &recording, check, &failure)?;
                found.failures.push(failure);
                if self.first_only {
                    return Ok(found);
                }
            }
        }
        Ok(found)
    }

    fn crashes(&self, recording: &Recording, random: &mut Rng) -> Vec<Crash> {
        let end = recording.ops.len();
        match self.budget {
            Budget::Sample(count) => (0..count)
                .map(|_| Crash {
                    at: any_moment(recording, random),
                    policy: self.policies[random.usize(0..self.policies.len())],
                    seed: random.u64(..),
                })
                .collect(),
            Budget::Every { seeds, creation } => {
                let is_first = |op: &Op| creation || matches!(op, Op::Begin(_));
                let from = recording.ops.iter().position(is_first).unwrap_or(0);
                let mut all = Vec::new();
                for at in from..=end {
                    for &policy in self.policies {
                        let seeds = if policy.is_random() { seeds } else { 1 };
                        all.extend((0..seeds).map(|seed| Crash { at, policy, seed }));
                    }
                }
                all
            }
        }
    }

    /// Checks what a crash left; recorded, so that it can be crashed, too.
    fn check(
        &self,
        image: &Image,
        history: &S::History,
        moment: &Moment,
    ) -> io::Result<(Recorded, Result<String, String>)> {
        let dir = scratch()?;
        image.write(dir.path())?;
        let plan = Plan {
            without: self.without.clone(),
            ..Plan::default()
        };
        shim::start(dir.path(), plan);
        let outcome = quietly(|| self.subject.check(dir.path(), history, moment));
        let recorded = shim::stop();
        let mut outcome = outcome.and_then(|outcome| outcome);
        // Of so many checks one is checked itself, as the length of its log falls.
        if outcome.is_ok() && recorded.recording.ops.len().is_multiple_of(8) {
            let live = Image::of(dir.path())?;
            if let Some(difference) = loss::live(&recorded.recording).difference(&live) {
                outcome = Err(format!("the recorder missed something: {difference}"));
            }
        }
        Ok((recorded, outcome))
    }

    /// Crashes during a check, which begins at a line of its recording.
    fn seconds(
        &self,
        check: &Recording,
        begins: usize,
        first: Policy,
        random: &mut Rng,
    ) -> Vec<Crash> {
        let mut seconds = Vec::new();
        let strict = |at| Crash {
            at,
            policy: Policy::Strict,
            seed: 0,
        };
        if let (Some(step), Policy::Kill) = (self.second_step, first) {
            let from = begins + random.usize(0..step);
            for at in (from..=check.ops.len()).step_by(step) {
                let torn = Crash {
                    at,
                    policy: Policy::TornJournalled,
                    seed: random.u64(..),
                };
                seconds.extend([strict(at), torn]);
            }
        } else if first == Policy::Kill {
            // What was killed had synced nothing; what came next has built on it.
            let probed = check.ops.iter().position(|op| *op == Op::Ack(PROBED));
            seconds.extend(probed.map(|at| strict(at + 1)));
            seconds.push(strict(check.ops.len()));
        }
        if first == Policy::Kill {
            seconds.extend(published(check, begins).map(strict));
        }
        // What stands behind a torn tail must not become part of the first batch after it.
        let added = check.ops.iter().position(|op| *op == Op::Ack(ADDED));
        seconds.extend(added.map(|at| Crash {
            at: at + 1,
            policy: Policy::Kill,
            seed: 0,
        }));
        let count = seconds.len().max(3);
        seconds.resize_with(count, || Self::second(check, begins, random));
        seconds
    }

    fn second(check: &Recording, begins: usize, random: &mut Rng) -> Crash {
        // Most of them before the check has seen what is there: that is the recovery.
        let seen = seen_at(check).unwrap_or(check.ops.len());
        let last = if random.u32(0..4) == 0 {
            check.ops.len()
        } else {
            seen
        };
        let from = random.usize(begins..=last);
        let changed = check.ops[from..last].iter().position(Op::changes_a_name);
        let at = match changed {
            Some(further) if random.bool() => from + further + 1,
            _ => from,
        };
        Crash {
            at,
            policy: Policy::ALL[random.usize(0..Policy::ALL.len())],
            seed: random.u64(..),
        }
    }

    /// A crash during the check: the same must hold, and what was seen must stay.
    fn check_second(
        &self,
        check: &Recording,
        crash: Crash,
        view: &str,
        history: &S::History,
        moment: &Moment,
    ) -> io::Result<Result<(), String>> {
        let image = loss::crash(check, crash.at, crash.policy, crash.seed);
        let (_, outcome) = self.check(&image, history, &moment.reopened(&check.ops[..crash.at]))?;
        let was_seen = seen_at(check).is_some_and(|at| at < crash.at);
        Ok(outcome.and_then(|second| {
            if was_seen && second != view {
                Err(format!("it showed\n  {view}\nand then\n  {second}"))
            } else {
                Ok(())
            }
        }))
    }

    /// Runs one crash again.
    ///
    /// # Errors
    /// When directories cannot be made.
    pub fn replay(&self, case: &Case<S::History>) -> io::Result<Result<(), String>> {
        let Some(crash) = case.failure.crash else {
            return Ok(Err("there was no crash: the run itself failed".to_owned()));
        };
        let moment = Moment::after(&case.recording.ops[..crash.at]);
        if let (Some(second), Some((check, Some(view)))) = (case.failure.second, &case.check) {
            return self.check_second(check, second, view, &case.history, &moment);
        }
        let image = loss::crash(&case.recording, crash.at, crash.policy, crash.seed);
        let (_, outcome) = self.check(&image, &case.history, &moment)?;
        Ok(outcome.map(drop))
    }

    fn save(
        &self,
        seed: u64,
        history: &S::History,
        recording: &Recording,
        check: Option<(Recording, Option<String>)>,
        failure: &Failure,
    ) -> io::Result<()> {
        let Some(keep) = &self.keep else {
            return Ok(());
        };
        if let Some(parent) = keep.parent() {
            std::fs::create_dir_all(parent)?;
        }
        let at = failure.crash.map_or(0, |crash| crash.at);
        let path = keep.with_extension(format!("{seed}.{at}.case"));
        let case = (history, recording, check, failure);
        let bytes = postcard::to_stdvec(&case).expect("plain values can be written");
        std::fs::write(path, bytes)
    }
}

/// Any line; often right behind one with which a call returned, a name changed or bytes were written,
/// and often the last.
fn any_moment(recording: &Recording, random: &mut Rng) -> usize {
    let end = recording.ops.len();
    let from = random.usize(0..=end);
    let behind_next = |wanted: fn(&Op) -> bool| {
        let next = recording.ops[from..].iter().position(wanted);
        next.map_or(end, |further| from + further + 1)
    };
    match random.u32(0..10) {
        0 => end,
        1..4 => behind_next(|op| matches!(op, Op::Ack(_))),
        4..6 => behind_next(Op::changes_a_name),
        6..8 => behind_next(|op| matches!(op, Op::Write { .. })),
        _ => from,
    }
}

/// Right behind the first sync after each rename: a name is durable, and nothing that came next.
fn published(check: &Recording, begins: usize) -> impl Iterator<Item = usize> {
    let is_rename = |at: &usize| matches!(check.ops[*at], Op::Rename { .. });
    let sync_behind = |at: usize| {
        let mut next = check.ops[at..].iter();
        let next = next.position(|op| matches!(op, Op::Sync { .. }));
        next.map(|further| at + further + 1)
    };
    (begins..check.ops.len())
        .filter(is_rename)
        .filter_map(sync_behind)
}

fn seen_at(check: &Recording) -> Option<usize> {
    check.ops.iter().position(|op| *op == Op::Ack(SEEN))
}

/// Runs something that may panic; a panic is a failure with its message.
pub fn quietly<T>(run: impl FnOnce() -> T) -> Result<T, String> {
    catch_unwind(AssertUnwindSafe(run)).map_err(|panic| {
        let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
        let text = text.or_else(|| panic.downcast_ref::<String>().cloned());
        format!("panic: {}", text.unwrap_or_default())
    })
}
