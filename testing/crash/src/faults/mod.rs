//! The fault sweep: the k-th file-system call of a kind fails, for every k.
//!
//! One script of calls, on a new store and on one that was killed, is run once for each k, kind of
//! call, failure (an error, or half of the bytes) and mode (once, or from then on). Afterwards the
//! fault is gone, and what the script was told must hold:
//!
//! - No call panics, hangs or ends the process; a call that met no fault, in a store that has not
//!   stopped, answers `Ok`.
//! - The store opens, shows what was acknowledged, nothing that was refused, and takes a further
//!   part ([`Subject::check`](crate::subject::Subject::check)): as it lies there, and after a loss of power, at the end or before.
//! - A read gives the bytes that were put, or an error.
//! - The call that met a failed sync fails, nothing is acknowledged until the store is opened again,
//!   and no file is synced again before it was written again (I8). sled's files are its own
//!   business: no answer rests on them.
//!
//! A directory is not written again after its sync has failed, since its names cannot be: section 16
//! of the design leaves that to whoever looks after the disk. So the loss of power takes the names
//! that no later sync has covered, and leaves those that one has, as file systems with a journal do.
//!
//! Not failed: `statvfs` and `ioctl`, which the shim does not stand in for.

mod control;
mod failed_syncs;
mod paths;
mod script;
mod set;

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::str::FromStr;
use std::time::Instant;

use crashing_disk::log::{Op, Recording};
use serde::{Deserialize, Serialize};

use self::control::control;
use self::paths::is_a;
use self::set::Set;
use crate::fleet;
use crate::shim::{Failure, Fault, Kind, Plan};

/// How many k one child tries.
const CHUNK: usize = 16;
/// After how many k in a row whose fault was not met there are no more: the number of calls differs
/// a little from run to run.
const UNMET: u64 = 3;
/// What "for ever" is for `EINTR`: whoever is interrupted tries again, as POSIX has it.
const BURST: u64 = 100;

#[derive(clap::Args, Clone, Debug)]
pub struct Faults {
    /// Tries one k of so many; which ones differs from column to column.
    #[arg(long, default_value_t = 1)]
    every: u64,
    /// The first k.
    #[arg(long, default_value_t = 1)]
    from: u64,
    /// Tries one column of so many.
    #[arg(long, default_value_t = 1)]
    columns: usize,
    /// Runs one again: SCENE,KIND,FAILURE,MODE,K.
    #[arg(long)]
    only: Option<String>,
    /// Tries every k of one column: SCENE,KIND,FAILURE,MODE.
    #[arg(long)]
    column: Option<Cell>,
    /// Only sees that the sweep would notice: syncs are answered with success and not done.
    #[arg(long)]
    control: bool,
    /// What one child process does: SCENE,KIND,FAILURE,MODE.
    #[arg(long, hide = true, requires = "calls")]
    child: Option<Cell>,
    /// The k that it tries.
    #[arg(long, hide = true, value_delimiter = ',')]
    calls: Vec<u64>,
    /// Goes on behind the last of them until no fault is met.
    #[arg(long, hide = true)]
    to_the_end: bool,
}

/// `true` when nothing failed.
///
/// # Errors
/// When directories cannot be made.
pub fn run(arguments: &Faults) -> io::Result<bool> {
    if let Some(cell) = &arguments.child {
        fleet::answer(&cell.tried(&arguments.calls, arguments.to_the_end, fleet::alive)?);
        return Ok(true);
    }
    if let Some(only) = &arguments.only {
        return replay(only);
    }
    if let Some(cell) = arguments.column {
        return column(cell);
    }
    let controlled = control()?;
    Ok(controlled && (arguments.control || sweep(arguments)?))
}

/// What the calls are made on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Scene {
    /// An empty directory.
    New,
    /// A store that was killed in the middle of a snapshot.
    Killed,
}

/// A column of a row of the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Cell {
    scene: Scene,
    kind: Kind,
    failure: usize,
    for_ever: bool,
}

const FAILURES: [(&str, Failure); 5] = [
    ("EIO", Failure::Errno(libc::EIO)),
    ("ENOSPC", Failure::Errno(libc::ENOSPC)),
    ("EDQUOT", Failure::Errno(libc::EDQUOT)),
    ("EINTR", Failure::Errno(libc::EINTR)),
    ("short", Failure::Short),
];

