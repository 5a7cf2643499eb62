//! [`Names`]: which buckets exist, and which object each name means.
//!
//! The names have no record of their own: they are the keys of the store's uploads. This index in memory is made of
//! them when the server starts. So no second database can differ from the store. A name changes with the one commit
//! that completes or removes an upload.
//!
//! | key in the store | is |
//! |---|---|
//! | `bucket/key` | a multipart upload of a client, or the object that it became |
//! | `put:bucket/key` | the same of a simple PUT or a copy: nobody can resume it, so the start aborts what is open |
//! | `bucket:bucket` | the bucket itself, an object without bytes |
//!
//! N1: a name has one object. One commit of the store completes a new object of the name and removes the old one, under
//! the name's lock.

mod load;

use std::collections::BTreeMap;
use std::hash::{BuildHasher, RandomState};
use std::ops::Bound;

use parking_lot::{Mutex, RwLock};
use partstore::{
    CompletedPart, Error, ListUploads, Object, ObjectReader, PartNumber, PartStore, Upload,
    UploadId,
};

use crate::refusal::Refusal;
use crate::request::Target;

const LOCKS: usize = 64;

/// How the object of a name came to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// Complete Multipart Upload.
    Multipart,
    /// PUT or copy of an object.
    Direct,
}

impl Origin {
    /// The key in the store of an upload to this name.
    pub fn store_key(self, target: &Target) -> String {
        let Target { bucket, key } = target;
        match self {
            Self::Multipart => format!("{bucket}/{key}"),
            Self::Direct => format!("{DIRECT}{bucket}/{key}"),
        }
    }
}

const DIRECT: &str = "put:";
const BUCKET: &str = "bucket:";

