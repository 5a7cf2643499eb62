//! All tests of the crate's behaviour, as one binary.

mod abort;
mod background;
mod bad_input;
mod complete;
mod concurrency;
mod damage;
mod dedup;
mod directory;
mod expire;
mod fixture;
mod format;
mod full_disk;
mod index_trust;
mod journal;
mod journal_segments;
mod lifecycle;
mod list_parts;
mod list_uploads;
mod model;
mod put;
mod read;
mod recovery;
mod seen;
mod snapshots;
mod stopped;
mod sweep;
