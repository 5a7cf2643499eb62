//! Resident memory.

use std::path::Path;
use std::process::Command;

use partstore::{IndexRecovery, PartNumber, PartOptions, PartStore, Result};

use crate::floor::body;
use crate::limits::{fill, options};
use crate::machine::{reset_peak, resident_mib};
use crate::threads::in_threads;

const STREAMS: u32 = 32;
const CHUNK: usize = 1 << 20;

/// 32 bodies at once, in chunks of 1 MiB as a server would get them.
pub fn bodies(base: &Path, mib: u64) -> Result<()> {
    let dir = tempfile::tempdir_in(base).expect("a directory for the store");
    let store = PartStore::open(dir.path().join("data"))?;
    let upload = store.initiate_upload("bench/bodies")?;
    reset_peak();
    in_threads(STREAMS, |thread| {
        let number = thread + 1;
        let chunk = body(CHUNK, u64::from(number));
        let length = PartOptions::new().content_length(mib << 20);
        let mut writer = store.part_writer(&upload, PartNumber::new(number)?, length)?;
        for _ in 0..mib {
            writer.append(&chunk)?;
        }
        writer.finish().map(drop)
    })?;
    let (_, peak) = resident_mib();
    println!(
        "{STREAMS} bodies of {mib} MiB at once: {peak} MiB resident at the peak, 32 MiB of it the senders'"
    );
    Ok(())
}

/// Many part rows, each with its own content, and the housekeeping at work.
pub fn rows(base: &Path, rows: u32) -> Result<()> {
    let dir = tempfile::tempdir_in(base).expect("a directory for the store");
    let root = dir.path().join("data");
    let store = options().open(&root)?;
    reset_peak();
    for round in 0..rows.div_ceil(10_000) {
        let upload = store.initiate_upload(&format!("bench/rows/{round}"))?;
        fill(&store, &upload, u64::from(round))?;
    }
    let (now, peak) = resident_mib();
    let stats = store.stats()?;
    println!(
        "{} part rows, written: {now} MiB resident, {peak} MiB at the peak",
        stats.parts
    );
    let each = |bytes: u64| bytes / stats.parts.max(1);
    let journal = each(stats.journal_bytes);
    store.close()?;
    let index = each(size_of(&root.join("meta/index")));
    let snapshot = each(size_of(&root.join("meta/snapshot")));
    println!("on disk, bytes a part: journal {journal}, snapshot {snapshot}, index {index}");
    open_in_a_new_process(&root);
    std::fs::remove_file(root.join("meta/CLEAN")).expect("the marker");
    open_in_a_new_process(&root);
    Ok(())
}

/// Memory that this process has had once would count for the next store, too.
fn open_in_a_new_process(root: &Path) {
    let this = std::env::current_exe().expect("the path of this program");
    let opened = Command::new(this)
        .args(["open-only", "--dir"])
        .arg(root)
        .status();
    assert!(opened.expect("a process").success(), "opening failed");
}

/// Opens the store at `root`, and closes it.
pub fn open_only(root: &Path) -> Result<()> {
    let store = options().open(root)?;
    let (now, peak) = resident_mib();
    let (parts, recovery) = (store.stats()?.parts, store.recovery());
    let how = match recovery.index {
        IndexRecovery::Trusted => "after a clean close",
        _ => "index rebuilt",
    };
    let took = recovery.elapsed.as_secs_f64();
    println!(
        "{parts} part rows, open {how}: {now} MiB resident, {peak} MiB at the peak, {took:.1} s"
    );
    store.close()
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
