//! What puts notice of a checkpoint, and of the merge behind it.

use std::path::Path;
use std::time::Duration;

use partstore::{Background, PartStore, Result, UploadOptions};
use partstore_bench::at_once;
use partstore_bench::bodies::body;

use super::Report;
use super::beside::{Beside, beside};
use super::many::options;

/// Checkpoints until a merge is due.
const LAYERS: u32 = 4;
const ROUNDS: u32 = 8;
/// Uploads of a checkpoint, and bytes of metadata of each: some more than make one due.
const UPLOADS: u32 = 7000;
const METADATA: usize = 2500;
const WRITERS: u32 = 16;
/// Bytes of a put.
const LEN: usize = 1024 * 1024;
/// How long puts come in alone.
const ALONE: Duration = Duration::from_secs(5);

/// Puts of 1 MiB, one after the other: alone, and while `maintain` writes a layer and merges four.
pub fn merge(base: &Path, report: &Report) -> Result<()> {
    let dir = tempfile::tempdir_in(base).expect("a directory");
    let options = options().background(Background::Host);
    let store = options.open(dir.path().join("data"))?;
    let put = |round: u32| {
        let store = &store;
        move |number: u64| {
            let body = body(LEN, u64::from(round) << 32 | number);
            store.put_object("bench/put", body).map(drop)
        }
    };
    let (mut alone, mut beside_merges) = (Beside::default(), Beside::default());
    for round in 0..ROUNDS {
        for _ in 1..LAYERS {
            fill(&store)?;
            store.maintain()?;
        }
        fill(&store)?;
        alone.add(beside(put(2 * round), || {
            std::thread::sleep(ALONE);
            Ok(())
        })?);
        // Else it is the removal of their blobs that is measured.
        store.sweep()?;
        beside_merges.add(beside(put(2 * round + 1), || store.maintain().map(drop))?);
        store.sweep()?;
    }
    store.close()?;
    report.say(
        "a checkpoint and a merge",
        format!(
            "{:.0} ms",
            beside_merges.took.as_secs_f64() * 1e3 / f64::from(ROUNDS)
        ),
        format!(
            "a put: {}; alone {}; p99 × {:.2}",
            beside_merges.puts(),
            alone.puts(),
            beside_merges.p99() / alone.p99()
        ),
    );
    Ok(())
}

/// Initiates uploads until a checkpoint is due.
fn fill(store: &PartStore) -> Result<()> {
    let filled = at_once(WRITERS, |thread| {
        for number in (thread..UPLOADS).step_by(WRITERS as usize) {
            let metadata = body(METADATA, number.into()).to_vec();
            let options = UploadOptions::new().metadata(metadata);
            store.initiate_upload_with("bench/merge", options)?;
        }
        Ok(())
    });
    filled.map(drop)
}
