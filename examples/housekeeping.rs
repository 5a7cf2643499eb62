//! Housekeeping frees space and expires old uploads. The store's own thread does it, or, as here, the host. `verify`
//! checks the whole store.
//!
//! ```sh
//! cargo run --example housekeeping
//! ```

use std::ops::ControlFlow;
use std::time::Duration;

use partstore::{Background, Options, PartNumber, Scope};

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let dir = tempfile::tempdir()?;
    let store = Options::cos()
        .background(Background::Host) // no thread: the host calls `maintain`
        .expire_uploads_after(7 * DAY)
        .open(dir.path().join("data"))?;

    let kept = store.initiate_upload("kept")?;
    let aborted = store.initiate_upload("aborted")?;
    store.put_part(&kept, PartNumber::MIN, "bytes of both")?;
    store.put_part(&aborted, PartNumber::new(1)?, "bytes of both")?;
    store.put_part(&aborted, PartNumber::new(2)?, "bytes of one")?;
    store.abort_upload(&aborted)?;

    let before = store.stats()?;
    println!(
        "{} blobs, {} for the sweep to look at",
        before.blobs, before.garbage
    );

    // Call it once a minute or so. It expires uploads, removes what nothing refers to, and shortens the journal.
    let done = store.maintain()?;
    println!(
        "expired {} uploads; removed {} blobs, {} bytes",
        done.expired, done.sweep.blobs, done.sweep.bytes
    );
    assert_eq!(store.stats()?.blobs, 1);

    // Call it once a week or so. It reads every byte, and the callback can stop it.
    let report = store.verify_with(Scope::Everything, |progress| {
        println!("verified {} of {}", progress.done, progress.total);
        ControlFlow::Continue(())
    })?;
    assert!(report.is_clean(), "{report:?}");

    // Figures for a server's metrics. `stopped` says why a store takes no changes until it is opened again.
    let stats = store.stats()?;
    println!(
        "{} uploads, {} parts, {} bytes in blobs, {} bytes of journal, stopped: {:?}",
        stats.open_uploads, stats.parts, stats.blob_bytes, stats.journal_bytes, stats.stopped
    );
    store.close()?;
    Ok(())
}
