//! A fixed sample of what the crash suite does: crashes at many moments, and failing calls.
//!
//! The suite is a package of its own, as it needs what this one must not have (unsafe code, definitions
//! of libc's functions). So these tests have cargo build and run it. `cargo test -p crash` runs much more
//! of it; `docs/reliability.md` says what it does.

use std::process::Command;
use std::sync::{Mutex, PoisonError};

/// Each campaign uses all cores.
static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

#[track_caller]
fn crash(arguments: &str) {
    let _alone = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    let output = Command::new(env!("CARGO"))
        .args("run --quiet --locked --package crash --".split(' '))
        .args(arguments.split(' '))
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    let complained = String::from_utf8_lossy(&output.stderr);
    println!("crash {arguments}\n{said}{complained}");
    assert!(output.status.success(), "crash {arguments} failed");
}

#[test]
fn a_sample_of_crashes_loses_nothing() {
    crash("states --states 1200");
}

#[test]
fn a_sample_of_failing_calls_loses_nothing() {
    crash("faults --every 96 --columns 7");
}
