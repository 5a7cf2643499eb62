//! A store as it is when it has been in use.

use std::collections::BTreeMap;

use bytes::Bytes;
use partstore::{PartNumber, PartStore};

/// Puts a small part into each of the 256 directories of blobs, which a store makes when it first needs
/// them. The floors have their directories from the start, too.
pub fn settle_in(store: &PartStore) {
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
