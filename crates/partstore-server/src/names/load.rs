//! The index of names is made when the server starts, from the objects in the store.

use std::collections::BTreeMap;

use partstore::{Error, ListObjects, ListUploads, PartStore, Upload};

use super::{BUCKET, Bucket, DIRECT, Named, Names, Origin, bucket_key};

impl Names {
    /// Makes the index, and aborts the uploads that a crash left and nobody can resume.
    pub fn load(store: PartStore) -> Result<Self, Error> {
        for prefix in [DIRECT, BUCKET] {
            abort_all(&store, prefix)?;
        }
        let mut names = BTreeMap::new();
        let mut after = None;
        loop {
            let page = store.list_objects(&ListObjects::new().marker(after))?;
            for object in &page.objects {
                note(&mut names, &object.upload);
            }
            after = page.next;
            if after.is_none() {
                return Ok(Self::new(store, by_bucket(names)));
            }
        }
    }
}

fn note(names: &mut BTreeMap<String, Named>, upload: &Upload) {
    let (origin, name) = match upload.key().strip_prefix(DIRECT) {
        Some(name) => (Origin::Direct, name),
        None => (Origin::Multipart, upload.key()),
    };
    let object = Named {
        origin,
        id: upload.id(),
    };
    if names.insert(name.to_owned(), object).is_some() {
        tracing::warn!(name, "the store has several objects of this name (N1)");
    }
}

/// Buckets are objects, too.
fn by_bucket(mut names: BTreeMap<String, Named>) -> BTreeMap<String, Bucket> {
    let mut buckets = BTreeMap::new();
    names.retain(|name, named| {
        let bucket = name.strip_prefix(BUCKET);
        if let Some(bucket) = bucket {
            let marker = Upload::new(bucket_key(bucket), named.id);
            buckets.insert(bucket.to_owned(), Bucket::new(marker));
        }
        bucket.is_none()
    });
    for (name, named) in names {
        let place = name.split_once('/');
        let place = place.and_then(|(bucket, key)| Some((buckets.get_mut(bucket)?, key)));
        if let Some((bucket, key)) = place {
            bucket.objects.insert(key.to_owned(), named);
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
