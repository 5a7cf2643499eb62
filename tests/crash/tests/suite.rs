//! What `cargo test` runs of the crash suite; `docs/reliability.md` has the long runs.

use std::process::Command;
use std::sync::{Mutex, PoisonError};

/// Each campaign uses all cores.
static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

fn crash(arguments: &str) {
    let _alone = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    let output = Command::new(env!("CARGO_BIN_EXE_crash"))
        .args(arguments.split(' '))
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    println!("crash {arguments}\n{said}");
    let complained = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success(),
        "crash {arguments}\n{said}{complained}"
    );
}

/// The recorder is judged before it judges: it finds known losses in others, and only those.
#[test]
fn the_recorder_knows_who_loses() {
    crash("peers");
}

#[test]
fn no_crash_loses_anything() {
    crash("states --states 6000");
}

#[test]
fn every_sync_and_every_step_is_needed() {
    crash("sabotage");
}

#[test]
fn no_failing_call_loses_anything() {
    crash("faults --every 8");
}
