//! Whole campaigns: many recordings on all cores, and the tables of what came of them.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crashing_disk::loss::Policy;

use crate::explore::Failure;
use crate::fleet;
use crate::store::{SEQUENCES, Workload};
use crate::work::{CASES, Done, Work, name_of};

#[derive(clap::Args, Clone, Debug)]
pub struct States {
    /// How many crash states, at least, unless the time is up before.
    #[arg(long = "states", default_value_t = 5000)]
    count: u64,
    /// How long, at most.
    #[arg(long, default_value_t = 600)]
    minutes: u64,
    /// The first seed; another one gives other recordings.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Every crash of each sequence, instead of some.
    #[arg(long)]
    every_sequence: bool,
}

/// Explores the store until there are enough states. `true` when nothing failed.
pub fn states(arguments: &States) -> bool {
    let begun = Instant::now();
    let limit = Duration::from_mins(arguments.minutes);
    let jobs = jobs(arguments);
    let counted = AtomicU64::new(0);
    let told = Mutex::new(Instant::now());
    let go_on = || counted.load(Ordering::Relaxed) < arguments.count && begun.elapsed() < limit;
    let commands: Vec<_> = jobs.iter().map(Work::arguments).collect();
    let answers = fleet::run(&commands, &go_on, &|_, answer: &Result<Done, String>| {
        if let Ok(done) = answer {
            counted.fetch_add(done.states, Ordering::Relaxed);
        }
        let mut told = told.lock().expect("no panic");
        if told.elapsed() > Duration::from_mins(1) {
            *told = Instant::now();
            println!("  {} states so far", counted.load(Ordering::Relaxed));
        }
    });
    let mut table: BTreeMap<String, Done> = BTreeMap::new();
    let mut lost = Vec::new();
    for (job, answer) in jobs.iter().zip(&answers) {
        match answer {
            Some(Ok(done)) => {
                let name = job.workload.first().map_or_else(String::new, name_of);
                table.entry(name).or_default().add(done);
            }
            Some(Err(reason)) => lost.push(reason.clone()),
            None => {}
        }
    }
    println!(
        "{:<12} {:>10} {:>9} {:>12} {:>9}",
        "workload", "recordings", "states", "in recovery", "failures"
    );
    let mut all = Done::default();
    for (name, done) in &table {
        row(name, done);
        all.add(done);
    }
    row("all", &all);
    println!(
        "seed {}, {:.0} s",
        arguments.seed,
        begun.elapsed().as_secs_f64()
    );
    for (name, failure) in &all.failures {
        println!(
            "FAILED {name}: {:?}, then {:?}\n  {}",
            failure.crash, failure.second, failure.reason
        );
    }
    for reason in &lost {
        println!("FAILED {reason}");
    }
    if !all.failures.is_empty() {
        println!("each is saved: crash replay {CASES}/store-*.case");
    }
    let enough = all.states >= arguments.count || begun.elapsed() >= limit;
    if !enough {
        println!(
            "FAILED: these are all states, and fewer than {}",
            arguments.count
        );
    }
    enough && all.failures.is_empty() && lost.is_empty()
}

fn row(name: &str, done: &Done) {
    let failures = done.failures.len();
    println!(
        "{name:<12} {:>10} {:>9} {:>12} {failures:>9}",
        done.recordings, done.states, done.in_recovery
    );
}

/// Sequences and random workloads in turn, so that a campaign cut short has seen all of them.
fn jobs(arguments: &States) -> Vec<Work> {
    let work = |workload, from, seeds, states, every| Work {
        workload: vec![workload],
        from,
        seeds,
        states,
        every,
        ..Work::default()
    };
    let mut creation = work(Workload::Creation, arguments.seed, 1, 0, None);
    if arguments.count < 3000 {
        // All of its crashes are more states than a sample has.
        (creation.every, creation.second_every) = (Some(1), Some(10));
    }
    let mut sequences = vec![creation];
    let every = arguments.every_sequence.then_some(2);
    let step = if arguments.every_sequence { 3 } else { 21 };
    for from in (0..SEQUENCES).step_by(step) {
        let seeds = (SEQUENCES - from).min(step as u64);
        sequences.push(work(Workload::Sequence, from, seeds, 4, every));
    }
    let mut random = Vec::new();
    let per_recording = if arguments.every_sequence { 200 } else { 20 };
    let enough = arguments.count / per_recording / 7 + 4;
    for round in 0..enough {
        let from = arguments.seed.wrapping_mul(1_000_000) + 5 * round;
        for workload in [
            Workload::Random,
            Workload::Threads,
            Workload::Keys,
            Workload::FailedSync,
            Workload::Repaired,
            Workload::Groups,
            Workload::Rewritten,
            Workload::Many,
        ] {
            random.push(work(workload, from, 5, per_recording, None));
        }
    }
    let (mut sequences, mut random) = (sequences.into_iter(), random.into_iter());
    let mut jobs = Vec::new();
    loop {
        let before = jobs.len();
        jobs.extend(sequences.next());
        jobs.extend(random.next());
        if jobs.len() == before {
            return jobs;
        }
    }
}

