//! [`Told`]: what the store has told since the start. It counts for [`figures`](super::figures) and for the page.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use metrics::{
    Unit, counter, describe_counter, describe_gauge, describe_histogram, gauge, histogram,
};
use parking_lot::Mutex;
use partstore::{BackupReport, Event, Observer, PutKind, Remote, SweepReport, SyncKind};
use serde::Serialize;

use super::figures::float;
use crate::traffic::{Sync, Traffic, unix_seconds};

/// So many lines about damage are kept, the newest ones.
const DAMAGE: usize = 20;

/// Counts what the store tells. Clones count together.
#[derive(Clone)]
pub struct Told {
    traffic: Arc<Traffic>,
    sums: Arc<Sums>,
}

#[derive(Default)]
struct Sums {
    puts: AtomicU64,
    known_puts: AtomicU64,
    saved_bytes: AtomicU64,
    unknown: AtomicU64,
    sweep_micros: AtomicU64,
    checkpoint_micros: AtomicU64,
    merge_micros: AtomicU64,
    backup: Mutex<Option<LastBackup>>,
    damage: Mutex<VecDeque<String>>,
}

/// The last backup that was taken whole.
#[derive(Clone, Serialize)]
struct LastBackup {
    /// Seconds since 1970.
    at: u64,
    took_ms: f64,
    blobs: u64,
    /// Those of them that no earlier backup had brought.
    brought: u64,
}

/// What the page shows of it.
#[derive(Serialize)]
pub(super) struct SinceStart {
    puts: u64,
    known_puts: u64,
    saved_bytes: u64,
    outcomes_unknown: u64,
    /// How long the last one took, milliseconds. 0 for none.
    last_sweep_ms: f64,
    last_checkpoint_ms: f64,
    last_merge_ms: f64,
    last_backup: Option<LastBackup>,
    /// Lines that name what was found.
    damage: Vec<String>,
}

impl Told {
    pub fn new() -> Self {
        Self {
            traffic: Traffic::new(),
            sums: Arc::default(),
        }
    }

    pub(super) fn traffic(&self) -> &Arc<Traffic> {
        &self.traffic
    }

    pub(super) fn since_start(&self) -> SinceStart {
        let of = |sum: &AtomicU64| sum.load(Ordering::Relaxed);
        let ms = |micros: &AtomicU64| float(of(micros)) / 1e3;
        let sums = &self.sums;
        SinceStart {
            puts: of(&sums.puts),
            known_puts: of(&sums.known_puts),
            saved_bytes: of(&sums.saved_bytes),
            outcomes_unknown: of(&sums.unknown),
            last_sweep_ms: ms(&sums.sweep_micros),
            last_checkpoint_ms: ms(&sums.checkpoint_micros),
            last_merge_ms: ms(&sums.merge_micros),
            last_backup: sums.backup.lock().clone(),
            damage: sums.damage.lock().iter().cloned().collect(),
        }
    }

    fn put(&self, bytes: u64, kind: PutKind, took: Duration) {
        self.sums.puts.fetch_add(1, Ordering::Relaxed);
        if kind == PutKind::Known {
            self.sums.known_puts.fetch_add(1, Ordering::Relaxed);
            self.sums.saved_bytes.fetch_add(bytes, Ordering::Relaxed);
        }
        let kind = match kind {
            PutKind::New => "new",
            PutKind::Known => "known",
            PutKind::Repaired => "repaired",
            _ => "other",
        };
        counter!("partstore_put_bytes_total", "bytes" => kind).increment(bytes);
        histogram!("partstore_put_seconds", "bytes" => kind).record(took.as_secs_f64());
    }

    fn group(&self, changes: u64, took: Duration) {
        self.traffic.commits(changes, took);
        histogram!("partstore_group_changes").record(float(changes));
        histogram!("partstore_group_seconds").record(took.as_secs_f64());
    }

    fn sync(&self, kind: SyncKind, took: Duration) {
        let (sync, name) = match kind {
            SyncKind::Journal => (Sync::Journal, "journal"),
            SyncKind::Blob => (Sync::Blob, "blob"),
            SyncKind::Layer => (Sync::Layer, "layer"),
            _ => (Sync::Directory, "directory"),
        };
        self.traffic.syncs(sync, took);
        histogram!("partstore_sync_seconds", "of" => name).record(took.as_secs_f64());
    }

    fn sweep(&self, report: &SweepReport, took: Duration) {
        keep(&self.sums.sweep_micros, took);
        histogram!("partstore_sweep_seconds").record(took.as_secs_f64());
        counter!("partstore_swept_blobs_total").increment(report.blobs + report.orphans);
        counter!("partstore_swept_bytes_total").increment(report.bytes);
    }

    fn backup(&self, report: &BackupReport, took: Duration) {
        histogram!("partstore_backup_seconds").record(took.as_secs_f64());
        counter!("partstore_backup_blobs_total").increment(report.brought.blobs());
        if report.cut_short {
            return;
        }
        let at = unix_seconds(SystemTime::now());
        gauge!("partstore_last_backup_timestamp_seconds").set(float(at));
        *self.sums.backup.lock() = Some(LastBackup {
            at,
            took_ms: took.as_secs_f64() * 1e3,
            blobs: report.blobs,
            brought: report.brought.blobs(),
        });
    }

    fn damage(&self, of: &'static str, line: String) {
        counter!("partstore_damage_found_total", "of" => of).increment(1);
        let mut damage = self.sums.damage.lock();
        if damage.len() == DAMAGE {
            damage.pop_front();
        }
        damage.push_back(line);
    }
}