fn bucket_key(bucket: &str) -> String {
    format!("{BUCKET}{bucket}")
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Named {
    origin: Origin,
    id: UploadId,
}

impl Named {
    fn upload(self, target: &Target) -> Upload {
        Upload::new(self.origin.store_key(target), self.id)
    }
}

struct Bucket {
    marker: Upload,
    objects: BTreeMap<String, Named>,
}

pub struct Names {
    store: PartStore,
    buckets: RwLock<BTreeMap<String, Bucket>>,
    /// Held for reading by whoever changes a bucket's content, for writing by whoever makes or removes one.
    gate: RwLock<()>,
    /// One change of a name at a time.
    locks: [Mutex<()>; LOCKS],
    spread: RandomState,
}

impl Names {
    fn new(store: PartStore, buckets: BTreeMap<String, Bucket>) -> Self {
        Self {
            store,
            buckets: RwLock::new(buckets),
            gate: RwLock::default(),
            locks: [const { Mutex::new(()) }; LOCKS],
            spread: RandomState::new(),
        }
    }

    pub fn create_bucket(&self, bucket: &str) -> Result<(), Refusal> {
        let _alone = self.gate.write();
        if self.buckets.read().contains_key(bucket) {
            return Err(Refusal::bucket_exists(format!(
                "the bucket {bucket} exists"
            )));
        }
        let upload = self.store.initiate_upload(&bucket_key(bucket))?;
        if let Err(error) = self.complete_bucket(&upload) {
            // If aborting fails, the next start aborts it.
            let _ = self.store.abort_upload(&upload);
            return Err(error.into());
        }
        let made = Bucket::new(upload);
        self.buckets.write().insert(bucket.to_owned(), made);
        Ok(())
    }

    fn complete_bucket(&self, upload: &Upload) -> Result<(), Error> {
        let part = self.store.put_part(upload, PartNumber::MIN, "")?;
        let list = [CompletedPart::from(&part)];
        self.store.complete_upload(upload, &list).map(drop)
    }

    /// Deletes an empty bucket. A bucket with open uploads is not empty.
    pub fn delete_bucket(&self, bucket: &str) -> Result<(), Refusal> {
        let _alone = self.gate.write();
        let marker = self.with_bucket(bucket, |found| {
            found.objects.is_empty().then(|| found.marker.clone())
        })?;
        let first = ListUploads::new().prefix(format!("{bucket}/")).limit(1);
        let open = self.store.list_uploads(&first)?.uploads;
        let marker = marker.filter(|_| open.is_empty()).ok_or_else(|| {
            Refusal::bucket_not_empty(format!("the bucket {bucket} has objects or open uploads"))
        })?;
        self.store.remove_object(&marker)?;
        self.buckets.write().remove(bucket);
        Ok(())
    }

    pub fn check_bucket(&self, bucket: &str) -> Result<(), Refusal> {
        self.with_bucket(bucket, |_| ())
    }

    fn with_bucket<T>(&self, bucket: &str, look: impl FnOnce(&Bucket) -> T) -> Result<T, Refusal> {
        let buckets = self.buckets.read();
        let found = buckets.get(bucket).map(look);
        found.ok_or_else(|| Refusal::no_such_bucket(format!("there is no bucket {bucket}")))
    }

    /// Initiates an upload to a bucket, which cannot be removed in the meantime.
    pub fn initiate(
        &self,
        target: &Target,
        origin: Origin,
        metadata: &[u8],
    ) -> Result<Upload, Refusal> {
        let _stays = self.gate.read();
        self.check_bucket(&target.bucket)?;
        Ok(self
            .store
            .initiate_upload_with(&origin.store_key(target), metadata)?)
    }

    /// Completes an upload and makes its object the one of the name.
    pub fn complete(
        &self,
        target: &Target,
        (upload, origin): (&Upload, Origin),
        list: &[CompletedPart],
        overwrite: Overwrite,
    ) -> Result<Object, Refusal> {
        let _stays = self.gate.read();
        let _one = self.lock_of(target).lock();
        let named = Named {
            origin,
            id: upload.id(),
        };
        let before = self.named(target)?.filter(|before| *before != named);
        if before.is_some() {
            self.check_overwrite(target, overwrite)?;
        }
        let object = match before {
            Some(before) => {
                let replaced = before.upload(target);
                self.store
                    .complete_upload_replacing(upload, list, &replaced)
            }
            None => self.store.complete_upload(upload, list),
        }?;
        if let Some(bucket) = self.buckets.write().get_mut(&target.bucket) {
            bucket.objects.insert(target.key.clone(), named);
        }
        Ok(object)
    }

    /// Removes the object of a name, if it exists.
    pub fn delete(&self, target: &Target) -> Result<(), Refusal> {
        let _stays = self.gate.read();
        let _one = self.lock_of(target).lock();
        let Some(named) = self.named(target)? else {
            return Ok(());
        };
        self.store.remove_object(&named.upload(target))?;
        if let Some(bucket) = self.buckets.write().get_mut(&target.bucket) {
            bucket.objects.remove(&target.key);
        }
        Ok(())
    }

    /// Refuses when the name has an object that must not be replaced.
    pub fn check_overwrite(&self, target: &Target, overwrite: Overwrite) -> Result<(), Refusal> {
        if overwrite == Overwrite::Refused && self.named(target)?.is_some() {
            return Err(Refusal::precondition_failed(
                "there is an object with this name",
            ));
        }
        Ok(())
    }

    /// Opens the object of a name, if it exists.
    pub fn open(&self, target: &Target) -> Result<Option<(ObjectReader, Origin)>, Refusal> {
        self.find(target, |object| self.store.open_object(object))
    }

    /// Returns the object of a name, if it exists, without its parts.
    pub fn look_at(&self, target: &Target) -> Result<Option<(Object, Origin)>, Refusal> {
        self.find(target, |object| self.store.object(object))
    }

    fn find<T>(
        &self,
        target: &Target,
        look: impl Fn(&Upload) -> Result<T, Error>,
    ) -> Result<Option<(T, Origin)>, Refusal> {
        while let Some(named) = self.named(target)? {
            match look(&named.upload(target)) {
                Ok(found) => return Ok(Some((found, named.origin))),
                Err(Error::NoSuchObject { .. }) => {
                    // The object is being replaced or deleted. Whoever does that holds the lock until the index agrees.
                    drop(self.lock_of(target).lock());
                    if self.named(target)? == Some(named) {
                        break;
                    }
                }
                Err(error) => return Err(error.into()),
            }
        }
        Ok(None)
    }

    fn named(&self, target: &Target) -> Result<Option<Named>, Refusal> {
        self.with_bucket(&target.bucket, |bucket| {
            bucket.objects.get(&target.key).copied()
        })
    }

    fn lock_of(&self, target: &Target) -> &Mutex<()> {
        let spread = self.spread.hash_one((&target.bucket, &target.key));
        #[expect(clippy::cast_possible_truncation, reason = "any bits of it will do")]
        &self.locks[spread as usize % LOCKS]
    }

    /// The next key or common prefix of a bucket at or after `from`, as [`Step`].
    pub fn next(
        &self,
        bucket: &str,
        from: Bound<&str>,
        (prefix, delimiter): (&str, &str),
    ) -> Result<Option<Step>, Refusal> {
        self.with_bucket(bucket, |bucket| {
            let mut keys = bucket.objects.range::<str, _>((from, Bound::Unbounded));
            let key = keys
                .next()
                .map(|(key, _)| key)
                .filter(|key| key.starts_with(prefix))?;
            let behind = key.get(prefix.len()..).unwrap_or_default();
            match behind.find(delimiter).filter(|_| !delimiter.is_empty()) {
                Some(end) => Some(Step::Common(
                    key[..prefix.len() + end + delimiter.len()].to_owned(),
                )),
                None => Some(Step::Key(key.clone())),
            }
        })
    }
}

/// What stands next in a listing.
pub enum Step {
    Key(String),
    Common(String),
}

/// Whether a completion may replace the object of its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Overwrite {
    Allowed,
    /// `If-None-Match: *`
    Refused,
}

impl Bucket {
    fn new(marker: Upload) -> Self {
        Self {
            marker,
            objects: BTreeMap::new(),
        }
    }
}
