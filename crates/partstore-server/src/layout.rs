//! Moves a store of the old layout to the new one, once, when the server starts.
//!
//! In the new layout a bucket is a namespace, and an object is the current one of its key there. In the old one all
//! was in the default namespace, and no key had a current object:
//!
//! | key | was |
//! |---|---|
//! | `bucket/key` | a multipart upload of a client, or the object that it became |
//! | `put:bucket/key` | the same of a simple PUT or a copy |
//! | `bucket:bucket` | the bucket itself, an object without bytes |
//!
//! Each step is one commit, and what has moved is no longer in the default namespace. So after a crash the next start
//! goes on where this one ended. At the end the object [`LAYOUT`] says that nothing is left to move. Objects and
//! uploads keep their ids, times and parts: their rows get another key, and no byte is read.

use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use partstore::{
    Condition, Error, Key, ListObjects, ListUploads, ObjectOptions, PartStore, Quota, Upload,
};

/// The key, in the default namespace, of the object that says that the store has the new layout. Its metadata is the
/// layout's number. No key of the old layout looks like this.
const LAYOUT: &str = "partstore-server.layout";
const NEW: &str = "2";

const DIRECT: &str = "put:";
const BUCKET: &str = "bucket:";

/// Calls that wait for the disk at the same time share its syncs.
const MOVERS: usize = 64;
const REPORT_EVERY: Duration = Duration::from_secs(10);

/// Makes sure that the store has the new layout. In a store that has it, this reads one row.
pub fn upgrade(store: &PartStore) -> Result<(), Error> {
    match store.object_by_key(LAYOUT) {
        Err(Error::NoSuchKey { .. }) => {}
        found => return found.map(drop),
    }
    if !is_empty(store)? {
        tracing::info!("the store has an older layout; its objects are moved to their buckets");
        abort_direct_uploads(store)?;
        create_buckets(store)?;
        let progress = Progress::new();
        move_objects(store, &progress)?;
        move_uploads(store, &progress)?;
        progress.report("all is moved");
    }
    store.put_object_with(LAYOUT, "", &ObjectOptions::new().metadata(NEW))?;
    Ok(())
}

/// Whether the default namespace, where all was, holds nothing.
fn is_empty(store: &PartStore) -> Result<bool, Error> {
    Ok(store.namespace("")?.usage.is_empty())
}

/// Nobody can resume a PUT that a crash has ended.
fn abort_direct_uploads(store: &PartStore) -> Result<(), Error> {
    for prefix in [DIRECT, BUCKET] {
        loop {
            let page = store.list_uploads(&ListUploads::new().prefix(prefix))?;
            if page.uploads.is_empty() {
                break;
            }
            for open in page.uploads {
                store.abort_upload(&open.upload)?;
            }
        }
    }
    Ok(())
}

/// Makes a namespace of each bucket.
fn create_buckets(store: &PartStore) -> Result<(), Error> {
    for_each_object(store, |page| {
        for marker in page {
            let Some(bucket) = marker.key().strip_prefix(BUCKET) else {
                continue;
            };
            match store.create_namespace(bucket, Quota::new()) {
                Ok(()) | Err(Error::NamespaceExists { .. }) => {}
                Err(error) => return Err(error),
            }
            store.remove_object(marker)?;
        }
        Ok(())
    })
}

fn move_objects(store: &PartStore, progress: &Progress) -> Result<(), Error> {
    for_each_object(store, |page| {
        progress.tell();
        in_parallel(page, |object| {
            if let Some((key, options)) = place_of(store, object)? {
                move_object(store, object, &key, &options)?;
                progress.count();
            }
            Ok(())
        })
    })
}

