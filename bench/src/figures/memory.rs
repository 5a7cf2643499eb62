//! Resident memory.

use std::path::Path;
use std::process::Command;

use partstore::{IndexRecovery, Result};
use partstore_bench::machine::{reset_peak, resident_mib};

use super::Report;
use super::many::{PARTS, fill, forget_the_close, options};
use crate::crowd::Crowd;

const STREAMS: u32 = 32;
const RECEIVED: usize = 1 << 20;

/// 32 bodies at once, in pieces of 1 MiB.
pub fn bodies(base: &Path, mib: u64, report: &Report) -> Result<()> {
    let crowd = Crowd {
        streams: STREAMS,
        parts: 1,
        mib,
        received: RECEIVED,
    };
    let peak = crowd.memory(base)?.peak;
    report.say(
        &format!("{STREAMS} bodies of {mib} MiB at once"),
        format!("{peak} MiB resident at the peak"),
        "32 MiB of it the senders'".to_owned(),
    );
    Ok(())
}

/// Many part rows, each with its own content, and the housekeeping at work.
pub fn rows(base: &Path, rows: u32, report: &Report) -> Result<()> {
    let dir = tempfile::tempdir_in(base).expect("a directory");
    let root = dir.path().join("data");
    let store = options().open(&root)?;
    reset_peak();
    for round in 0..rows.div_ceil(PARTS) {
        let upload = store.initiate_upload(format!("bench/rows/{round}"))?;
        fill(&store, &upload, round)?;
    }
    let memory = memory_now();
    let stats = store.stats()?;
    report.say(
        &format!("{} part rows, written", stats.parts),
        memory,
        String::new(),
    );
    let each = |bytes: u64| bytes / stats.parts.max(1);
    let journal = each(stats.journal_bytes);
    store.close()?;
    let index = each(size_of(&root.join("meta/index")));
    let snapshot = each(size_of(&root.join("meta/snapshot")));
    let on_disk = format!("journal {journal}, snapshot {snapshot}, index {index}");
    report.say("on disk, bytes a part", on_disk, String::new());
    open_in_a_new_process(&root);
    forget_the_close(&root);
    open_in_a_new_process(&root);
    Ok(())
}

/// Memory that this process once had would count for the next store, too.
fn open_in_a_new_process(root: &Path) {
    let this = std::env::current_exe().expect("the path of this program");
    let mut open = Command::new(this);
    open.args(["figures", "open-only", "--dir"]).arg(root);
    assert!(
        open.status().expect("a process").success(),
        "opening failed"
    );
}

/// Opens the store at `root`, and closes it.
pub fn open_only(root: &Path, report: &Report) -> Result<()> {
    let store = options().open(root)?;
    let memory = memory_now();
    let (parts, recovery) = (store.stats()?.parts, store.recovery());
    let how = match recovery.index {
        IndexRecovery::Trusted => "after a clean close",
        _ => "index rebuilt",
    };
    let took = recovery.elapsed.as_secs_f64();
    report.say(
        &format!("{parts} part rows, open {how}"),
        memory,
        format!("{took:.1} s"),
    );
    store.close()
}

fn memory_now() -> String {
    let (now, peak) = resident_mib();
    format!("{now} MiB resident, {peak} at the peak")
}

/// Bytes of all files below a directory.
fn size_of(dir: &Path) -> u64 {
    let entries = std::fs::read_dir(dir).expect("a directory");
    let sizes = entries.map(|entry| {
        let entry = entry.expect("an entry");
        let about = entry.metadata().expect("its size");
        if about.is_dir() {
            size_of(&entry.path())
        } else {
            about.len()
        }
    });
    sizes.sum()
}