impl Cell {
    fn all() -> Vec<Self> {
        let mut all = Vec::new();
        for scene in [Scene::New, Scene::Killed] {
            for kind in Kind::ALL {
                for (failure, (_, what)) in FAILURES.iter().enumerate() {
                    if *what == Failure::Short && !matches!(kind, Kind::Read | Kind::Write) {
                        continue;
                    }
                    all.extend([false, true].map(|for_ever| Self {
                        scene,
                        kind,
                        failure,
                        for_ever,
                    }));
                }
            }
        }
        all
    }

    fn fault(self, nth: u64) -> Fault {
        let failure = FAILURES[self.failure].1;
        let times = match failure {
            _ if !self.for_ever => 1,
            Failure::Errno(libc::EINTR) => BURST,
            _ => u64::MAX,
        };
        Fault {
            kind: self.kind,
            nth,
            times,
            failure,
        }
    }

    /// Tries these k, and more if it is to go on to the end. Those whose fault was not met do not
    /// count.
    fn tried(self, calls: &[u64], to_the_end: bool, alive: fn()) -> io::Result<Tried> {
        let scene = Set::up(self.scene, alive)?;
        let (mut tried, mut unmet) = (Tried::default(), 0);
        let behind = calls.last().map_or(1, |last| last + 1);
        let further = (behind..).take_while(|_| to_the_end);
        for k in calls.iter().copied().chain(further) {
            if k >= behind && unmet >= UNMET {
                break;
            }
            let plan = Plan {
                fault: Some(self.fault(k)),
                ..Plan::default()
            };
            let run = scene.run(plan, k)?;
            tried.runs += u64::from(run.hits > 0);
            tried.states += run.states;
            if !run.wrong.is_empty() {
                tried.failures.push((k, run.told()));
            }
            unmet = if run.hits > 0 { 0 } else { unmet + 1 };
        }
        Ok(tried)
    }
}

impl fmt::Display for Cell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mode = if self.for_ever { "ever" } else { "once" };
        let failure = FAILURES[self.failure].0;
        let text = format!("{:?},{:?},{failure},{mode}", self.scene, self.kind);
        f.write_str(&text.replace("Killed", "killed").replace("New", "new"))
    }
}

impl FromStr for Cell {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let is_it = |cell: &Self| cell.to_string().eq_ignore_ascii_case(text);
        let found = Self::all().into_iter().find(is_it);
        found.ok_or_else(|| format!("no such cell: {text}; one is {}", Self::all()[0]))
    }
}

/// What became of some k of a cell.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct Tried {
    /// Runs in which the fault was met.
    runs: u64,
    /// Directories that were opened and checked afterwards.
    states: u64,
    failures: Vec<(u64, String)>,
}

fn replay(only: &str) -> io::Result<bool> {
    let parsed = only
        .rsplit_once(',')
        .and_then(|(cell, k)| Some((cell.parse::<Cell>().ok()?, k.parse().ok()?)));
    let (cell, k) = parsed.ok_or_else(|| io::Error::other("it takes SCENE,KIND,FAILURE,MODE,K"))?;
    let tried = cell.tried(&[k], false, || {})?;
    if tried.runs == 0 {
        println!("the fault was not met");
    }
    report(&[(cell, tried.failures.clone())]);
    Ok(tried.failures.is_empty())
}

fn column(cell: Cell) -> io::Result<bool> {
    let tried = cell.tried(&[], true, || {})?;
    println!("{cell}: {} runs, {} states", tried.runs, tried.states);
    report(&[(cell, tried.failures.clone())]);
    Ok(tried.runs > 0 && tried.failures.is_empty())
}

fn report(failures: &[(Cell, Vec<(u64, String)>)]) {
    for (cell, failures) in failures {
        for (k, reason) in failures {
            println!("FAILED {cell},{k}: {reason}");
        }
    }
}

/// Tries every k of every cell, or some, and prints the table.
fn sweep(arguments: &Faults) -> io::Result<bool> {
    let begun = Instant::now();
    let calls = sound_calls()?;
    let (mut jobs, mut owners) = (Vec::new(), Vec::new());
    let all = Cell::all().into_iter().enumerate();
    for (column, cell) in all.step_by(arguments.columns.max(1)) {
        let last = calls[&(cell.scene, cell.kind)];
        let tried =
            |k: &u64| (k + column as u64).is_multiple_of(arguments.every.max(1)) || *k == last;
        let all: Vec<u64> = (arguments.from..=last).filter(tried).collect();
        for chunk in all.chunks(CHUNK) {
            jobs.push(job(cell, chunk, chunk.ends_with(&[last])));
            owners.push((cell, chunk.to_vec()));
        }
    }
    let answers = fleet::run::<Tried>(&jobs, &|| true, &|_, _| {});
    let mut table: BTreeMap<Cell, Tried> = BTreeMap::new();
    for ((cell, chunk), answer) in owners.into_iter().zip(answers) {
        let tried = match answer {
            Some(Ok(tried)) => tried,
            Some(Err(reason)) => one_by_one(cell, &chunk, &reason),
            None => Tried::default(),
        };
        let sum = table.entry(cell).or_default();
        sum.runs += tried.runs;
        sum.states += tried.states;
        sum.failures.extend(tried.failures);
    }
    print(&table);
    let failed: usize = table.values().map(|tried| tried.failures.len()).sum();
    println!(
        "{} runs, {} states, {failed} failures, {:.0} s",
        table.values().map(|tried| tried.runs).sum::<u64>(),
        table.values().map(|tried| tried.states).sum::<u64>(),
        begun.elapsed().as_secs_f64()
    );
    let failures: Vec<_> = table
        .into_iter()
        .map(|(cell, tried)| (cell, tried.failures))
        .collect();
    report(&failures);
    Ok(failed == 0)
}