/// Clients go on with their multipart uploads.
fn move_uploads(store: &PartStore, progress: &Progress) -> Result<(), Error> {
    let mut query = ListUploads::new();
    loop {
        let page = store.list_uploads(&query)?;
        progress.tell();
        let uploads: Vec<_> = page.uploads.into_iter().map(|open| open.upload).collect();
        in_parallel(&uploads, |upload| {
            if let Some((key, _)) = place_of(store, upload)? {
                store.rename_upload(upload, key)?;
                progress.count();
            }
            Ok(())
        })?;
        let Some(next) = page.next else {
            return Ok(());
        };
        query = ListUploads::new().key_marker(next.key);
        if let Some(id) = next.id {
            query = query.upload_id_marker(id);
        }
    }
}

/// The key of an object or upload in its bucket, and whether its ETag is that of a simple PUT. `None` if it has no
/// bucket.
fn place_of(store: &PartStore, upload: &Upload) -> Result<Option<(Key, ObjectOptions)>, Error> {
    let (options, name) = match upload.key().strip_prefix(DIRECT) {
        Some(name) => (ObjectOptions::new().whole_etag(), name),
        None => (ObjectOptions::new(), upload.key()),
    };
    if let Some((bucket, key)) = name.split_once('/')
        && !bucket.is_empty()
    {
        match store.namespace(bucket) {
            Ok(_) => return Ok(Some((Key::new(bucket, key), options))),
            Err(Error::NoSuchNamespace { .. }) => {}
            Err(error) => return Err(error),
        }
    }
    tracing::warn!(name, "an object or upload of no bucket is left alone");
    Ok(None)
}

/// Moves an object to its key. If several have one name, the newest becomes the current one.
fn move_object(
    store: &PartStore,
    object: &Upload,
    key: &Key,
    options: &ObjectOptions,
) -> Result<(), Error> {
    let mut condition = Condition::IfAbsent;
    loop {
        let options = options.clone().only(condition);
        match store.rename_object(object, key, &options) {
            Err(Error::PreconditionFailed { .. }) => {}
            moved => return moved.map(drop),
        }
        let other = store.object_by_key(key)?.upload.id();
        tracing::warn!(%key, "the store has several objects of this name; the newest is the current one");
        if other > object.id() {
            return Ok(());
        }
        condition = Condition::IfCurrent(other);
    }
}

/// Visits the objects of the default namespace, in pages.
fn for_each_object(
    store: &PartStore,
    mut visit: impl FnMut(&[Upload]) -> Result<(), Error>,
) -> Result<(), Error> {
    let mut after = None;
    loop {
        let page = store.list_objects(&ListObjects::new().marker(after))?;
        let objects = page.objects.into_iter().map(|object| object.upload);
        let old: Vec<_> = objects
            .filter(|object| object.namespace().is_empty())
            .collect();
        visit(&old)?;
        after = page.next;
        if after.is_none() {
            return Ok(());
        }
    }
}

/// Does something with each, in several threads. Gives the first failure.
fn in_parallel(
    uploads: &[Upload],
    work: impl Fn(&Upload) -> Result<(), Error> + Sync,
) -> Result<(), Error> {
    let (left, failure) = (Mutex::new(uploads.iter()), Mutex::new(Ok(())));
    let next = || left.lock().next();
    let run = || {
        while let Some(upload) = next() {
            if let Err(error) = work(upload) {
                *failure.lock() = Err(error);
                return;
            }
        }
    };
    thread::scope(|scope| {
        for _ in 0..MOVERS.min(uploads.len()) {
            scope.spawn(run);
        }
    });
    failure.into_inner()
}

/// How many have moved, for the log.
struct Progress {
    moved: AtomicU64,
    told: Mutex<Instant>,
}

impl Progress {
    fn new() -> Self {
        Self {
            moved: AtomicU64::new(0),
            told: Mutex::new(Instant::now()),
        }
    }

    fn count(&self) {
        self.moved.fetch_add(1, Ordering::Relaxed);
    }

    /// Tells it now and then.
    fn tell(&self) {
        let mut told = self.told.lock();
        if told.elapsed() >= REPORT_EVERY {
            *told = Instant::now();
            self.report("moving");
        }
    }

    fn report(&self, what: &str) {
        let moved = self.moved.load(Ordering::Relaxed);
        tracing::info!(moved, "{what}");
    }
}
