//! Layers: immutable files of sorted rows that answer questions. A layer has the rows of some batches, and
//! says of other rows that they were removed in them.
//!
//! The bytes are those of [`format::layer`](crate::local::format::layer). A [`LayerWriter`] writes a layer
//! from front to back, and [`Layer`] reads it. Only the block index and the footer are in memory. Every
//! piece has a seal of its own, so damage spoils the rows of one block.

mod check;
mod left;
mod open;
mod read;
mod scan;
#[cfg(all(test, not(shuttle)))]
mod tests;
mod write;

pub(crate) use left::rows_left;
pub(crate) use read::Layer;
pub(crate) use scan::LayerScan;
pub(crate) use write::LayerWriter;

use std::io;
use std::path::Path;

use crate::local::file::Handle;
use crate::{Error, Result};

/// Reads a piece of a layer's file.
///
/// # Errors
/// [`Error::Damaged`] if the file ends before, or the disk cannot read it. [`Error::Io`].
fn read_at(handle: &Handle, into: &mut [u8], offset: u64) -> Result<()> {
    handle.read_at(into, offset).map_err(|error| match &error {
        Error::Io { source, .. } if source.kind() == io::ErrorKind::UnexpectedEof => {
            damaged(&handle.path(), offset, "the file ends early")
        }
        Error::Io { source, .. } if error.is_of_the_medium() => {
            let reason = format!("it cannot be read: {source}");
            damaged(&handle.path(), offset, &reason)
        }
        _ => error,
    })
}

fn damaged(path: &Path, offset: u64, reason: &str) -> Error {
    Error::Damaged {
        path: path.to_owned(),
        offset,
        reason: reason.to_owned(),
    }
}
