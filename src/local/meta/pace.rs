//! How a layer is made beside calls that clients wait for: in pieces, with a rest behind each.

use std::thread::sleep;
use std::time::{Duration, Instant};

use super::layer::LayerWriter;
use crate::Result;

/// A piece, bytes. Its sync is what a call may have to wait for.
const PIECE: u64 = 256 * 1024;
/// A rest is so many times as long as it took to make the piece. So a ninth of a processor and of the disk
/// is used.
const REST: u32 = 8;
/// A rest is no longer than this. A store that is being closed waits for it.
const MOST: Duration = Duration::from_millis(100);

/// The pace at which a layer is made.
pub(crate) struct Pace {
    rests: bool,
    /// Bytes of the piece that is being read.
    read: u64,
    /// Bytes of the layer that are synced.
    synced: u64,
    /// When the piece was begun.
    began: Instant,
}

impl Pace {
    /// For work that nobody waits for.
    pub(crate) fn steady() -> Self {
        Self {
            rests: true,
            read: 0,
            synced: 0,
            began: Instant::now(),
        }
    }

    /// For work that somebody waits for, such as a close, or puts that need the room. It never rests.
    pub(crate) fn hurried() -> Self {
        Self {
            rests: false,
            ..Self::steady()
        }
    }

    /// Notes that so many bytes were read, and rests behind a piece. Work that is `behind` does not rest.
    pub(super) fn note_read(&mut self, bytes: usize, behind: impl FnOnce() -> bool) {
        self.read += bytes as u64;
        if self.read >= PIECE {
            self.end_piece(behind());
        }
    }

    /// Syncs a piece if one is written, and rests. Says whether it did. One sync of all pieces would keep
    /// others waiting. Work that is `behind` does not rest.
    ///
    /// # Errors
    /// [`Error::Io`](crate::Error::Io).
    pub(super) fn keep(
        &mut self,
        writer: &LayerWriter,
        behind: impl FnOnce() -> bool,
    ) -> Result<bool> {
        if writer.written() < self.synced + PIECE {
            return Ok(false);
        }
        writer.sync_written()?;
        self.synced = writer.written();
        self.end_piece(behind());
        Ok(true)
    }

    fn end_piece(&mut self, behind: bool) {
        if self.rests && !behind {
            sleep(MOST.min(self.began.elapsed() * REST));
        }
        (self.read, self.began) = (0, Instant::now());
    }
}
