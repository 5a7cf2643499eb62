//! One run of the script under a plan, in one of the scenes, and the checks after it.

use std::io;

use crashing_disk::image::Image;
use crashing_disk::log::{Entry, Node, Op, Recording};
use crashing_disk::loss::{self, Policy};

use super::Scene;
use super::failed_syncs::{failed_syncs, index_sync_failed};
use super::paths::{Paths, is_a};
use super::script::Script;
use crate::explore::{quietly, scratch};
use crate::shim::{self, Failure, Plan};
use crate::store::{DIR, History, Outcome, Player, Store, Workload};
use crate::subject::{Moment, Subject};

/// A scene: what happened before, and what is done in it.
pub(super) struct Set {
    scene: Scene,
    /// All that was done before a `kill -9`.
    before: Recording,
    history: History,
    /// Told before each run and each check, so that one which hangs is noticed.
    alive: fn(),
}

/// What became of one run.
pub(super) struct Run {
    pub(super) recording: Recording,
    pub(super) history: History,
    pub(super) hits: u64,
    pub(super) counted: u64,
    pub(super) states: u64,
    pub(super) wrong: Vec<String>,
}

impl Run {
    /// What was wrong, and what the calls answered that failed.
    pub(super) fn told(&self) -> String {
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
    pub(super) fn up(scene: Scene, alive: fn()) -> io::Result<Self> {
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
    pub(super) fn run(&self, plan: Plan, seed: u64) -> io::Result<Run> {
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
        Op::Rename { to, .. } => is_a("rows", &to.name),
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
        ("store/meta/snapshot", "layer.tmp".to_owned()),
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
