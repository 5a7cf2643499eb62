//! What `cargo test -p crash` runs of the crash suite; `docs/reliability.md` has the long runs. The tables stay in
//! `target/tmp/crash-*.txt`.

use std::process::Command;
use std::sync::{Mutex, PoisonError};

/// Each campaign uses all cores.
static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

fn crash(arguments: &str) {
    run(arguments, &[]);
}

fn crash_without(arguments: &str, class: &str) {
    run(arguments, &["--without", class]);
}

fn run(arguments: &str, more: &[&str]) {
    let _alone = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    let output = Command::new(env!("CARGO_BIN_EXE_crash"))
        .args(arguments.split(' '))
        .args(more)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    println!("crash {arguments}\n{said}");
    // The tables are worth reading also when all is well.
    let name = arguments.split(' ').next().unwrap();
    let report = format!("{}/crash-{name}.txt", env!("CARGO_TARGET_TMPDIR"));
    std::fs::write(report, &output.stdout).unwrap();
    let complained = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success(),
        "crash {arguments}\n{said}{complained}"
    );
}

/// One of so many of the moments and calls that there are, of the largest campaigns: `PARTSTORE_CRASH_SAMPLE`. By default all.
fn sample() -> u64 {
    let set = std::env::var("PARTSTORE_CRASH_SAMPLE");
    set.map_or(1, |text| text.parse().unwrap())
}

/// The recorder is judged before it judges: it finds known losses in others, and only those.
#[test]
fn the_recorder_knows_who_loses() {
    crash("peers");
}

#[test]
fn no_crash_loses_anything() {
    crash(&format!("states --states {}", 6000 / sample()));
}

/// States with a name are whole, and so is a store that a restore has made.
#[test]
fn no_crash_spoils_a_backup() {
    crash("backups --states 240");
}

#[test]
fn every_sync_is_needed() {
    crash("sabotage");
}

#[test]
fn no_failing_call_loses_anything() {
    crash(&format!("faults --every {}", 8 * sample()));
}

/// A file was removed, the process killed before the directory was synced, and the next closed
/// cleanly: the power cut after that brought the file back, for ever. (Sequence 371 is put, abort,
/// sweep.)
#[test]
fn what_a_killed_sweep_removed_stays_removed() {
    crash("work --workload sequence --from 371 --every 1 --second-every 1");
}

/// A spare journal segment whose maker was killed was taken over without a sync; a power cut when the
/// journal had just gone on to it left it without its header, and the store did not open.
#[test]
fn a_spare_segment_of_a_killed_process_is_made_durable() {
    crash("work --workload creation --second-step 4");
}

/// Two segments whose making a kill had cut short were removed by the next open, the older one first: a
/// kill in between left a gap, and the store did not open.
#[test]
fn an_open_that_is_killed_leaves_no_gap_in_the_journal() {
    crash("work --workload groups --from 1 --seeds 3 --states 100 --policy kill");
}

/// The first segment was sealed empty, as the first batch did not fit it, and the process killed before that was
/// durable; the next open did not write the seal again.
#[test]
fn the_seal_of_an_empty_segment_is_made_durable() {
    crash("work --workload random --policy kill --second-every 1 --from 18 --states 60");
}

/// A store was made in a directory that another process had made and not synced: it vanished whole.
#[test]
fn a_store_below_a_new_directory_stays() {
    crash("work --workload creation --policy strict");
}

/// A blob was put again in place of a damaged one, and the process killed before its name was durable; the
/// next acknowledged a part on the strength of that file, and the power cut brought the old one back.
#[test]
fn a_part_that_rests_on_a_stored_file_stays() {
    crash("work --workload repaired --from 2 --seeds 3 --states 100 --policy kill");
}

/// CLEAN was removed by an open that failed before the directory was synced; the next open saw none and
/// synced nothing; a power cut brought it back.
#[test]
fn a_marker_that_a_failed_open_removed_stays_removed() {
    crash("faults --column new,sync,EIO,once");
}

/// fsync was tried again when it was interrupted, by std.
#[test]
fn an_interrupted_sync_is_not_tried_again() {
    crash("faults --column new,sync,EINTR,once");
}

/// The same without the sync that mended it: the suite would see it.
#[test]
#[should_panic(expected = "after a sweep there are 1 blob files for 0 blobs")]
fn what_a_killed_sweep_removed_comes_back_without_a_sync() {
    crash_without(
        "work --workload sequence --from 371 --every 1 --second-every 1 --first-only",
        "fsync store/blobs/xx (found)",
    );
}
