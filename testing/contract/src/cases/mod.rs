//! The cases, by what they are about.

pub mod abort;
pub mod bad_input;
pub mod checksums;
pub mod complete;
pub mod concurrency;
pub mod copy;
pub mod dedup;
pub mod expire;
pub mod ingest;
pub mod keys;
pub mod lifecycle;
pub mod list_keys;
pub mod list_parts;
pub mod list_uploads;
pub mod model;
pub mod namespaces;
pub mod put;
pub mod read;
pub mod rename;
pub mod replace;
pub mod sweep;
pub mod verify;
