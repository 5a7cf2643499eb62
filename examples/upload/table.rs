//! What is printed at the end.

use std::fmt::Display;
use std::fs;
use std::path::Path;
use std::time::Duration;

use partstore::{IndexRecovery, RecoveryReport};

use crate::show::size;

/// What came out of an upload.
pub struct Outcome {
    pub object: partstore::Object,
    /// Bytes on the disk that the upload added. Bytes that equal stored ones are not counted.
    pub stored_bytes: u64,
    pub put_time: Duration,
    pub read_time: Duration,
    /// The same for the file and for the object.
    pub digest: blake3::Hash,
    /// What the store reported when it was opened again half-way.
    pub recovery: RecoveryReport,
}

impl Outcome {
    pub fn print(&self, store: &Path, fate: &str) {
        let object = &self.object;
        let shared = object.size.saturating_sub(self.stored_bytes);
        println!();
        row("parts", object.parts);
        row("bytes", in_two_units(object.size));
        row("deduplicated", in_two_units(shared));
        row("put, durable", rate(object.size, self.put_time));
        row("read, verified", rate(object.size, self.read_time));
        row("ETag", object.etag.quoted());
        row("BLAKE3", format_args!("{} (file = object)", self.digest));
        row("reopened", reopened(&self.recovery));
        row("store", format_args!("{} ({fate})", store.display()));
        row("file system", file_system(store));
    }
}

fn row(name: &str, value: impl Display) {
    println!("{name:<15} {value}");
}

fn in_two_units(bytes: u64) -> String {
    format!("{} ({})", in_thousands(bytes), size(bytes))
}

/// `1,048,576`
fn in_thousands(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Bytes a microsecond are MB a second.
fn rate(bytes: u64, time: Duration) -> String {
    let rate = u128::from(bytes) / time.as_micros().max(1);
    format!("{rate} MB/s ({time:.2?})")
}

fn reopened(recovery: &RecoveryReport) -> String {
    let took = recovery.elapsed;
    match &recovery.index {
        IndexRecovery::Trusted => format!("index trusted, in {took:.1?}"),
        IndexRecovery::Rebuilt { reason } => {
            format!("index rebuilt, in {took:.1?}, because {reason}")
        }
        _ => format!("in {took:.1?}"),
    }
}

/// The kind of file system that holds `path`, by the mount point with the longest name.
fn file_system(path: &Path) -> String {
    let mounts = fs::read_to_string("/proc/self/mounts").unwrap_or_default();
    let kind = fs::canonicalize(path).ok().and_then(|path| {
        let points = mounts.lines().filter_map(|line| {
            let mut fields = line.split(' ').skip(1);
            Some((fields.next()?, fields.next()?))
        });
        points
            .filter(|(point, _)| path.starts_with(point))
            // Of two mounts on one point, the later one hides the other.
            .max_by_key(|(point, _)| point.len())
            .map(|(_, kind)| kind.to_owned())
    });
    kind.unwrap_or_else(|| "unknown".to_owned())
}
