//! An observer is told what a store does, as it happens: for metrics and alarms.
//!
//! ```sh
//! cargo run --example observe
//! ```

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use partstore::{Event, Options, PartNumber, PutKind, SyncKind};

#[derive(Default)]
struct Counters {
    puts: AtomicU64,
    saved_bytes: AtomicU64,
    groups: AtomicU64,
    journal_micros: AtomicU64,
}

impl Counters {
    /// It is called on the threads of the store, so it only counts.
    fn note(&self, event: &Event) {
        match event {
            Event::Put { bytes, kind, .. } => {
                self.puts.fetch_add(1, Relaxed);
                if *kind == PutKind::Known {
                    self.saved_bytes.fetch_add(*bytes, Relaxed);
                }
            }
            Event::Group { .. } => _ = self.groups.fetch_add(1, Relaxed),
            Event::Sync { kind, took, .. } if *kind == SyncKind::Journal => {
                let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
                self.journal_micros.fetch_add(micros, Relaxed);
            }
            Event::DamagedBlob { hash, reason, .. } => eprintln!("blob {hash}: {reason}"),
            Event::Stopped { cause, .. } => eprintln!("the store has stopped: {cause}"),
            // Variants may be added.
            _ => {}
        }
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let dir = tempfile::tempdir()?;
    let counters = Arc::new(Counters::default());
    let told = Arc::clone(&counters);
    let store = Options::cos()
        .observer(move |event: &Event| told.note(event))
        .open(dir.path().join("data"))?;

    let upload = store.initiate_upload("bucket/video.mp4")?;
    for number in 1..=3 {
        // The same bytes each time: they are stored once.
        store.put_part(&upload, PartNumber::new(number)?, vec![7; 1 << 20])?;
    }
    let [puts, saved, groups, micros] = [
        &counters.puts,
        &counters.saved_bytes,
        &counters.groups,
        &counters.journal_micros,
    ]
    .map(|counter| counter.load(Relaxed));
    println!(
        "{puts} puts, {saved} bytes of them were stored already; {groups} groups, {micros} us in syncs"
    );
    assert_eq!((puts, saved), (3, 2 << 20));
    store.close()?;
    Ok(())
}
