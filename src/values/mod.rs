//! What callers give and get: names, numbers, digests, options, pages, reports and errors. No I/O.
//!
//! They know each other: an error names a part number, and parsing a part number gives an error. So they
//! are one layer.

pub(crate) mod backup;
pub(crate) mod blocks;
pub(crate) mod checksum;
pub(crate) mod combine;
pub(crate) mod crc;
pub(crate) mod digest;
pub(crate) mod error;
pub(crate) mod export;
pub(crate) mod hasher;
pub(crate) mod id;
pub(crate) mod key;
pub(crate) mod listing;
pub(crate) mod namespace;
pub(crate) mod object;
pub(crate) mod observer;
pub(crate) mod options;
pub(crate) mod part;
pub(crate) mod report;
pub(crate) mod request;
