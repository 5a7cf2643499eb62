//! [`Carried`]: which bodies the journal carries, and how many bytes of them it has.
//!
//! A small body becomes durable with its batch, by the one sync that a whole group shares. Its file is written and
//! not synced. Before a layer takes the place of the journal, [the files are synced](super::checkpoint).

use std::sync::atomic::{AtomicU64, Ordering};

use crate::values::options::JournalOptions;

/// The longest body that the journal carries, bytes. It is written twice, which costs more than the syncs that it
/// saves when it is long.
const LONGEST: u64 = 64 * 1024;
/// Of a segment, a body takes at most this part.
const PART_OF_SEGMENT: u64 = 4;
/// So many segments of bodies make a checkpoint due.
const DUE_AT: u64 = 6;
/// So many segments of bodies may wait for one. Further bodies are synced one by one.
const MOST: u64 = 14;

pub(crate) struct Carried {
    segment_len: u64,
    /// Bytes of bodies since the last checkpoint.
    bytes: AtomicU64,
}

impl Carried {
    /// `found` is what the journal has when it is opened, bytes.
    pub(super) fn new(options: &JournalOptions, found: u64) -> Self {
        Self {
            segment_len: options.segment_len,
            bytes: AtomicU64::new(found),
        }
    }

    /// Whether the journal carries a body of so many bytes now.
    pub(crate) fn takes(&self, len: u64) -> bool {
        let fits = len <= LONGEST.min(self.segment_len / PART_OF_SEGMENT);
        fits && self.bytes() + len <= MOST * self.segment_len
    }

    /// Whether a checkpoint is due, so that the journal stays short.
    pub(super) fn is_much(&self) -> bool {
        self.bytes() > DUE_AT * self.segment_len
    }

    fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    pub(super) fn add(&self, bytes: u64) {
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    pub(super) fn subtract(&self, bytes: u64) {
        self.bytes.fetch_sub(bytes, Ordering::Relaxed);
    }

    /// A checkpoint takes what there is so far.
    pub(super) fn take(&self) -> u64 {
        self.bytes.swap(0, Ordering::Relaxed)
    }
}
