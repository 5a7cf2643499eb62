//! This crate. `put_part` answers when the blob's file and its directory are synced and the journal's
//! line is.

use std::path::Path;

use bytes::Bytes;
use partstore::{Background, Options, PartNumber, PartStore, Upload};

use super::{Class, Peer, Store};
use crate::settled::settle_in;

pub const PUT_PART: Peer = Peer {
    name: "**partstore** `put_part`",
    class: Class::A,
    durable: "data, name, part's row",
    hashes: "MD5, BLAKE3, CRC-32, CRC-64",
    is_disk: false,
    open: |dir| Box::new(Parts::open(dir)),
};

struct Parts {
    store: PartStore,
    upload: Upload,
}

impl Parts {
    fn open(dir: &Path) -> Self {
        let options = Options::cos().min_part_size(0).background(Background::Host);
        let store = options.open(dir.join("data")).expect("a store");
        let upload = store.initiate_upload("bench").expect("an upload");
        settle_in(&store);
        Self { store, upload }
    }
}

impl Store for Parts {
    fn put(&self, number: u32, part: &Bytes) {
        let number = PartNumber::new(number).expect("a number");
        self.store
            .put_part(&self.upload, number, part.clone())
            .expect("a part");
    }
}
