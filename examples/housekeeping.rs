//! Space comes back, old uploads end, and the store is looked over: by the store's own thread, or, as here, when the
//! host says so.
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
        .background(Background::Host) // no thread of its own: `maintain` does what it would do
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

    // Once a minute or so. It expires uploads, removes what nobody refers to, and shortens the journal.
    let done = store.maintain()?;
    println!(
        "expired {} uploads; removed {} blobs, {} bytes",
        done.expired, done.sweep.blobs, done.sweep.bytes
    );
    assert_eq!(store.stats()?.blobs, 1);

    // Once a week or so. It reads every byte; the callback can stop it.
    let report = store.verify_with(Scope::Everything, |progress| {
        println!("verified {} of {}", progress.done, progress.total);
        ControlFlow::Continue(())
    })?;
    assert!(report.is_clean(), "{report:?}");

    // What a server's metrics want to know. `stopped` says why a store takes no changes until it is reopened.
    let stats = store.stats()?;
    println!(
        "{} uploads, {} parts, {} bytes in blobs, {} bytes of journal, stopped: {:?}",
        stats.open_uploads, stats.parts, stats.blob_bytes, stats.journal_bytes, stats.stopped
    );
    store.close()?;
    Ok(())
}
