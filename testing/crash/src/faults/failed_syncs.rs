//! What a recording says about syncs that failed.

use std::collections::HashSet;

use crashing_disk::log::{Op, ROOT, Recording};

use super::paths::Paths;
use crate::shim::Failure;
use crate::store::{Action, History, Outcome};

/// Where sled's files are.
const INDEX: &str = "store/meta/index";

/// What the recording says about failed syncs that must not be so (I8).
pub(super) fn failed_syncs(
    recording: &Recording,
    history: &History,
    failure: Option<Failure>,
) -> Vec<String> {
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
pub(super) fn index_sync_failed(recording: &Recording) -> bool {
    let paths = Paths::of(recording);
    recording.ops.iter().any(|op| match op {
        Op::SyncFailed { node, .. } => paths.path(*node).starts_with(INDEX),
        _ => false,
    })
}
