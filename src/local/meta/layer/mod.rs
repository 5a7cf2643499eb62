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

pub(crate) use left::{Left, rows_left};
pub(crate) use read::Layer;
pub(crate) use scan::LayerScan;
pub(crate) use write::LayerWriter;

use std::path::Path;

use crate::Error;

fn damaged(path: &Path, offset: u64, reason: &str) -> Error {
    Error::Damaged {
        path: path.to_owned(),
        offset,
        reason: reason.to_owned(),
    }
}
