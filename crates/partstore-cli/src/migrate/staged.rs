//! Objects that were put in parts keep them, because their ETags depend on them.
//!
//! 1. An upload is begun in the default namespace, under a key that names the object's id in the directory.
//! 2. Its parts are put. After an interruption, those that it has are not put again.
//! 3. It is completed, and becomes the object of that key.
//! 4. The object gets its own key, in one step and under a condition.
//!
//! So a migration finds what an earlier one began, and no upload of a client is taken for its own.

use std::collections::HashMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use partstore::{
    CompleteOptions, CompletedPart, Condition, ContentHash, Error, Key, ListUploads, Numbering,
    Object, ObjectOptions, ObjectReader, Part, PartNumber, PartStore, Upload, UploadOptions,
};

use super::object::{declared, is_whole};
use super::{Work, lock};
use crate::failure::{Done, Failure};
use crate::list::each_key;

/// What the keys of step 1 begin with.
const STAGING: &str = "partstore.migrating/";

pub fn is_staging(key: &Key) -> bool {
    key.namespace().is_empty() && key.as_str().starts_with(STAGING)
}

/// Removes what earlier migrations began of objects that the directory has no longer.
pub fn clean(target: &PartStore) -> Done {
    for open in target.uploads(("", STAGING)) {
        target.abort_upload(&open?.upload)?;
    }
    each_key(target, "", STAGING, &mut |entry| {
        let condition = Condition::IfCurrent(entry.id);
        target.remove_key(("", entry.key.as_str()), condition)?;
        Ok(())
    })
}

impl Work<'_> {
    pub fn put_staged(&self, source: &ObjectReader, key: &Key, condition: Condition) -> Done {
        let _alone = lock(&self.staging);
        let target = self.target.store();
        let staging = Key::new("", format!("{STAGING}{}", source.object().upload.id()));
        let object = match target.object_by_key(&staging) {
            Ok(object) => object,
            Err(Error::NoSuchKey { .. }) => self.stage(source, &staging)?,
            Err(error) => return Err(error.into()),
        };
        // The metadata may have been replaced since an earlier migration began.
        let mut options = ObjectOptions::new()
            .metadata(source.object().metadata.clone())
            .only(condition);
        if is_whole(source) {
            options = options.whole_etag();
        }
        target.rename_object(&object.upload, key, &options)?;
        Ok(())
    }

    fn stage(&self, source: &ObjectReader, staging: &Key) -> Done<Object> {
        let target = self.target.store();
        let upload = match begun(target, staging)? {
            Some(upload) => upload,
            None => target.initiate_upload_with(staging, initiation(source))?,
        };
        let mut there = HashMap::new();
        for part in target.parts(&upload) {
            let part = part?;
            there.insert(part.number, part.content);
        }
        let parts = source.parts().map(|placed| Ok(placed?.part));
        let parts = parts.collect::<partstore::Result<Vec<Part>>>()?;
        self.put_parts(source, &upload, &parts, &there)?;
        let listed: Vec<CompletedPart> = parts.iter().map(CompletedPart::from).collect();
        Ok(target.complete_upload_with(&upload, &listed, &completion(source))?)
    }

    fn put_parts(
        &self,
        source: &ObjectReader,
        upload: &Upload,
        parts: &[Part],
        there: &HashMap<PartNumber, ContentHash>,
    ) -> Done {
        let (next, failed) = (AtomicUsize::new(0), Mutex::new(None));
        let work = || {
            while let Some(part) = parts.get(next.fetch_add(1, Ordering::Relaxed)) {
                let done = if there.get(&part.number) == Some(&part.content) {
                    self.bar.inc(part.size);
                    Ok(())
                } else {
                    self.put_part(source, upload, part)
                };
                if let Err(failure) = done {
                    lock(&failed).get_or_insert(failure);
                    next.store(parts.len(), Ordering::Relaxed);
                }
            }
        };
        thread::scope(|scope| {
            for _ in 0..self.migrate.jobs {
                scope.spawn(work);
            }
        });
        lock(&failed).take().map_or(Ok(()), Err)
    }

    fn put_part(&self, source: &ObjectReader, upload: &Upload, part: &Part) -> Done {
        let store = self.target.giving(part.etag)?;
        let mut writer = store.part_writer(upload, part.number, declared(part))?;
        self.pour(source.part(part.number)?, |bytes| writer.append(bytes))?;
        let put = writer.finish()?;
        if (put.content, put.etag) != (part.content, part.etag) {
            return Err(Failure::Damage(format!(
                "part {} does not have the hash {} that the directory says",
                part.number, part.content
            )));
        }
        Ok(())
    }
}

/// The upload that an earlier migration began.
fn begun(target: &PartStore, staging: &Key) -> Done<Option<Upload>> {
    let page = target.list_uploads(&ListUploads::new().prefix(staging.as_str()).limit(1))?;
    Ok(page.uploads.into_iter().next().map(|open| open.upload))
}

fn initiation(source: &ObjectReader) -> UploadOptions {
    let object = source.object();
    let options = UploadOptions::new().metadata(object.metadata.clone());
    let composite = object.composite.iter().map(|sum| sum.algorithm());
    composite.fold(options, UploadOptions::composite)
}

/// The cluster refuses to complete what is another object.
fn completion(source: &ObjectReader) -> CompleteOptions {
    let object = source.object();
    let options = CompleteOptions::new()
        .make_current(Condition::Always)
        .numbering(Numbering::Ascending)
        .min_part_size(0)
        .size(object.size);
    let options = object
        .checksums
        .iter()
        .fold(options, CompleteOptions::checksum);
    object
        .composite
        .iter()
        .fold(options, CompleteOptions::composite)
}
