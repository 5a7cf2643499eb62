//! The stores, and what each of them has done when it answers.
//!
//! The classes are of the versions that `Cargo.toml` pins: they were read in their sources and seen in
//! the system calls of a run with one part. Each module says where. To move a version is to read again.

mod cacache;
mod floor;
mod iroh_blobs;
mod object_store;
mod partstore;
mod s3s_fs;

use std::path::Path;

use bytes::Bytes;

/// A store that is open in a directory of its own.
pub trait Store: Sync {
    /// Returns when the store says that it has the part.
    fn put(&self, number: u32, part: &Bytes);
}

/// What is on the disk before the answer, such that it survives a loss of power.
#[derive(Clone, Copy, Debug)]
pub enum Class {
    /// Data, their names, and all that the store keeps beside them.
    A,
    /// Data and their names, but not all that is needed to find or to check them.
    B,
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
    pub open: fn(&Path) -> Box<dyn Store>,
}

pub const PEERS: [Peer; 10] = [
    partstore::PUT_PART,
    object_store::FSYNC,
    object_store::DEFAULT,
    s3s_fs::UPLOAD_PART,
    cacache::WRITE,
    iroh_blobs::SYNC_DB,
    iroh_blobs::ADD_BYTES,
    floor::DISK_DIRECT,
    floor::DISK_BUFFERED,
    floor::OBVIOUS,
];

/// Makes the 256 directories that parts are spread over. Most stores make a directory when they first
/// need it; what is measured is a store that has been in use.
fn make_prefixes(dir: &Path) {
    for prefix in 0..=u8::MAX {
        std::fs::create_dir_all(dir.join(format!("{prefix:02x}"))).expect("a directory");
    }
}
