//! [`Window`]: a part of a damaged file in memory, for whoever looks for what is left of it.

use crate::Result;
use crate::local::file::{self, Handle};

/// Bytes of the file in memory.
const WINDOW: usize = 1024 * 1024;

/// A part of the file in memory. Bytes that the disk refuses are zeros.
pub(super) struct Window {
    handle: Handle,
    /// Bytes of the file.
    pub len: u64,
    /// The place in the file of the bytes in memory.
    from: u64,
    bytes: Vec<u8>,
}

impl Window {
    pub(super) fn over(handle: Handle) -> Result<Self> {
        Ok(Self {
            len: handle.len()?,
            handle,
            from: 0,
            bytes: Vec::new(),
        })
    }

    /// The bytes between two places. `None` if the file has not all of them.
    pub(super) fn slice(&mut self, from: u64, to: u64) -> Option<&[u8]> {
        if from > to || to > self.len {
            return None;
        }
        if from < self.from || to > self.from + self.bytes.len() as u64 {
            let left = usize::try_from(self.len - from).unwrap_or(WINDOW);
            self.bytes.resize(left.min(WINDOW), 0);
            self.from = from;
            file::read_what_reads(&self.handle, &mut self.bytes, from);
        }
        let start = usize::try_from(from - self.from).ok()?;
        let len = usize::try_from(to - from).ok()?;
        self.bytes.get(start..start + len)
    }
}
