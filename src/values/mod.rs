//! What callers give and get: names, numbers, digests, options, pages, reports and errors. No I/O.
//!
//! They know each other: an error names a part number, and parsing a part number gives an error. So they
//! are one layer.

pub(crate) mod crc64;
pub(crate) mod digest;
pub(crate) mod error;
pub(crate) mod id;
pub(crate) mod listing;
pub(crate) mod object;
pub(crate) mod options;
pub(crate) mod part;
pub(crate) mod report;
