//! `cacache`: content under its hash, and an index of keys.
//!
//! In 13.1.0, `Writer::close` of `src/content/write.rs` renames the temporary file, and `insert` of
//! `src/index.rs` appends the key to a file of its bucket and flushes the writer. Nothing in the crate
//! calls a sync.

use std::path::{Path, PathBuf};

use bytes::Bytes;
use partstore_bench::{Taker, Way};

use super::{Class, Peer};

pub fn write() -> Peer {
    Peer {
        name: "cacache 13.1.0 `write_sync`",
        class: Class::D,
        durable: "nothing",
        hashes: "SHA-256",
        is_disk: false,
        way: Way::new(|dir, _| Cache::open(dir)),
    }
}

struct Cache(PathBuf);

impl Cache {
    fn open(dir: &Path) -> Self {
        Self(dir.to_owned())
    }
}

impl Taker for Cache {
    /// The call that blocks: the async one copies the body once more and does the same on another thread.
    fn take(&self, number: u32, part: &Bytes) {
        cacache::write_sync(&self.0, number.to_string(), part).expect("a part");
    }
}