fn job(cell: Cell, calls: &[u64], to_the_end: bool) -> Vec<String> {
    let calls: Vec<_> = calls.iter().map(u64::to_string).collect();
    let words = [
        "faults",
        "--child",
        &cell.to_string(),
        "--calls",
        &calls.join(","),
    ];
    let further = to_the_end.then_some("--to-the-end");
    words
        .into_iter()
        .chain(further)
        .map(str::to_owned)
        .collect()
}

/// Finds out which of the k hangs, or ends its process.
fn one_by_one(cell: Cell, chunk: &[u64], reason: &str) -> Tried {
    let jobs: Vec<_> = chunk.iter().map(|k| job(cell, &[*k], false)).collect();
    let answers = fleet::run::<Tried>(&jobs, &|| true, &|_, _| {});
    let mut sum = Tried::default();
    for (k, answer) in chunk.iter().zip(answers) {
        match answer {
            Some(Ok(tried)) => {
                sum.runs += tried.runs;
                sum.states += tried.states;
                sum.failures.extend(tried.failures);
            }
            Some(Err(reason)) => sum.failures.push((*k, reason)),
            None => {}
        }
    }
    if sum.failures.is_empty() {
        sum.failures.push((0, format!("only together: {reason}")));
    }
    sum
}

/// Rows are kinds, columns failures and modes; a cell tells runs, and failures if there are any.
fn print(table: &BTreeMap<Cell, Tried>) {
    print!("{:<15}", "");
    for (failure, _) in FAILURES {
        print!(
            "{:>11}{:>11}",
            format!("{failure} once"),
            format!("{failure} ever")
        );
    }
    println!();
    for row in Cell::all().chunk_by(|a, b| (a.scene, a.kind) == (b.scene, b.kind)) {
        let name = format!("{:?} {:?}", row[0].kind, row[0].scene).to_lowercase();
        print!("{name:<15}");
        for cell in row {
            let text = match table.get(cell) {
                None => "-".to_owned(),
                Some(tried) if tried.failures.is_empty() => tried.runs.to_string(),
                Some(tried) => format!("{}/{}!", tried.runs, tried.failures.len()),
            };
            print!("{text:>11}");
        }
        println!();
    }
}

/// The number of calls of each kind when nothing fails; nothing may be wrong then.
fn sound_calls() -> io::Result<BTreeMap<(Scene, Kind), u64>> {
    let mut calls = BTreeMap::new();
    for scene in [Scene::New, Scene::Killed] {
        let set = Set::up(scene, || {})?;
        for kind in Kind::ALL {
            let fault = Fault {
                kind,
                nth: u64::MAX,
                times: 1,
                failure: Failure::Errno(libc::EIO),
            };
            let plan = Plan {
                fault: Some(fault),
                ..Plan::default()
            };
            let run = set.run(plan, 0)?;
            if let Some(wrong) = run.wrong.first() {
                return Err(io::Error::other(format!(
                    "without a fault, {scene:?}: {wrong}"
                )));
            }
            covers(&run.recording);
            calls.insert((scene, kind), run.counted);
        }
    }
    Ok(calls)
}

/// The script takes a snapshot, which replaces journal segments.
fn covers(recording: &Recording) {
    let takes = |op: &Op| matches!(op, Op::Rename { to, .. } if is_a("rows", &to.name));
    let replaces = |op: &Op| matches!(op, Op::Remove { at } if is_a("log", &at.name));
    assert!(
        recording.ops.iter().any(takes),
        "the script takes no snapshot"
    );
    assert!(
        recording.ops.iter().any(replaces),
        "no journal segment is replaced"
    );
}
