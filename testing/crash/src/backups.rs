//! Backups and restores as a subject: a state that has a name must be whole and hold what the store held at that
//! moment, whatever crash came in between; and so must a store that a restore has made.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Read};
use std::path::Path;
use std::time::Instant;

use crashing_disk::loss::Policy;
use fastrand::Rng;
use partstore::{Backups as Directory, Error, PartStore, Scope, Transfer};
use serde::{Deserialize, Serialize};

use crate::explore::{Budget, Explorer, Failure};
use crate::shim::{self, Plan};
use crate::store::options;
use crate::subject::{Moment, SEEN, Subject};

/// Below the recorded directory.
const STORE: &str = "store";
const BACKUPS: &str = "backups";
const RESTORED: &str = "restored";
/// Calls of a recording, but for the restore at its end.
const STEPS: usize = 24;
const KEYS: u8 = 5;
const BODIES: u8 = 12;

#[derive(clap::Args, Clone, Debug)]
pub struct Backups {
    /// About how many crash states are tried.
    #[arg(long, default_value_t = 400)]
    states: u64,
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Also takes each class of syncs away. That takes about a quarter of an hour.
    #[arg(long)]
    sabotage: bool,
}

/// Keys and the bodies of their objects.
type Held = BTreeMap<u8, u8>;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
enum Step {
    Put { key: u8, body: u8 },
    Remove { key: u8 },
    Sweep,
    BackUp,
    Keep { states: usize },
    Restore,
}

struct Backed;

impl Backed {
    fn steps(seed: u64) -> Vec<Step> {
        let mut random = Rng::with_seed(seed);
        let mut steps: Vec<_> = (0..STEPS)
            .map(|at| match random.u32(0..10) {
                // A recording has at least these.
                _ if at % 8 == 4 => Step::BackUp,
                0..5 => Step::Put {
                    key: random.u8(0..KEYS),
                    body: random.u8(0..BODIES),
                },
                5 => Step::Remove {
                    key: random.u8(0..KEYS),
                },
                6 | 7 => Step::Sweep,
                8 => Step::BackUp,
                _ => Step::Keep {
                    states: random.usize(1..3),
                },
            })
            .collect();
        steps.push(Step::Restore);
        steps
    }
}

fn body_of(body: u8) -> Vec<u8> {
    vec![body; 200 + 700 * usize::from(body)]
}

impl Subject for Backed {
    type History = Vec<Step>;

    fn run(&self, root: &Path, seed: u64) -> Vec<Step> {
        let store = options()
            .open(root.join(STORE))
            .expect("an empty directory");
        let steps = Self::steps(seed);
        for (call, step) in steps.iter().enumerate() {
            shim::begin(call);
            let done = step.take(&store, root);
            done.unwrap_or_else(|error| panic!("{step:?}: {error}"));
            shim::ack(call);
        }
        store.close().expect("nothing fails");
        steps
    }

    fn check(&self, root: &Path, steps: &Vec<Step>, moment: &Moment) -> Result<String, String> {
        let possible = Possible::of(steps, moment);
        let mut view = Vec::new();
        match Directory::open(root.join(BACKUPS)) {
            Err(Error::NotAStore { .. } | Error::NoSuchStore { .. })
                if possible.must.is_empty() => {}
            Err(error) => return Err(format!("the backups do not open: {error}")),
            Ok(backups) => {
                let states = backups
                    .states()
                    .map_err(|error| format!("states: {error}"))?;
                let found: BTreeSet<u64> = states.iter().map(|state| state.number).collect();
                possible.judge(&found)?;
                for number in found {
                    let held = restored(&backups, number)?;
                    if possible.states.get(&number) != Some(&held) {
                        let expected = possible.states.get(&number);
                        return Err(format!("state {number} has {held:?}, not {expected:?}"));
                    }
                    view.push((number, held));
                }
            }
        }
        shim::ack(SEEN);
        self.check_restored(root, steps, moment, &view)?;
        Ok(format!("{view:?}"))
    }
}

