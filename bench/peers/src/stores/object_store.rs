//! `object_store`'s `LocalFileSystem`: a file for each object.
//!
//! In 0.14.2, `put_opts` of `src/local.rs` writes to a file beside the place and renames it. `with_fsync`
//! has `sync_and_close` sync the file before that, and `rename` the directory afterwards. There is no
//! metadata beside the file's own: its `ETag` is of inode, time and length (`get_etag`), no hash.

use std::path::Path;

use bytes::Bytes;
use futures::executor::block_on;
use object_store::local::LocalFileSystem;
use object_store::{ObjectStoreExt, path};
use partstore_bench::{Taker, Way};

use super::{Class, Peer, make_prefixes};

pub fn fsync() -> Peer {
    Peer {
        name: "object_store 0.14.2 `LocalFileSystem`, `with_fsync(true)`",
        class: Class::A,
        durable: "data, name; there is no more",
        hashes: "none",
        is_disk: false,
        way: Way::new(|dir, _| Files::open(dir, true)),
    }
}

pub fn default() -> Peer {
    Peer {
        name: "object_store 0.14.2 `LocalFileSystem`",
        class: Class::D,
        durable: "nothing",
        hashes: "none",
        is_disk: false,
        way: Way::new(|dir, _| Files::open(dir, false)),
    }
}

struct Files(LocalFileSystem);

impl Files {
    fn open(dir: &Path, fsync: bool) -> Self {
        make_prefixes(dir);
        let files = LocalFileSystem::new_with_prefix(dir).expect("a store");
        Self(files.with_fsync(fsync))
    }
}

impl Taker for Files {
    /// Without a runtime the store does its work on the thread that asks (`maybe_spawn_blocking` of
    /// `src/util.rs`), which saves it a hop to another and back.
    fn take(&self, number: u32, part: &Bytes) {
        let place = path::Path::from(format!("{:02x}/{number}", number % 256));
        block_on(self.0.put(&place, part.clone().into())).expect("a part");
    }
}
