//! The bytes on disk: how rows, batches, frames, segments, row files and the marker are written and read.
//!
//! Pure: no file is opened here. Every integer is big-endian. What is written is asserted to be within its
//! limits. What is read is checked, whatever it holds: nothing panics. (docs/design.md, sections 4 and 10 to 12.)

pub(crate) mod cursor;
pub(crate) mod frame;
pub(crate) mod marker;
pub(crate) mod mutation;
pub(crate) mod record;
pub(crate) mod rows;
pub(crate) mod segment;
pub(crate) mod tally;
