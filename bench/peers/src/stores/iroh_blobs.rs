//! `iroh-blobs`' `FsStore`: blobs under their BLAKE3 hash, and a redb of what is there.
//!
//! In 0.104.0, `get_import_source` of `src/store/fs/import.rs` writes a temporary file, `compute_outboard`
//! reads it again to hash it, and `finish_import_impl` of `src/store/fs.rs` renames it. None of them syncs;
//! `sync_all` is for blobs that are incomplete. `run_inner` of `src/store/fs/meta.rs` answers from within
//! a transaction, which it commits up to 500 ms later, or when `sync_db` asks.

use std::path::Path;

use bytes::Bytes;
use iroh_blobs::store::fs::FsStore;
use partstore_bench::{Taker, Way};
use tokio::runtime::Runtime;

use super::{Class, Peer};

pub fn add_bytes() -> Peer {
    Peer {
        name: "iroh-blobs 0.104.0 `FsStore`, `add_bytes`",
        class: Class::D,
        durable: "nothing; the row within 500 ms",
        hashes: "BLAKE3 tree",
        is_disk: false,
        way: Way::new(|dir, _| Blobs::open(dir, false)),
    }
}

pub fn sync_db() -> Peer {
    Peer {
        name: "iroh-blobs 0.104.0 `FsStore`, `add_bytes`, `sync_db`",
        class: Class::C,
        durable: "the row, not the data",
        hashes: "BLAKE3 tree",
        is_disk: false,
        way: Way::new(|dir, _| Blobs::open(dir, true)),
    }
}

struct Blobs {
    store: FsStore,
    sync: bool,
    runtime: Runtime,
}

impl Blobs {
    fn open(dir: &Path, sync: bool) -> Self {
        let runtime = Runtime::new().expect("a runtime");
        let store = runtime.block_on(FsStore::load(dir)).expect("a store");
        Self {
            store,
            sync,
            runtime,
        }
    }
}

impl Taker for Blobs {
    /// The store works on a runtime of its own; the thread that asks only waits. The tag is what keeps a
    /// blob from being collected.
    fn take(&self, number: u32, part: &Bytes) {
        let put = async {
            let added = self.store.add_bytes(part.clone());
            added.with_named_tag(number.to_string()).await?;
            if self.sync {
                self.store.sync_db().await?;
            }
            Ok::<_, iroh_blobs::api::RequestError>(())
        };
        self.runtime.block_on(put).expect("a part");
    }
}

impl Drop for Blobs {
    /// Else the store would write on while its directory is removed.
    fn drop(&mut self) {
        let closed = self.runtime.block_on(self.store.shutdown());
        closed.expect("the store closes");
    }
}
