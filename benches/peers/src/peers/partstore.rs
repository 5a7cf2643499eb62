//! This crate. `put_part` answers when the blob's file and its directory are synced and the journal's
//! line is.

use std::collections::BTreeMap;
use std::path::Path;

use bytes::Bytes;
use partstore::{Background, Options, PartNumber, PartStore, Upload};

use super::{Class, Peer, Store};

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

/// Puts a small part into each of the 256 directories of blobs, as `bench_ingest` does: the others have
/// their directories, too.
fn settle_in(store: &PartStore) {
    let upload = store.initiate_upload("settle in").expect("an upload");
    let mut bodies = BTreeMap::new();
    for body in (0_u64..).map(u64::to_le_bytes) {
        bodies.insert(blake3::hash(&body).as_bytes()[0], body);
        if bodies.len() == 256 {
            break;
        }
    }
    let bodies: Vec<_> = (1..).zip(bodies.into_values()).collect();
    std::thread::scope(|scope| {
        for some in bodies.chunks(16) {
            let (store, upload) = (&store, &upload);
            scope.spawn(move || {
                for (number, body) in some {
                    let number = PartNumber::new(*number).expect("a number");
                    let body = Bytes::copy_from_slice(body);
                    store.put_part(upload, number, body).expect("a part");
                }
            });
        }
    });
}
