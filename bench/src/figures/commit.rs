//! The commit of a small batch, which is one write and one sync of the journal.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::time::Instant;

use partstore::{PartStore, Result, UploadOptions};
use partstore_bench::median;

use super::Report;

const COMMITS: u32 = 4000;
/// Metadata of an upload, bytes: batches of some 300 and of some 3,000 bytes.
const METADATA: [usize; 2] = [0, 2700];
const BLOCK: usize = 4096;

/// `initiate_upload` beside the floor: 4 KiB that exist are overwritten and synced.
pub fn commit(base: &Path, report: &Report) -> Result<()> {
    for metadata in METADATA {
        let dir = tempfile::tempdir_in(base).expect("a directory");
        let store = PartStore::open(dir.path().join("data"))?;
        let floor = Floor::new(dir.path());
        let (mut ours, mut floors) = (Vec::new(), Vec::new());
        for _ in 0..COMMITS {
            let options = UploadOptions::default().metadata(vec![b'm'; metadata]);
            let started = Instant::now();
            store.initiate_upload_with("bench/commit", options)?;
            ours.push(started.elapsed().as_secs_f64());
            let started = Instant::now();
            floor.overwrite();
            floors.push(started.elapsed().as_secs_f64());
        }
        let say = |times: &[f64]| {
            let (median, mean) = (median(times.to_vec()), mean(times));
            format!("median {:.0} µs, mean {:.0}", median * 1e6, mean * 1e6)
        };
        let times = mean(&ours) / mean(&floors);
        report.say(
            &format!("`initiate_upload`, {metadata} bytes of metadata"),
            say(&ours),
            format!("overwrite: {}; × {times:.2}", say(&floors)),
        );
    }
    Ok(())
}

/// A file whose bytes exist.
struct Floor(File);

impl Floor {
    fn new(dir: &Path) -> Self {
        let file = File::create_new(dir.join("floor")).expect("a file");
        file.write_all_at(&[0; BLOCK], 0).expect("write");
        file.sync_all().expect("sync");
        Self(file)
    }

    fn overwrite(&self) {
        self.0.write_all_at(&[1; BLOCK], 0).expect("write");
        self.0.sync_data().expect("sync");
    }
}

fn mean(times: &[f64]) -> f64 {
    times.iter().sum::<f64>() / f64::from(u32::try_from(times.len()).unwrap_or(1))
}
