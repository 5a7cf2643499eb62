//! [`Verified`]: what a verify has found.

use std::collections::BTreeMap;
use std::time::Duration;

use partstore::{DamagedBlob, VerifyReport};
use serde_json::{Value, json};

use crate::damaged_file;

/// What a verify has found, maybe in several runs of which each goes on behind the one before. A blob that is found damaged
/// again counts once.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Verified {
    /// Parts that were checked.
    pub parts: u64,
    /// Blobs that were checked.
    pub blobs: u64,
    /// Bytes that were read of them.
    pub bytes: u64,
    /// Damaged blobs, by the text of their hash.
    pub damaged: BTreeMap<String, Value>,
    /// Damaged files of the journal and of the layers.
    pub files: Vec<Value>,
    /// Records that contradict each other.
    pub inconsistent: Vec<String>,
}

impl Verified {
    /// Adds what a run has found.
    pub fn add(&mut self, report: &VerifyReport) {
        self.parts += report.parts;
        self.blobs += report.blobs;
        self.bytes += report.bytes;
        let damaged = report.damaged.iter();
        self.damaged
            .extend(damaged.map(|blob| (blob.hash.to_string(), damaged_blob(blob))));
        self.files.extend(report.files.iter().map(damaged_file));
        self.inconsistent.extend_from_slice(&report.inconsistent);
    }

    /// Whether nothing was found.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        self.damaged.is_empty() && self.files.is_empty() && self.inconsistent.is_empty()
    }

    /// The report. `cut_short` says that not everything was checked.
    #[must_use]
    pub fn as_json(&self, cut_short: bool) -> Value {
        json!({
            "clean": self.is_clean() && !cut_short,
            "cut_short": cut_short,
            "parts": self.parts,
            "blobs": self.blobs,
            "bytes": self.bytes,
            "damaged_blobs": self.damaged.values().collect::<Vec<_>>(),
            "damaged_files": self.files,
            "inconsistent": self.inconsistent,
        })
    }

    /// What such a report says. `None` if it is something else.
    #[must_use]
    pub fn of_json(report: &Value) -> Option<Self> {
        let number = |field: &str| report[field].as_u64();
        let blobs = report["damaged_blobs"].as_array()?.iter();
        let blobs = blobs.map(|blob| Some((blob["hash"].as_str()?.to_owned(), blob.clone())));
        let texts = report["inconsistent"].as_array()?.iter();
        let texts = texts.map(|text| text.as_str().map(str::to_owned));
        Some(Self {
            parts: number("parts")?,
            blobs: number("blobs")?,
            bytes: number("bytes")?,
            damaged: blobs.collect::<Option<_>>()?,
            files: report["damaged_files"].as_array()?.clone(),
            inconsistent: texts.collect::<Option<_>>()?,
        })
    }
}

/// How long a verify that has read so many bytes in this time must wait, to read at most `rate` bytes a second.
#[must_use]
pub fn pause(done: u64, rate: u64, elapsed: Duration) -> Duration {
    let earliest = u128::from(done) * 1_000_000 / u128::from(rate.max(1));
    let early = earliest.saturating_sub(elapsed.as_micros());
    Duration::from_micros(u64::try_from(early).unwrap_or(u64::MAX))
}

fn damaged_blob(blob: &DamagedBlob) -> Value {
    let parts = blob.parts.iter().map(|(upload, number)| {
        json!({ "namespace": upload.namespace(), "key": upload.key(), "id": upload.id().to_string(),
            "part": number.get() })
    });
    json!({ "hash": blob.hash.to_string(), "reason": blob.reason, "parts": parts.collect::<Vec<_>>() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_verify_waits_as_long_as_its_rate_asks_however_slow_that_is() {
        let second = Duration::from_secs(1);
        assert_eq!(pause(1 << 20, 1 << 20, Duration::ZERO), second);
        assert_eq!(pause(10 << 20, 1 << 20, second), 9 * second);
        assert_eq!(pause(1 << 20, 1, second), ((1 << 20) - 1) * second);
        assert_eq!(pause(1 << 20, 1 << 20, 2 * second), Duration::ZERO);
        assert_eq!(pause(0, 1, Duration::ZERO), Duration::ZERO);
        assert!(pause(u64::MAX, 1, Duration::ZERO) > 1000 * second);
    }
}
