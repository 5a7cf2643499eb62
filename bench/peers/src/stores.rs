//! The stores, and what each of them has done when it answers.
//!
//! The classes are of the versions that `Cargo.toml` pins: they were read in their sources and seen in
//! the system calls of a run with one part. Each module says where. To move a version is to read again.

mod cacache;
mod iroh_blobs;
mod object_store;
mod s3s_fs;

use std::path::Path;

use partstore_bench::floors::{Disk, Obvious, Writes};
use partstore_bench::{Way, store};

/// What is on the disk before the answer, such that it survives a loss of power.
#[derive(Clone, Copy, Debug)]
pub enum Class {
    /// Data, their names, and all that the store keeps beside them.
    A,
    /// What the store keeps beside the data, but not the data.
    C,
    /// Nothing: all is left to the kernel, or to a later commit.
    D,
}

pub struct Peer {
    pub name: &'static str,
    pub class: Class,
    /// The class in words.
    pub durable: &'static str,
    pub hashes: &'static str,
    /// One of the floors that others are measured by.
    pub is_disk: bool,
    pub way: Way,
}

/// All of them: partstore, the others, the floors.
pub fn all() -> [Peer; 10] {
    [
        partstore(),
        object_store::fsync(),
        object_store::default(),
        s3s_fs::upload_part(),
        cacache::write(),
        iroh_blobs::sync_db(),
        iroh_blobs::add_bytes(),
        disk("floor: `disk`, `O_DIRECT`", Writes::Direct),
        disk("floor: `disk`, page cache", Writes::Buffered),
        obvious(),
    ]
}

/// `put_part` answers when the blob's file and its directory are synced and the journal's line is.
fn partstore() -> Peer {
    Peer {
        name: "**partstore** `put_part`",
        class: Class::A,
        durable: "data, name, part's row",
        hashes: "MD5, BLAKE3, CRC-32, CRC-64",
        is_disk: false,
        way: store::put(),
    }
}

fn disk(name: &'static str, writes: Writes) -> Peer {
    Peer {
        name,
        class: Class::A,
        durable: "data, name, a line of a log",
        hashes: "none",
        is_disk: true,
        way: Disk::way(writes),
    }
}

fn obvious() -> Peer {
    Peer {
        name: "floor: `obvious`",
        class: Class::A,
        durable: "data, name, a line of a log",
        hashes: "MD5, BLAKE3, CRC-32, CRC-64",
        is_disk: false,
        way: Obvious::way(),
    }
}

/// Makes the 256 directories that parts are spread over. Most stores make a directory when they first
/// need it; what is measured is a store that has been in use.
fn make_prefixes(dir: &Path) {
    for prefix in 0..=u8::MAX {
        std::fs::create_dir_all(dir.join(format!("{prefix:02x}"))).expect("a directory");
    }
}