#[derive(clap::Args, Clone, Debug)]
pub struct Sabotage {
    /// After how many recordings a sabotage counts as not caught.
    #[arg(long, default_value_t = 240)]
    recordings: u64,
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

/// Syncs of which nobody needs what they cover; they are made for what they may cover at other
/// times, which are classes of their own.
const VACUOUS: [&str; 3] = [
    // A layer that comes back is removed again.
    "fsync store/meta/snapshot (remove)",
    // sled's own, in what is removed as soon as it has been read.
    "sync store/meta/index.copy/**",
    // What a store has published is durable; it is for files that others have put there.
    "fsync store/blobs/xx/* (found)",
];

/// Classes that some runs ask for and others do not: two threads meet. Not tried; what each covers
/// is tried in the classes that cover a part of it.
const SELDOM: [&str; 2] = [
    "fsync store/blobs/xx (remove, rename)",
    "fsync store/meta/journal (create, remove)",
];

/// The classes that a sound run asks for: a run that misses one tries less than it says, and one
/// that is not here may be a sync that nothing needs. Sorted.
const CLASSES: [&str; 33] = [
    "fdatasync store/meta/journal/*.log (write)",
    "fdatasync store/staging/* (write)",
    "fsync  (create)",
    "fsync  (found)",
    "fsync deep (create)",
    "fsync deep (found)",
    "fsync store (create)",
    "fsync store (create, remove, rename)",
    "fsync store (create, rename)",
    "fsync store (found)",
    "fsync store/FORMAT.tmp (write)",
    "fsync store/blobs (create)",
    "fsync store/blobs (found)",
    "fsync store/blobs/xx (found)",
    "fsync store/blobs/xx (remove)",
    "fsync store/blobs/xx (rename)",
    "fsync store/meta (create)",
    "fsync store/meta (create, remove)",
    "fsync store/meta (create, remove, rename)",
    "fsync store/meta (create, rename)",
    "fsync store/meta (found)",
    "fsync store/meta (remove)",
    "fsync store/meta/CLEAN.tmp (allocate, write)",
    "fsync store/meta/journal (create)",
    "fsync store/meta/journal (found)",
    "fsync store/meta/journal (remove)",
    "fsync store/meta/journal/*.log (allocate, write)",
    "fsync store/meta/journal/*.log (write)",
    "fsync store/meta/snapshot (create, rename)",
    "fsync store/meta/snapshot (found)",
    "fsync store/meta/snapshot/layer.tmp (write)",
    "sync store/meta/index/**",
    "syncfs",
];

/// Takes away each class of syncs. `true` when each was caught, and the sound run asked for the classes
/// that are known and no others.
pub fn sabotage(arguments: &Sabotage) -> io::Result<bool> {
    let begun = Instant::now();
    let known = asks_for_what_is_known(arguments)?;
    let jobs: Vec<_> = CLASSES
        .iter()
        .map(|class| {
            let mut work = Work {
                without: Some((*class).to_owned()),
                workload: GENERAL.to_vec(),
                from: arguments.seed,
                seeds: arguments.recordings.div_ceil(GENERAL.len() as u64),
                states: 60,
                first_only: true,
                ..Work::default()
            };
            let directed = DIRECTED.iter().find(|(known, ..)| known == class);
            if let Some((_, workload, policy)) = directed {
                (work.workload, work.policy) = (vec![*workload], *policy);
                // The names that a crash must take or leave are few; each line has all of these seeds.
                work.every = (*workload == Workload::Creation).then_some(64);
            }
            work.arguments()
        })
        .collect();
    println!("{:<66} {:>7}  caught by", "taken away", "states");
    let caught = AtomicU64::new(0);
    fleet::run::<Done>(&jobs, &|| true, &|job, answer| {
        let (states, by) = match answer {
            Ok(done) => (done.states, done.failures.first().map(caught_by)),
            Err(reason) => (0, Some(reason.clone())),
        };
        caught.fetch_add(u64::from(by.is_some()), Ordering::Relaxed);
        let by = by.unwrap_or_else(|| "NOT CAUGHT".to_owned());
        println!("{:<66} {states:>7}  {by}", CLASSES[job]);
    });
    let caught = caught.into_inner();
    println!(
        "{caught} of {} caught, {:.0} s",
        CLASSES.len(),
        begun.elapsed().as_secs_f64()
    );
    println!(
        "not tried, as nothing needs what they cover: {}",
        VACUOUS.join("; ")
    );
    println!("not tried, as they are seldom: {}", SELDOM.join("; "));
    Ok(caught == CLASSES.len() as u64 && known)
}

/// Where most is caught soon.
const GENERAL: [Workload; 5] = [
    Workload::Random,
    Workload::Threads,
    Workload::Sequence,
    Workload::FailedSync,
    Workload::Creation,
];

/// What random calls would show only after many states, and what shows it.
const DIRECTED: [(&str, Workload, Option<Policy>); 11] = [
    (
        "fsync deep (create)",
        Workload::Creation,
        Some(Policy::Kill),
    ),
    ("fsync deep (found)", Workload::Creation, Some(Policy::Kill)),
    (
        "fsync store (create)",
        Workload::Creation,
        Some(Policy::TornStrict),
    ),
    (
        "fsync store (create, remove, rename)",
        Workload::Repaired,
        None,
    ),
    ("fsync store (found)", Workload::Repaired, None),
    (
        "fsync store/blobs (found)",
        Workload::Repaired,
        Some(Policy::Kill),
    ),
    (
        "fsync store/meta (remove)",
        Workload::Creation,
        Some(Policy::Strict),
    ),
    (
        "fsync store/meta (found)",
        Workload::Creation,
        Some(Policy::Kill),
    ),
    ("fsync store/meta/journal (found)", Workload::Keys, None),
    (
        "fsync store/meta/journal (remove)",
        Workload::Random,
        Some(Policy::TornStrict),
    ),
    (
        "fsync store/meta/journal/*.log (write)",
        Workload::Groups,
        None,
    ),
];

/// Which sync a class is of, with each thing that it covers. (Which of these meet in one sync may differ
/// from run to run.)
fn covers(class: &str) -> Vec<(String, String)> {
    let (sync, covered) = class
        .strip_suffix(')')
        .and_then(|class| class.rsplit_once('('))
        .unwrap_or((class, "all"));
    let pair = |covered: &str| (sync.trim_end().to_owned(), covered.to_owned());
    covered.split(", ").map(pair).collect()
}

/// Whether a run from which nothing is taken away asks for the known classes of syncs, for no others,
/// and finds nothing.
fn asks_for_what_is_known(arguments: &Sabotage) -> io::Result<bool> {
    let creation = Work {
        workload: vec![Workload::Creation],
        seeds: 1,
        every: Some(1),
        ..Work::default()
    };
    let others = Work {
        workload: [
            &GENERAL[..4],
            &[Workload::Repaired, Workload::Groups, Workload::Rewritten],
        ]
        .concat(),
        from: arguments.seed,
        seeds: 10,
        states: 20,
        ..Work::default()
    };
    let jobs = [creation.arguments(), others.arguments()];
    let mut sound = Done::default();
    for answer in fleet::run::<Done>(&jobs, &|| true, &|_, _| {}) {
        let done = answer.ok_or_else(|| io::Error::other("the sound run did not begin"))?;
        sound.add(&done.map_err(io::Error::other)?);
    }
    let asked: BTreeSet<_> = sound.syncs.iter().flat_map(|class| covers(class)).collect();
    let known = CLASSES.iter().chain(&VACUOUS).chain(&SELDOM);
    let known: BTreeSet<_> = known.flat_map(|class| covers(class)).collect();
    let missing: Vec<_> = known.difference(&asked).collect();
    let new: Vec<_> = asked.difference(&known).collect();
    for (sync, covers) in &missing {
        println!("FAILED: no sound run asked for the sync {sync} for {covers}");
    }
    for (sync, covers) in &new {
        println!("FAILED: this is not in the list of syncs: {sync} for {covers}");
    }
    for (name, failure) in &sound.failures {
        println!("FAILED with nothing taken away, {name}: {}", failure.reason);
    }
    Ok(missing.is_empty() && new.is_empty() && sound.failures.is_empty())
}

fn caught_by((workload, failure): &(String, Failure)) -> String {
    let policy = failure.second.or(failure.crash);
    let policy = policy.map_or_else(String::new, |crash| format!("{:?}", crash.policy));
    let reason = failure.reason.lines().next().unwrap_or_default();
    let short: String = reason.chars().take(90).collect();
    format!("{workload}, {policy}: {short}")
}