/// Keeps how long the last one took.
fn keep(micros: &AtomicU64, took: Duration) {
    let took = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
    micros.store(took, Ordering::Relaxed);
}

impl Observer for Told {
    fn event(&self, event: &Event) {
        match event {
            Event::Put {
                bytes, kind, took, ..
            } => self.put(*bytes, *kind, *took),
            Event::Group { changes, took, .. } => self.group(*changes, *took),
            Event::Sync { kind, took, .. } => self.sync(*kind, *took),
            Event::Sweep { report, took, .. } => self.sweep(report, *took),
            Event::Release { parts, .. } => {
                counter!("partstore_released_parts_total").increment(*parts);
            }
            Event::Checkpoint { bytes, took, .. } => {
                keep(&self.sums.checkpoint_micros, *took);
                histogram!("partstore_checkpoint_seconds").record(took.as_secs_f64());
                counter!("partstore_layer_bytes_total", "by" => "checkpoint").increment(*bytes);
            }
            Event::Merge { bytes, took, .. } => {
                keep(&self.sums.merge_micros, *took);
                histogram!("partstore_merge_seconds").record(took.as_secs_f64());
                counter!("partstore_layer_bytes_total", "by" => "merge").increment(*bytes);
            }
            Event::Expiry { uploads, took, .. } => {
                histogram!("partstore_expiry_seconds").record(took.as_secs_f64());
                counter!("partstore_expired_uploads_total").increment(*uploads);
            }
            Event::Backup { report, took, .. } => self.backup(report, *took),
            Event::DamagedBlob { hash, reason, .. } => {
                self.damage("blob", format!("blob {hash}: {reason}"));
            }
            Event::DamagedFile { file, .. } => {
                self.damage("file", format!("{}: {}", file.path.display(), file.reason));
            }
            Event::OutcomeUnknown { .. } => {
                self.sums.unknown.fetch_add(1, Ordering::Relaxed);
                counter!("partstore_outcomes_unknown_total").increment(1);
            }
            Event::Request {
                to,
                bytes,
                answered,
                took,
                ..
            } => {
                let to = match to {
                    Remote::Database => "database",
                    _ => "bucket",
                };
                let answered = if *answered { "yes" } else { "no" };
                histogram!("partstore_remote_seconds", "to" => to, "answered" => answered)
                    .record(took.as_secs_f64());
                counter!("partstore_remote_bytes_total", "to" => to).increment(*bytes);
            }
            // `partstore_stopped` says so.
            _ => {}
        }
    }
}

const COUNTERS: [(&str, Unit, &str); 10] = [
    (
        "partstore_put_bytes_total",
        Unit::Bytes,
        "Bodies that became durable, by what became of their bytes: new, known (stored already) or repaired",
    ),
    (
        "partstore_swept_blobs_total",
        Unit::Count,
        "Blobs that sweeps have removed",
    ),
    (
        "partstore_swept_bytes_total",
        Unit::Bytes,
        "Their sizes, without those that had no row",
    ),
    (
        "partstore_released_parts_total",
        Unit::Count,
        "Parts of ended uploads and objects whose rows were removed",
    ),
    (
        "partstore_layer_bytes_total",
        Unit::Bytes,
        "Layers that checkpoints and merges have written",
    ),
    (
        "partstore_expired_uploads_total",
        Unit::Count,
        "Old uploads that the housekeeping has aborted",
    ),
    (
        "partstore_backup_blobs_total",
        Unit::Count,
        "Blobs that backups have brought",
    ),
    (
        "partstore_damage_found_total",
        Unit::Count,
        "Blobs and files that were found damaged",
    ),
    (
        "partstore_outcomes_unknown_total",
        Unit::Count,
        "Calls of which nobody knows whether they had their effect",
    ),
    (
        "partstore_remote_bytes_total",
        Unit::Bytes,
        "Bytes of bodies that were sent to the bucket",
    ),
];

const TIMES: [(&str, &str); 9] = [
    (
        "partstore_put_seconds",
        "From the last byte of a body until it is durable",
    ),
    (
        "partstore_group_seconds",
        "To write and sync a group of changes",
    ),
    ("partstore_sync_seconds", "Syncs, by what was synced"),
    ("partstore_sweep_seconds", "Sweeps"),
    ("partstore_checkpoint_seconds", "Checkpoints"),
    ("partstore_merge_seconds", "Merges of layers"),
    (
        "partstore_backup_seconds",
        "Backups, also those that were cut short",
    ),
    ("partstore_expiry_seconds", "Searches for old uploads"),
    (
        "partstore_remote_seconds",
        "Requests to the database, and writes to the bucket",
    ),
];

/// Says what the figures are.
pub(super) fn describe() {
    for (name, unit, what) in COUNTERS {
        describe_counter!(name, unit, what);
    }
    for (name, what) in TIMES {
        describe_histogram!(name, Unit::Seconds, what);
    }
    describe_histogram!(
        "partstore_group_changes",
        Unit::Count,
        "How many changes became durable together"
    );
    describe_gauge!(
        "partstore_last_backup_timestamp_seconds",
        Unit::Seconds,
        "The last backup since the start, 0 for none"
    );
    // An alarm cannot see the first step of a figure that begins with it.
    gauge!("partstore_last_backup_timestamp_seconds").set(0.0);
    counter!("partstore_outcomes_unknown_total").absolute(0);
    for of in ["blob", "file"] {
        counter!("partstore_damage_found_total", "of" => of).absolute(0);
    }
}
