//! What every store is measured by: the floors of `bench_ingest`.

use bytes::Bytes;

use super::{Class, Peer, Store};
use crate::floors::{Disk, Obvious};

pub const DISK_DIRECT: Peer = Peer {
    name: "floor: `disk`, `O_DIRECT`",
    class: Class::A,
    durable: "data, name, a line of a log",
    hashes: "none",
    is_disk: true,
    open: |dir| Box::new(Disk::new(dir, true)),
};

pub const DISK_BUFFERED: Peer = Peer {
    name: "floor: `disk`, page cache",
    class: Class::A,
    durable: "data, name, a line of a log",
    hashes: "none",
    is_disk: true,
    open: |dir| Box::new(Disk::new(dir, false)),
};

/// `publish` syncs the file and its directory; sled flushes the row within its default 500 ms.
pub const OBVIOUS: Peer = Peer {
    name: "floor: `obvious`",
    class: Class::B,
    durable: "data, name; the row within 500 ms",
    hashes: "MD5, BLAKE3, CRC-32",
    is_disk: false,
    open: |dir| Box::new(Obvious::new(dir)),
};

impl Store for Disk {
    fn put(&self, _number: u32, part: &Bytes) {
        Self::put(self, part);
    }
}

impl Store for Obvious {
    fn put(&self, _number: u32, part: &Bytes) {
        Self::put(self, part);
    }
}