impl Backed {
    /// What the last restore has made is a store or is none; and the restore can be done again.
    #[expect(clippy::unused_self, reason = "it is a part of the check")]
    fn check_restored(
        &self,
        root: &Path,
        steps: &[Step],
        moment: &Moment,
        view: &[(u64, Held)],
    ) -> Result<(), String> {
        let path = root.join(RESTORED);
        let newest = view.last().map(|(_, held)| held);
        let is_restored = moment.acked(steps.len() - 1);
        for again in [false, true] {
            match options().must_exist().open(&path) {
                Ok(store) => {
                    let held = held_by(&store)?;
                    store.close().map_err(|error| error.to_string())?;
                    if Some(&held) != newest {
                        return Err(format!("the restored store has {held:?}, not {newest:?}"));
                    }
                    return Ok(());
                }
                Err(Error::NotAStore { .. } | Error::NoSuchStore { .. })
                    if !is_restored && !again => {}
                Err(error) => return Err(format!("the restored store does not open: {error}")),
            }
            if newest.is_none() {
                return Ok(());
            }
            let backups = Directory::open(root.join(BACKUPS)).map_err(|error| error.to_string())?;
            let restored = backups.restore(None, &path, Transfer::Copy);
            restored.map_err(|error| format!("it is not restored: {error}"))?;
        }
        Ok(())
    }
}

impl Step {
    fn take(self, store: &PartStore, root: &Path) -> partstore::Result<()> {
        match self {
            Self::Put { key, body } => store.put_object(&*name_of(key), body_of(body)).map(drop),
            Self::Remove { key } => {
                let removed = store.remove_key(&*name_of(key), partstore::Condition::Always);
                removed.map(drop)
            }
            Self::Sweep => store.maintain().map(drop),
            Self::BackUp => {
                let report = store.back_up(root.join(BACKUPS), Transfer::Copy)?;
                assert_eq!(report.damaged, []);
                Ok(())
            }
            Self::Keep { states } => match Directory::open(root.join(BACKUPS)) {
                Err(Error::NoSuchStore { .. }) => Ok(()),
                backups => backups?.keep_newest(states).map(drop),
            },
            Self::Restore => {
                let backups = Directory::open(root.join(BACKUPS))?;
                backups
                    .restore(None, root.join(RESTORED), Transfer::Copy)
                    .map(drop)
            }
        }
    }
}

fn name_of(key: u8) -> String {
    format!("key {key}")
}

/// What a state holds, restored to a place that is not recorded.
fn restored(backups: &Directory, number: u64) -> Result<Held, String> {
    let scratch = crate::explore::scratch().map_err(|error| error.to_string())?;
    let to = scratch.path().join("restored");
    let report = backups.restore(Some(number), &to, Transfer::Copy);
    let report = report.map_err(|error| format!("state {number} is not restored: {error}"))?;
    if !report.damaged.is_empty() {
        return Err(format!("state {number} lacks {:?}", report.damaged));
    }
    let store = options().must_exist().open(&to);
    let store = store.map_err(|error| format!("state {number} does not open: {error}"))?;
    let held = held_by(&store)?;
    store.close().map_err(|error| error.to_string())?;
    Ok(held)
}

fn held_by(store: &PartStore) -> Result<Held, String> {
    let report = store
        .verify(Scope::Everything)
        .map_err(|error| error.to_string())?;
    if !report.is_clean() {
        return Err(format!("{report:?}"));
    }
    let mut held = Held::new();
    for entry in store.keys("") {
        let entry = entry.map_err(|error| error.to_string())?;
        let mut bytes = Vec::new();
        let mut reader = store
            .open_key(&*entry.key)
            .map_err(|error| error.to_string())?;
        reader
            .read_to_end(&mut bytes)
            .map_err(|error| error.to_string())?;
        let body = bytes.first().copied().unwrap_or(u8::MAX);
        let key = entry
            .key
            .bytes()
            .last()
            .map_or(u8::MAX, |digit| digit - b'0');
        if bytes != body_of(body) {
            return Err(format!("{} has other bytes", entry.key));
        }
        held.insert(key, body);
    }
    Ok(held)
}

/// What may be there, and what must, by the calls that had begun and returned.
struct Possible {
    /// What each state has, by its number.
    states: BTreeMap<u64, Held>,
    must: BTreeSet<u64>,
}

