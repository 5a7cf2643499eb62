//! How a large file is written beside calls that clients wait for: in pieces, with a rest behind each.

use std::thread::sleep;
use std::time::{Duration, Instant};

use super::layer::LayerWriter;
use crate::Result;

/// A piece, bytes. Its sync is what a call may have to wait for.
const PIECE: u64 = 1024 * 1024;
/// A rest is so many times as long as it took to make the piece. So a quarter of a processor and of the disk
/// is used.
const REST: u32 = 3;
/// A rest is no longer than this. A store that is being closed waits for it.
const MOST: Duration = Duration::from_millis(100);

/// The pace at which a layer is written.
pub(super) struct Pace {
    synced: u64,
    began: Instant,
}

impl Pace {
    pub(super) fn begin() -> Self {
        Self {
            synced: 0,
            began: Instant::now(),
        }
    }

    /// Syncs a piece if one is written, and rests. Says whether it did. One sync of all pieces would keep
    /// others waiting.
    ///
    /// # Errors
    /// [`Error::Io`](crate::Error::Io).
    pub(super) fn keep(&mut self, writer: &LayerWriter) -> Result<bool> {
        if writer.written() < self.synced + PIECE {
            return Ok(false);
        }
        writer.sync_written()?;
        sleep(MOST.min(self.began.elapsed() * REST));
        *self = Self {
            synced: writer.written(),
            began: Instant::now(),
        };
        Ok(true)
    }
}
