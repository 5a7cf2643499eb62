//! Documents that the server keeps for a bucket, such as its rules for pages of other origins.
//!
//! Each is an object in the store's default namespace, under the name of its kind and that of the bucket. So it is as
//! durable as any object, changes in one commit, and is backed up with the store.

use std::io::{self, Read};

use partstore::{Condition, Error, PartStore};

/// The longest document, bytes.
pub const MAX_LEN: usize = 64 * 1024;
/// The kinds of documents that a bucket may have. They begin the keys of the objects.
pub const CORS: Kind = Kind("partstore-server.cors/");
pub const LIFECYCLE: Kind = Kind("partstore-server.lifecycle/");

/// One kind of document. A bucket has one of each, or none.
#[derive(Clone, Copy)]
pub struct Kind(&'static str);

impl Kind {
    fn key(self, bucket: &str) -> String {
        format!("{}{bucket}", self.0)
    }

    /// The document of a bucket, if it has one.
    pub fn load(self, store: &PartStore, bucket: &str) -> Result<Option<String>, Error> {
        let object = match store.open_key(self.key(bucket)) {
            Err(Error::NoSuchKey { .. }) => return Ok(None),
            opened => opened?,
        };
        let read = io::read_to_string(object.take(MAX_LEN as u64));
        if let Err(error) = &read {
            tracing::error!(%error, bucket, kind = self.0, "a document of the bucket cannot be read");
        }
        Ok(read.ok())
    }

    /// Keeps the document of a bucket, durably. A bucket that was deleted in the meantime leaves none to one of its name.
    pub fn save(self, store: &PartStore, bucket: &str, document: String) -> Result<(), Error> {
        store.put_object(self.key(bucket), document)?;
        match store.namespace(bucket) {
            Err(error @ Error::NoSuchNamespace { .. }) => {
                self.remove(store, bucket).and(Err(error))
            }
            _ => Ok(()),
        }
    }

    /// Removes the document of a bucket, durably.
    pub fn remove(self, store: &PartStore, bucket: &str) -> Result<(), Error> {
        let key = self.key(bucket);
        store.remove_key(key, Condition::Always).map(drop)
    }

    /// The buckets that have such a document.
    pub fn buckets(self, store: &PartStore) -> impl Iterator<Item = Result<String, Error>> {
        let keys = store.keys(self.0);
        keys.map(move |entry| Ok(entry?.key.split_off(self.0.len())))
    }
}

/// Removes all that is kept for a bucket, durably.
pub fn remove_all(store: &PartStore, bucket: &str) -> Result<(), Error> {
    CORS.remove(store, bucket)?;
    LIFECYCLE.remove(store, bucket)
}

/// Removes what a bucket of this name has left whose removal a crash ended.
pub fn remove_stale(store: &PartStore, bucket: &str) -> Result<(), Error> {
    match store.namespace(bucket) {
        Err(Error::NoSuchNamespace { .. }) => remove_all(store, bucket),
        found => found.map(drop),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use partstore::Quota;

    #[test]
    fn a_new_bucket_has_nothing_of_one_whose_removal_a_crash_ended() {
        let dir = tempfile::tempdir().unwrap();
        let store = PartStore::open(dir.path()).unwrap();
        store.create_namespace("films", Quota::new()).unwrap();
        for kind in [CORS, LIFECYCLE] {
            kind.save(&store, "films", "rules".into()).unwrap();
        }
        remove_stale(&store, "films").unwrap();
        let buckets = LIFECYCLE.buckets(&store).collect::<Result<Vec<_>, _>>();
        assert_eq!(buckets.unwrap(), ["films"]);
        // Here a crash ends the call.
        store.remove_namespace("films").unwrap();
        remove_stale(&store, "films").unwrap();
        store.create_namespace("films", Quota::new()).unwrap();
        for kind in [CORS, LIFECYCLE] {
            assert_eq!(kind.load(&store, "films").unwrap(), None);
        }
    }

    #[test]
    fn a_bucket_that_does_not_exist_keeps_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let store = PartStore::open(dir.path()).unwrap();
        let saved = CORS.save(&store, "films", "rules".into());
        assert!(matches!(saved, Err(Error::NoSuchNamespace { .. })));
        assert_eq!(CORS.load(&store, "films").unwrap(), None);
    }
}
