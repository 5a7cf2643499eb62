//! That the sweep would notice.

use std::io;

use crashing_disk::log::{Op, Recording};

use super::Scene;
use super::failed_syncs::failed_syncs;
use super::paths::{Paths, is_a};
use super::set::Set;
use crate::shim::Plan;

/// The negative control: when syncs are answered with success and not done, the loss of power must
/// show it.
pub(super) fn control() -> io::Result<bool> {
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
            // The close syncs the whole file system.
            for_good: true,
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
