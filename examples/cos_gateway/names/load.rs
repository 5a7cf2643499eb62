//! The index when the gateway starts: made of the objects that the store has.

use std::collections::BTreeMap;
use std::time::SystemTime;

use partstore::{Error, ListUploads, Object, PartStore, Upload};

use super::{BUCKET, Bucket, DIRECT, Named, Names, Origin, bucket_key};

impl Names {
    /// Makes the index, and removes what a crash left half-done.
    pub fn load(store: PartStore) -> Result<Self, Error> {
        for prefix in [DIRECT, BUCKET] {
            abort_all(&store, prefix)?;
        }
        let mut found = BTreeMap::new();
        let mut after = None;
        loop {
            let page = store.list_objects(after, 1000)?;
            for object in &page.objects {
                keep_newest(&store, &mut found, object)?;
            }
            after = page.next;
            if after.is_none() {
                return Ok(Self::new(store, by_bucket(found)));
            }
        }
    }
}

/// An object whose name may have another.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Found {
    named: Named,
    completed_at: SystemTime,
}

/// N1 after a crash.
fn keep_newest(
    store: &PartStore,
    found: &mut BTreeMap<String, Found>,
    object: &Object,
) -> Result<(), Error> {
    let key = object.upload.key();
    let (origin, name) = match key.strip_prefix(DIRECT) {
        Some(name) => (Origin::Direct, name),
        None => (Origin::Multipart, key),
    };
    let this = Found {
        named: Named {
            origin,
            id: object.upload.id(),
        },
        completed_at: object.completed_at,
    };
    let age = |of: &Found| (of.completed_at, of.named.id);
    let older = match found.get(name) {
        Some(other) if age(other) > age(&this) => Some(this),
        _ => found.insert(name.to_owned(), this),
    };
    let Some(older) = older else { return Ok(()) };
    let key = match older.named.origin {
        Origin::Direct => format!("{DIRECT}{name}"),
        Origin::Multipart => name.to_owned(),
    };
    tracing::info!(
        name,
        "an object that was replaced when the gateway ended is removed"
    );
    store.remove_object(&Upload::new(key, older.named.id))
}

fn by_bucket(mut found: BTreeMap<String, Found>) -> BTreeMap<String, Bucket> {
    let mut buckets = BTreeMap::new();
    found.retain(|name, found| {
        let bucket = name.strip_prefix(BUCKET);
        if let Some(bucket) = bucket {
            let marker = Upload::new(bucket_key(bucket), found.named.id);
            buckets.insert(bucket.to_owned(), Bucket::new(marker));
        }
        bucket.is_none()
    });
    for (name, found) in found {
        let place = name.split_once('/');
        let place = place.and_then(|(bucket, key)| Some((buckets.get_mut(bucket)?, key)));
        if let Some((bucket, key)) = place {
            bucket.objects.insert(key.to_owned(), found.named);
        } else {
            tracing::warn!(name, "an object of no bucket is left alone");
        }
    }
    buckets
}

fn abort_all(store: &PartStore, prefix: &str) -> Result<(), Error> {
    loop {
        let page = store.list_uploads(&ListUploads::new().prefix(prefix))?;
        if page.uploads.is_empty() {
            return Ok(());
        }
        for open in page.uploads {
            store.abort_upload(&open.upload)?;
        }
    }
}
