//! The bytes on disk: how rows, batches, frames, segments, row files, layers and the marker are encoded and
//! decoded.
//!
//! Pure: this module opens no file. Every integer is big-endian. Encoding asserts that values are within
//! their limits. Decoding checks any bytes and never panics. (docs/design.md, sections 4 and 10 to 12.)

pub(crate) mod cursor;
pub(crate) mod frame;
pub(crate) mod layer;
pub(crate) mod marker;
pub(crate) mod mutation;
pub(crate) mod record;
pub(crate) mod rows;
pub(crate) mod segment;
pub(crate) mod tally;