impl Possible {
    fn of(steps: &[Step], moment: &Moment) -> Self {
        let (mut held, mut number) = (Held::new(), 0);
        let (mut states, mut must) = (BTreeMap::new(), BTreeSet::<u64>::new());
        for (call, step) in steps.iter().enumerate() {
            if !moment.begun(call) {
                break;
            }
            match *step {
                Step::Put { key, body } => drop(held.insert(key, body)),
                Step::Remove { key } => drop(held.remove(&key)),
                Step::BackUp => {
                    number += 1;
                    states.insert(number, held.clone());
                    if moment.acked(call) {
                        must.insert(number);
                    }
                }
                Step::Keep { states: kept } => {
                    while must.len() > kept {
                        let oldest = must.pop_first();
                        if moment.acked(call) {
                            oldest.map(|oldest| states.remove(&oldest));
                        }
                    }
                }
                Step::Sweep | Step::Restore => {}
            }
        }
        Self { states, must }
    }

    fn judge(&self, found: &BTreeSet<u64>) -> Result<(), String> {
        let lost: Vec<_> = self.must.difference(found).collect();
        if !lost.is_empty() {
            return Err(format!("states {lost:?} are lost"));
        }
        let unknown: Vec<_> = found
            .iter()
            .filter(|number| !self.states.contains_key(number))
            .collect();
        if !unknown.is_empty() {
            return Err(format!("states {unknown:?} were removed, or never taken"));
        }
        Ok(())
    }
}

/// Recordings of a run.
const RECORDINGS: u64 = 8;
/// States after which a sabotage counts as not caught.
const PATIENCE: u64 = 1500;

/// Syncs of which nobody needs what they cover: a state that is being removed, and comes back, is removed again.
const VACUOUS: [&str; 1] = ["fsync backups/states (remove)"];
/// Syncs that a crash needs between two calls which a recording has once.
const SELDOM: [&str; 2] = ["fsync backups (found)", "fsync restored (create)"];

/// `true` when no crash spoils anything, and each class of syncs is needed.
pub fn run(arguments: &Backups) -> io::Result<bool> {
    let begun = Instant::now();
    let mut sound = Tried::default();
    for seed in 0..RECORDINGS {
        sound.add(explore(
            arguments.seed.wrapping_mul(1000) + seed,
            arguments.states.div_ceil(RECORDINGS),
            None,
        )?);
    }
    println!("{} states, {} failures", sound.states, sound.failures.len());
    for failure in &sound.failures {
        println!(
            "FAILED {:?}, then {:?}\n  {}",
            failure.crash, failure.second, failure.reason
        );
    }
    let mut all = sound.failures.is_empty();
    let classes = sound
        .syncs
        .iter()
        .filter(|class| arguments.sabotage && is_ours(class));
    for class in classes {
        let mut tried = Tried::default();
        while tried.failures.is_empty() && tried.states < PATIENCE {
            let seed = arguments.seed.wrapping_mul(1000) + tried.recordings % 16;
            tried.add(explore(seed, 60, Some(class))?);
        }
        let caught = match tried.failures.first() {
            Some(failure) => failure.reason.lines().next().unwrap_or_default().to_owned(),
            None if VACUOUS.contains(&class.as_str()) => "nothing needs it".to_owned(),
            None if SELDOM.contains(&class.as_str()) => "too seldom to be met".to_owned(),
            None => {
                all = false;
                "NOT CAUGHT".to_owned()
            }
        };
        println!("{class:<60} {:>6}  {caught}", tried.states);
    }
    println!("{:.0} s", begun.elapsed().as_secs_f64());
    Ok(all)
}

fn is_ours(class: &str) -> bool {
    let place = class.split(' ').nth(1).unwrap_or_default();
    place.starts_with(BACKUPS) || place.starts_with(RESTORED)
}

#[derive(Default)]
struct Tried {
    recordings: u64,
    states: u64,
    failures: Vec<Failure>,
    syncs: BTreeSet<String>,
}

impl Tried {
    fn add(&mut self, other: Self) {
        self.recordings += other.recordings;
        self.states += other.states;
        self.failures.extend(other.failures);
        self.syncs.extend(other.syncs);
    }
}

fn explore(seed: u64, states: u64, without: Option<&str>) -> io::Result<Tried> {
    let without = without.map(str::to_owned);
    let mut explorer = Explorer {
        subject: &Backed,
        budget: Budget::Sample(states),
        policies: &Policy::ALL,
        second_every: 6,
        second_step: None,
        without: without.clone(),
        first_only: without.is_some(),
        alive: &mut || {},
        keep: None,
    };
    let found = explorer.explore(
        seed,
        Plan {
            without,
            ..Plan::default()
        },
    )?;
    Ok(Tried {
        recordings: 1,
        states: found.states,
        failures: found.failures,
        syncs: found.syncs,
    })
}
