//! What it takes to end an upload or an object of 10,000 parts, and what its neighbours notice of that.

use std::path::Path;
use std::time::Duration;

use partstore::{Background, PartNumber, PartStore, Result, Upload};

use super::Report;
use super::beside::{Beside, beside, took};
use super::many::{all_parts, fill, options};

/// Uploads and objects that are ended, in turn.
const ROUNDS: u32 = 4;
const SAME: &[u8] = b"the same bytes";
/// How long the neighbour puts alone.
const ALONE: Duration = Duration::from_secs(2);

/// `abort_upload` and `remove_object` beside `initiate_upload`, which is one sync. In the meantime, and while
/// a sweep releases the parts, another upload on the same stripe gets parts.
pub fn end(base: &Path, report: &Report) -> Result<()> {
    let dir = tempfile::tempdir_in(base).expect("a directory");
    let options = options().background(Background::Host);
    let store = options.open(dir.path().join("data"))?;
    for round in 0..ROUNDS {
        let upload = store.initiate_upload("bench/end")?;
        fill(&store, &upload, round)?;
        let call = if round.is_multiple_of(2) {
            "abort_upload"
        } else {
            let list = all_parts(&store, &upload)?;
            store.complete_upload(&upload, &list)?;
            "remove_object"
        };
        let neighbour = neighbour(&store, &upload)?;
        let number = PartNumber::new(1)?;
        store.put_part(&neighbour, number, SAME)?;
        // The same part again and again.
        let put = |_| store.put_part(&neighbour, number, SAME).map(drop);
        let floor = took(|| store.initiate_upload("bench/floor").map(drop))?;
        let alone = beside(put, || {
            std::thread::sleep(ALONE);
            Ok(())
        })?;
        let say = |what: &str, beside: &Beside| {
            report.say(
                &format!("{what}, 10,000 parts"),
                format!("{:.1} ms", beside.took.as_secs_f64() * 1e3),
                format!("a put: {}; alone {}", beside.puts(), alone.puts()),
            );
        };
        let ended = beside(put, || {
            if call == "abort_upload" {
                store.abort_upload(&upload)
            } else {
                store.remove_object(&upload)
            }
        })?;
        say(call, &ended);
        say(
            "the sweep after it",
            &beside(put, || store.sweep().map(drop))?,
        );
        report.say(
            "`initiate_upload` alone",
            format!("{:.1} ms", floor.as_secs_f64() * 1e3),
            String::new(),
        );
    }
    store.close()
}

/// An upload that shares its lock with this one.
fn neighbour(store: &PartStore, upload: &Upload) -> Result<Upload> {
    let stripe = |of: &Upload| of.id().to_bytes().last().copied();
    loop {
        let other = store.initiate_upload("bench/neighbour")?;
        if stripe(&other) == stripe(upload) {
            return Ok(other);
        }
    }
}
