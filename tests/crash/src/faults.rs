//! The fault sweep: the k-th file-system call of a kind fails, for every k.
//!
//! One script of calls, on a new store and on one that was killed, is run once for each k, kind of
//! call, failure (an error, or half of the bytes) and mode (once, or from then on). Afterwards the
//! fault is gone, and what the script was told must hold:
//!
//! - No call panics, hangs or ends the process; a call that met no fault, in a store that has not
//!   stopped, answers `Ok`.
//! - The store opens, shows what was acknowledged, nothing that was refused, and takes a further
//!   part ([`Subject::check`]): as it lies there, and after a loss of power, at the end or before.
//! - A read gives the bytes that were put, or an error.
//! - The call that met a failed sync fails, nothing is acknowledged until the store is opened again,
//!   and no file is synced again before it was written again (I8). sled's files are its own
//!   business: no answer rests on them.
//!
//! A directory is not written again after its sync has failed, since its names cannot be: section 16
//! of the design leaves that to whoever looks after the disk. So the loss of power takes the names
//! that no later sync has covered, and leaves those that one has, as file systems with a journal do.
//!
//! Not failed: listing a directory, `stat`, `flock` and `statvfs`, which the shim does not stand in
//! for.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fmt;
use std::io::{self, Read};
use std::str::FromStr;
use std::time::Instant;

use partstore::{ETag, Error, ListUploads, Part, PartStore, Scope, VerifyReport};
use serde::{Deserialize, Serialize};

use crate::explore::{quietly, scratch};
use crate::fleet;
use crate::image::Image;
use crate::log::{Entry, Node, Op, ROOT, Recording};
use crate::loss::{self, Policy};
use crate::shim::{self, Failure, Fault, Kind, Plan};
use crate::store::{Action, Body, DIR, History, Outcome, Player, Store, Workload};
use crate::subject::{Moment, Subject};

/// How many k one child tries.
const CHUNK: usize = 16;
/// After how many k in a row whose fault was not met there are no more: the number of calls differs
/// a little from run to run.
const UNMET: u64 = 3;
/// What "for ever" is for `EINTR`: whoever is interrupted tries again, as POSIX has it.
const BURST: u64 = 100;
const INDEX: &str = "store/meta/index";

#[derive(clap::Args, Clone, Debug)]
pub struct Faults {
    /// Tries one k of so many; which ones differs from column to column.
    #[arg(long, default_value_t = 1)]
    every: u64,
    /// The first k.
    #[arg(long, default_value_t = 1)]
    from: u64,
    /// Runs one again: SCENE,KIND,FAILURE,MODE,K.
    #[arg(long)]
    only: Option<String>,
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
    for (column, cell) in Cell::all().into_iter().enumerate() {
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
    let mut row = None;
    for (cell, tried) in table {
        let of = (cell.scene, cell.kind);
        if row.replace(of).is_some_and(|before| before != of) {
            println!();
        }
        if (cell.failure, cell.for_ever) == (0, false) {
            let name = format!("{:?} {:?}", cell.kind, cell.scene).to_lowercase();
            print!("{name:<15}");
        }
        let text = match tried.failures.len() {
            0 => tried.runs.to_string(),
            failed => format!("{}/{failed}!", tried.runs),
        };
        print!("{text:>11}");
    }
    println!();
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
    let takes = |op: &Op| matches!(op, Op::Rename { to, .. } if is_a("snap", &to.name));
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

/// The negative control: when syncs are answered with success and not done, the loss of power must
/// show it.
fn control() -> io::Result<bool> {
    let set = Set::up(Scene::New, || {})?;
    let sound = set.run(Plan::default(), 0)?;
    let mut noticed = sound.wrong.is_empty();
    for swallowed in [
        "fdatasync store/meta/journal/*.log (write)",
        "fdatasync store/staging/* (write)",
        "fsync store/blobs/xx (rename)",
    ] {
        let plan = Plan {
            without: Some(swallowed.to_owned()),
            ..Plan::default()
        };
        let run = set.run(plan, 0)?;
        let by = run.wrong.first().and_then(|reason| reason.lines().next());
        noticed &= by.is_some();
        println!("control: {swallowed}: {}", by.unwrap_or("NOT NOTICED"));
    }
    let noted = failed_syncs(&with_a_failed_sync(sound.recording), &sound.history, None);
    let by = noted.first().map_or("NOT NOTICED", String::as_str);
    println!("control: a failed sync of the journal that is acknowledged: {by}");
    noticed &= !noted.is_empty();
    for wrong in sound.wrong {
        println!("FAILED without a fault: {wrong}");
    }
    Ok(noticed)
}

/// The same recording, as if the last sync of the journal had failed.
fn with_a_failed_sync(mut recording: Recording) -> Recording {
    let paths = Paths::of(&recording);
    let sync = recording.ops.iter_mut().rev().find_map(|op| match op {
        Op::Sync { node, begun } if is_a("log", &paths.path(*node)) => Some((*node, *begun, op)),
        _ => None,
    });
    if let Some((node, begun, op)) = sync {
        *op = Op::SyncFailed { node, begun };
    }
    recording
}

/// A scene: what happened before, and what is done in it.
struct Set {
    scene: Scene,
    /// All that was done before a `kill -9`.
    before: Recording,
    history: History,
    /// Told before each run and each check, so that one which hangs is noticed.
    alive: fn(),
}

/// What became of one run.
struct Run {
    recording: Recording,
    history: History,
    hits: u64,
    counted: u64,
    states: u64,
    wrong: Vec<String>,
}

impl Run {
    /// What was wrong, and what the calls answered that failed.
    fn told(&self) -> String {
        let failed = self
            .history
            .calls
            .iter()
            .filter(|call| call.outcome != Outcome::Ok);
        let failed: Vec<_> = failed.map(|call| format!("{call:?}")).collect();
        format!(
            "{}\n  when these had failed:\n  {}",
            self.wrong.join("\n  "),
            failed.join("\n  ")
        )
    }
}

impl Set {
    fn up(scene: Scene, alive: fn()) -> io::Result<Self> {
        let (before, history) = match scene {
            Scene::New => Default::default(),
            Scene::Killed => killed()?,
        };
        Ok(Self {
            scene,
            before,
            history,
            alive,
        })
    }

    /// Runs the script under the plan, and checks what it leaves. The seed is that of the losses.
    fn run(&self, plan: Plan, seed: u64) -> io::Result<Run> {
        (self.alive)();
        let dir = scratch()?;
        loss::live(&self.before).write(dir.path())?;
        let failure = plan.fault.map(|fault| fault.failure);
        shim::start(dir.path(), plan);
        let mut script = Script::new(Player::after(&dir.path().join(DIR), self.history.clone()));
        let played = quietly(|| match self.scene {
            Scene::New => script.all_calls(),
            Scene::Killed => script.recovery(),
        });
        let hits = shim::hits();
        shim::relent();
        let ended = quietly(|| script.end());
        let recorded = shim::stop();

        let (history, mut wrong) = (script.player.into_history(), script.wrong);
        wrong.extend(played.err());
        wrong.extend(ended.err());
        let recording = self.before.then(self.before.ops.len(), &recorded.recording);
        wrong.extend(failed_syncs(&recording, &history, failure));
        if let Some(difference) = loss::live(&recording).difference(&Image::of(dir.path())?) {
            wrong.push(format!("the recorder missed something: {difference}"));
        }
        // sled tries an interrupted sync again: only then a clean close may come before the loss of
        // the index, which costs its rebuild.
        let interrupted = failure == Some(Failure::Errno(libc::EINTR));
        let index_may_go = interrupted && index_sync_failed(&recording);
        let (mut images, mut states) = (Vec::new(), 1);
        for (at, policy) in losses(&recording) {
            let image = loss::crash(&recording, at, policy, seed);
            if images.contains(&(at, image.clone())) {
                continue;
            }
            (self.alive)();
            states += 1;
            let lost = scratch()?;
            image.write(lost.path())?;
            images.push((at, image));
            let mut moment = Moment::after(&recording.ops[..at]);
            moment.reopened = index_may_go;
            let checked = check(lost.path(), &history, &moment);
            wrong.extend(checked.map(|reason| {
                format!("after a loss of power behind line {at}, {policy:?}: {reason}")
            }));
        }
        let moment = Moment::after(&recording.ops);
        (self.alive)();
        let checked = check(dir.path(), &history, &moment);
        wrong.extend(checked.map(|reason| format!("as it lies: {reason}")));
        Ok(Run {
            recording,
            history,
            hits,
            counted: recorded.counted,
            states,
            wrong,
        })
    }
}

/// When the power is lost, and what it takes: at the end, and, as what a clean close makes durable
/// would hide something, when the last blob had its name and no row yet.
fn losses(recording: &Recording) -> Vec<(usize, Policy)> {
    let end = recording.ops.len();
    let paths = Paths::of(recording);
    let published = recording.ops.iter().rposition(|op| match op {
        Op::Sync { node, .. } => paths.path(*node).starts_with("store/blobs/"),
        _ => false,
    });
    let policies = [
        Policy::Strict,
        Policy::Journalled,
        Policy::TornStrict,
        Policy::TornJournalled,
    ];
    let at_the_end = policies.into_iter().map(|policy| (end, policy));
    let earlier = published
        .into_iter()
        .flat_map(|line| [Policy::Strict, Policy::TornJournalled].map(|policy| (line + 1, policy)));
    at_the_end.chain(earlier).collect()
}

fn check(root: &std::path::Path, history: &History, moment: &Moment) -> Option<String> {
    let store = Store {
        workload: Workload::Random,
    };
    quietly(|| store.check(root, history, moment))
        .and_then(|checked| checked)
        .err()
}

/// A store that was killed when a snapshot had its name and had replaced nothing yet, in the middle
/// of a write to the journal, and with the remains of earlier crashes.
fn killed() -> io::Result<(Recording, History)> {
    let dir = scratch()?;
    shim::start(dir.path(), Plan::default());
    let mut script = Script::new(Player::after(&dir.path().join(DIR), History::default()));
    script.before_the_kill();
    let history = script.player.history();
    let mut recording = shim::stop().recording;
    drop(script);
    let published = recording.ops.iter().rposition(|op| match op {
        Op::Rename { to, .. } => is_a("snap", &to.name),
        _ => false,
    });
    let published = published.ok_or_else(|| io::Error::other("the script takes no snapshot"))?;
    recording.ops.truncate(published + 1);

    let paths = Paths::of(&recording);
    let newest = recording.ops.iter().rev().find_map(|op| match op {
        Op::Write {
            node,
            offset,
            bytes,
        } if *offset > 0 && is_a("log", &paths.path(*node)) => {
            Some((*node, offset + bytes.len() as u64))
        }
        _ => None,
    });
    let (segment, end) = newest.expect("the script writes to the journal");
    let mut remains = vec![Op::Write {
        node: segment,
        offset: end,
        bytes: vec![0x5a; 40],
    }];
    let last = paths
        .names
        .values()
        .map(|at| &at.name)
        .filter(|name| is_a("log", name))
        .max();
    let last = last
        .and_then(|name| name.trim_end_matches(".log").parse::<u64>().ok())
        .unwrap_or(0);
    for (number, (dir, name)) in (1..).zip([
        ("store/staging", "0123456789abcdef-0".to_owned()),
        ("store/meta/snapshot", "snapshot.tmp".to_owned()),
        ("store/meta/snapshot", "0.run".to_owned()),
        ("store/meta/journal", format!("{:020}.log", last + 1)),
    ]) {
        let node = Node(paths.highest().0 + number);
        let dir = paths.node(dir).expect("a store has these directories");
        remains.push(Op::Create {
            at: Entry { dir, name },
            node,
            directory: false,
        });
        remains.push(Op::Write {
            node,
            offset: 0,
            bytes: vec![0; 100],
        });
    }
    recording.ops.extend(remains);
    Ok((recording, history))
}

fn is_a(extension: &str, name: &str) -> bool {
    std::path::Path::new(name)
        .extension()
        .is_some_and(|found| found == extension)
}

/// What the recording says about failed syncs that must not be so (I8).
fn failed_syncs(recording: &Recording, history: &History, failure: Option<Failure>) -> Vec<String> {
    // A body that does not fit is thrown away; its file was nobody's.
    let no_room = [libc::ENOSPC, libc::EDQUOT].map(|errno| Some(Failure::Errno(errno)));
    let is_refusal = |path: &str| path.starts_with("store/staging/") && no_room.contains(&failure);
    let (mut paths, mut wrong) = (Paths::default(), Vec::new());
    let (mut lost, mut stopped, mut refused) = (HashSet::new(), false, false);
    for found in &recording.before {
        paths.name(found.node, &found.at, found.content.is_none());
    }
    paths.directories.insert(ROOT);
    for op in &recording.ops {
        paths.learn(op);
        match op {
            Op::Begin(call) => {
                refused = false;
                if history.calls[*call].action == Action::Open {
                    stopped = false;
                    lost.retain(|node| !paths.directories.contains(node));
                }
            }
            Op::Ack(call)
                if (stopped || refused) && history.calls[*call].outcome == Outcome::Ok =>
            {
                let call = &history.calls[*call];
                wrong.push(format!("after a failed sync it was acknowledged: {call:?}"));
            }
            Op::Write { node, .. } | Op::Truncate { node, .. } | Op::Allocate { node, .. } => {
                lost.remove(node);
            }
            Op::Sync { node, .. } | Op::SyncFailed { node, .. } => {
                let path = paths.path(*node);
                if path.starts_with(INDEX) {
                    continue;
                }
                if lost.contains(node) {
                    wrong.push(format!("the failed sync of {path} was tried again"));
                }
                if matches!(op, Op::SyncFailed { .. }) {
                    lost.insert(*node);
                    stopped |= !is_refusal(&path);
                    refused = true;
                }
            }
            _ => {}
        }
    }
    wrong
}

/// Whether a sync of sled's files failed.
fn index_sync_failed(recording: &Recording) -> bool {
    let paths = Paths::of(recording);
    recording.ops.iter().any(|op| match op {
        Op::SyncFailed { node, .. } => paths.path(*node).starts_with(INDEX),
        _ => false,
    })
}

/// What each node of a recording is called, or was when it last had a name.
#[derive(Default)]
struct Paths {
    names: HashMap<Node, Entry>,
    directories: HashSet<Node>,
}

impl Paths {
    fn of(recording: &Recording) -> Self {
        let mut paths = Self::default();
        recording.ops.iter().for_each(|op| paths.learn(op));
        paths
    }

    fn learn(&mut self, op: &Op) {
        match op {
            Op::Create {
                at,
                node,
                directory,
            } => self.name(*node, at, *directory),
            Op::Link { at, node } | Op::Rename { to: at, node, .. } => {
                self.names.insert(*node, at.clone());
            }
            _ => {}
        }
    }

    fn name(&mut self, node: Node, at: &Entry, directory: bool) {
        self.names.insert(node, at.clone());
        if directory {
            self.directories.insert(node);
        }
    }

    fn path(&self, node: Node) -> String {
        match self.names.get(&node) {
            Some(at) if at.dir == ROOT => at.name.clone(),
            Some(at) => format!("{}/{}", self.path(at.dir), at.name),
            None => String::new(),
        }
    }

    /// The newest node of this path.
    fn node(&self, path: &str) -> Option<Node> {
        self.names
            .keys()
            .filter(|node| self.path(**node) == path)
            .max()
            .copied()
    }

    fn highest(&self) -> Node {
        self.names.keys().max().copied().unwrap_or(ROOT)
    }
}

/// What a store shows: whether it is an object, and its parts, by key.
type View = BTreeMap<String, (bool, Vec<(u16, Body)>)>;

/// Makes the calls, and sees that what met no fault works.
struct Script {
    player: Player,
    /// Since the last open something has failed: the store may have stopped.
    troubled: bool,
    wrong: Vec<String>,
}

const SMALL: Body = Body { id: 1, len: 1000 };
const READ: Body = Body { id: 2, len: 2001 };
const OTHER: Body = Body { id: 3, len: 900 };
const BLOCKS: Body = Body {
    id: 4,
    len: 270_001,
};
const SHORT_LIVED: Body = Body { id: 5, len: 500 };

impl Script {
    fn new(player: Player) -> Self {
        Self {
            player,
            troubled: false,
            wrong: Vec::new(),
        }
    }

    /// Everything that can be asked of a store, from its making on.
    fn all_calls(&mut self) {
        self.open();
        let object = self.initiate();
        self.put(&object, 1, SMALL);
        self.put(&object, 2, READ);
        self.put(&object, 1, OTHER);
        self.put(&object, 2, READ);
        self.call(|player| player.put_refused(&object, 3, SHORT_LIVED));
        let open = self.initiate();
        self.put(&open, 1, OTHER);
        self.put(&open, 2, BLOCKS);
        self.look();
        self.complete(&object);
        let aborted = self.initiate();
        self.put(&aborted, 1, SHORT_LIVED);
        self.call(|player| player.abort(&aborted));
        self.call(Player::sweep);
        self.grow(&open);
        self.call(Player::maintain);
        self.look();
        self.remove(&object);
        self.call(Player::maintain);
        self.verify();
        self.call(Player::close);
        self.open();
        self.look();
        self.put(&open, 3, BLOCKS);
        self.put(&open, 4, SMALL);
        self.call(Player::close);
    }

    /// Leaves of everything something; the last call is to take a snapshot.
    fn before_the_kill(&mut self) {
        self.open();
        let object = self.initiate();
        self.put(&object, 1, SMALL);
        self.put(&object, 2, BLOCKS);
        self.complete(&object);
        let open = self.initiate();
        self.put(&open, 1, OTHER);
        self.put(&open, 2, SHORT_LIVED);
        self.put(&open, 2, READ);
        self.grow(&open);
        self.call(Player::maintain);
    }

    /// What the open of a store that was killed has to do, and what is done on it.
    fn recovery(&mut self) {
        self.open();
        if let (Some(store), 0) = (self.player.store(), shim::hits()) {
            let recovery = store.recovery();
            if recovery.torn_bytes == 0 || !recovery.orphans_possible {
                self.wrong.push(format!("nothing was torn: {recovery:?}"));
            }
        }
        self.look();
        let open = self.initiate();
        self.put(&open, 1, SMALL);
        self.put(&open, 2, READ);
        self.put(&open, 3, SHORT_LIVED);
        self.call(Player::maintain);
        self.look();
        self.verify();
        self.call(Player::close);
    }

    /// Puts the same bytes again and again, until the journal has more than a segment.
    fn grow(&mut self, key: &str) {
        for _ in 0..12 {
            self.put(key, 1, OTHER);
        }
    }

    /// Opens the store; tries again once, since a fault may be over.
    fn open(&mut self) {
        for _ in 0..2 {
            self.troubled = false;
            self.call(Player::reopen);
            if self.player.store().is_some() {
                self.troubled = false;
                return;
            }
        }
    }

    fn initiate(&mut self) -> String {
        let mut key = String::new();
        self.call(|player| key = player.initiate());
        key
    }

    fn put(&mut self, key: &str, number: u16, body: Body) {
        self.call(|player| player.put(key, number, body));
    }

    fn remove(&mut self, key: &str) {
        // An upload that could not be completed is no object.
        if self
            .acknowledged()
            .get(key)
            .is_some_and(|(is_object, _)| *is_object)
        {
            self.call(|player| player.remove(key));
        }
    }

    fn complete(&mut self, key: &str) {
        // Without parts it would be refused.
        if self
            .acknowledged()
            .get(key)
            .is_some_and(|(_, parts)| !parts.is_empty())
        {
            self.call(|player| player.complete(key));
        }
    }

    /// Makes a call. In a store that has not stopped only a fault makes it fail.
    fn call(&mut self, make: impl FnOnce(&Player)) {
        let (hits, before) = (shim::hits(), self.player.history().calls.len());
        make(&self.player);
        let hit = shim::hits() > hits;
        self.troubled |= hit;
        for call in &self.player.history().calls[before..] {
            let refuses = matches!(call.action, Action::PutRefused { .. });
            let wrong = match &call.outcome {
                Outcome::Ok => refuses,
                Outcome::Refused(_) => !hit && !refuses,
                Outcome::Unknown(_) => !self.troubled,
            };
            if wrong {
                self.wrong.push(format!("no fault was met: {call:?}"));
            }
        }
    }

    /// Lists and reads everything: the bytes are those that were put, and all is there unless a call
    /// had failed in a way that only opening the store again tells about.
    fn look(&mut self) {
        let Some(store) = self.player.store() else {
            return;
        };
        let hits = shim::hits();
        let seen = self.see(&store);
        let hit = shim::hits() > hits;
        self.troubled |= hit;
        let acknowledged = self.acknowledged();
        let is_known =
            !self.player.history().calls.iter().any(|call| {
                call.action.key().is_some() && matches!(call.outcome, Outcome::Unknown(_))
            });
        match seen {
            Ok(seen) if is_known && seen != acknowledged => {
                self.wrong
                    .push(format!("it shows {seen:?} instead of {acknowledged:?}"));
            }
            Err(error) if !self.troubled => {
                self.wrong
                    .push(format!("no fault was met, and reading failed: {error}"));
            }
            _ => {}
        }
    }

    fn see(&mut self, store: &PartStore) -> Result<View, Error> {
        let mut view = View::new();
        for info in store.list_uploads(&ListUploads::new())?.uploads {
            let mut parts = Vec::new();
            for part in store.list_parts(&info.upload, 0, 1000)?.parts {
                let body = self.read(&part, store.open_part(&info.upload, part.number)?)?;
                parts.push((part.number.get(), body));
            }
            view.insert(info.upload.key().to_owned(), (false, parts));
        }
        for object in store.list_objects(None, 1000)?.objects {
            let reader = store.open_object(&object.upload)?;
            let mut parts = Vec::new();
            for placed in reader.parts() {
                let body = self.read(&placed.part, reader.part(placed.part.number)?)?;
                parts.push((placed.part.number.get(), body));
            }
            view.insert(object.upload.key().to_owned(), (true, parts));
        }
        Ok(view)
    }

    /// Reads a part to its end, or until it fails.
    fn read(&mut self, part: &Part, mut reader: impl Read) -> Result<Body, Error> {
        let bodies: HashMap<ETag, Body> = [SMALL, READ, OTHER, BLOCKS, SHORT_LIVED]
            .into_iter()
            .map(|body| (body.etag(), body))
            .collect();
        let body = bodies[&part.etag];
        let mut bytes = Vec::new();
        let read = reader.read_to_end(&mut bytes);
        let expected = body.bytes();
        if !expected.starts_with(&bytes) || read.is_ok() && bytes != expected {
            self.wrong.push(format!("{body:?} reads as other bytes"));
        }
        match read {
            Ok(_) => Ok(body),
            Err(error) => Err(Error::from_io(error).unwrap_or(Error::Closed)),
        }
    }

    fn verify(&mut self) {
        let Some(store) = self.player.store() else {
            return;
        };
        let hits = shim::hits();
        let report = store.verify(Scope::Everything);
        self.troubled |= shim::hits() > hits;
        if !self.troubled && !report.as_ref().is_ok_and(VerifyReport::is_clean) {
            self.wrong
                .push(format!("no fault was met, and verify says {report:?}"));
        }
    }

    /// What was acknowledged so far.
    fn acknowledged(&self) -> View {
        let mut view = View::new();
        for call in self.player.history().calls {
            if call.outcome != Outcome::Ok {
                continue;
            }
            match call.action {
                Action::Initiate { key } => {
                    view.insert(key, (false, Vec::new()));
                }
                Action::Put { key, number, body } => {
                    let (_, parts) = view.entry(key).or_default();
                    parts.retain(|(other, _)| *other != number);
                    parts.push((number, body));
                    parts.sort_unstable();
                }
                Action::Complete { key, parts } => {
                    view.insert(key, (true, parts));
                }
                Action::Abort { key } | Action::Remove { key } => {
                    view.remove(&key);
                }
                _ => {}
            }
        }
        view
    }

    /// Closes what is still open.
    fn end(&mut self) {
        if self.player.store().is_some() {
            self.call(Player::close);
        }
    }
}
