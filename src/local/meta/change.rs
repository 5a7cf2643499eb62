//! [`Change`]: a batch in the store's words. This module says what each step of an upload's life does to
//! the rows.
//!
//! A reference is a row, not a counter. Adding or removing it twice changes nothing, and it cannot drift. A
//! blob that loses a reference gets a garbage row in the same batch, so no crash can hide it from the sweep
//! (I7).

use std::collections::BTreeMap;

use crate::local::format::mutation::{Batch, Tree};
use crate::local::format::record::{
    self, Completion, KeyRecord, NamespaceRecord, PartRecord, Tombstone, UploadRecord, UploadState,
};
use crate::values::blocks::BlockCrcs;
use crate::values::namespace::{NamespaceId, UsageChange};
use crate::{ContentHash, PartNumber, Result, UploadId, Usage};

#[derive(Debug, Default)]
pub(crate) struct Change {
    batch: Batch,
    /// By namespace and stripe.
    usage: BTreeMap<(NamespaceId, u8), UsageChange>,
}

impl Change {
    /// The rows that the change sets and removes, without those of [`usage`](Self::usage).
    pub(crate) fn batch(&self) -> &Batch {
        &self.batch
    }

    /// What the change adds to each namespace, and takes away.
    pub(crate) fn usage(&self) -> BTreeMap<NamespaceId, UsageChange> {
        let mut by_namespace = BTreeMap::<_, UsageChange>::new();
        for ((namespace, _), change) in &self.usage {
            by_namespace.entry(*namespace).or_default().add(*change);
        }
        by_namespace
    }

    /// The whole batch. `before` says what a row of usage has.
    pub(super) fn into_batch(
        mut self,
        before: impl Fn(NamespaceId, u8) -> Result<Usage>,
    ) -> Result<Batch> {
        for ((namespace, stripe), change) in std::mem::take(&mut self.usage) {
            let key = record::usage_key(namespace, stripe);
            let usage = change.applied_to(before(namespace, stripe)?);
            if usage.is_empty() {
                self.batch.remove(Tree::Usage, &key);
            } else {
                self.put(Tree::Usage, &key, &record::usage_fields(&usage));
            }
        }
        Ok(self.batch)
    }

    /// Counts what an upload or object adds to its namespace.
    pub(crate) fn count(&mut self, namespace: NamespaceId, id: UploadId, change: UsageChange) {
        let stripe = (namespace, id.spread());
        self.usage.entry(stripe).or_default().add(change);
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.batch.is_empty()
    }

    /// An upload begins, or an object is made at once.
    pub(crate) fn initiate(&mut self, id: UploadId, upload: &UploadRecord, metadata: &[u8]) {
        self.put_metadata(id, metadata);
        self.put(Tree::Uploads, &id.to_bytes(), &upload.encode());
        if upload.state == UploadState::Open {
            let name = record::name_key(upload.namespace, &upload.key, id);
            self.put(Tree::UploadNames, &name, &[]);
        }
        self.count(
            upload.namespace,
            id,
            UsageChange::of_upload(upload.state == UploadState::Open),
        );
    }

    /// Adds the rows of a blob whose file is durable (I1).
    pub(crate) fn add_blob(&mut self, content: &ContentHash, sums: &BlockCrcs) {
        for (number, row) in (0..).zip(record::blob_rows(sums)) {
            self.put(
                Tree::Blobs,
                &record::numbered_key(content.as_bytes(), number),
                &row,
            );
        }
    }

    /// Sets a part, in place of the one that had its number.
    pub(crate) fn put_part(
        &mut self,
        (namespace, id, number): (NamespaceId, UploadId, PartNumber),
        part: &PartRecord,
        replaced: Option<&PartRecord>,
    ) {
        let before = replaced.map_or(0, |before| before.size);
        self.count(namespace, id, UsageChange::of_bytes(part.size, before));
        self.put(Tree::Refs, &record::ref_key(&part.content, id, number), &[]);
        self.put(Tree::Parts, &record::part_key(id, number), &part.encode());
        if let Some(before) = replaced.filter(|before| before.content != part.content) {
            self.drop_reference(&before.content, id, number);
        }
    }

    /// Removes a part, with its reference.
    pub(crate) fn remove_part(
        &mut self,
        (namespace, id, number): (NamespaceId, UploadId, PartNumber),
        part: &PartRecord,
    ) {
        self.count(namespace, id, UsageChange::of_bytes(0, part.size));
        self.release_part(id, number, &part.content);
    }

    /// Removes a part whose upload has a tombstone, with its reference. It counts nowhere any more.
    pub(crate) fn release_part(&mut self, id: UploadId, number: PartNumber, content: &ContentHash) {
        self.batch
            .remove(Tree::Parts, &record::part_key(id, number));
        self.drop_reference(content, id, number);
    }

    /// An open upload becomes an object.
    pub(crate) fn complete(&mut self, id: UploadId, upload: &UploadRecord, completion: Completion) {
        let state = UploadState::Completed(Box::new(completion));
        let completed = UploadRecord {
            state,
            ..upload.clone()
        };
        self.put(Tree::Uploads, &id.to_bytes(), &completed.encode());
        self.batch.remove(
            Tree::UploadNames,
            &record::name_key(upload.namespace, &upload.key, id),
        );
        self.count(upload.namespace, id, UsageChange::OF_COMPLETION);
    }

    /// Sets another completion of an object, which stays one.
    pub(crate) fn change_object(&mut self, id: UploadId, before: &UploadRecord, done: Completion) {
        let changed = UploadRecord {
            state: UploadState::Completed(Box::new(done)),
            ..before.clone()
        };
        self.put(Tree::Uploads, &id.to_bytes(), &changed.encode());
    }

    /// Gives an upload or object, whose row is `before` now and `after` afterwards, another key. Its parts
    /// have so many bytes.
    pub(crate) fn rename(
        &mut self,
        id: UploadId,
        (before, after): (&UploadRecord, &UploadRecord),
        bytes: u64,
    ) {
        let is_open = after.state == UploadState::Open;
        self.put(Tree::Uploads, &id.to_bytes(), &after.encode());
        if is_open {
            let name = |of: &UploadRecord| record::name_key(of.namespace, &of.key, id);
            self.batch.remove(Tree::UploadNames, &name(before));
            self.put(Tree::UploadNames, &name(after), &[]);
        }
        for change in [
            UsageChange::of_lost_upload(is_open),
            UsageChange::of_bytes(0, bytes),
        ] {
            self.count(before.namespace, id, change);
        }
        for change in [
            UsageChange::of_upload(is_open),
            UsageChange::of_bytes(bytes, 0),
        ] {
            self.count(after.namespace, id, change);
        }
    }

    /// Replaces the metadata of an object, whose row is `before` now and `upload` afterwards.
    pub(crate) fn replace_metadata(
        &mut self,
        id: UploadId,
        before: &UploadRecord,
        (upload, metadata): (&UploadRecord, &[u8]),
    ) {
        let rows = record::metadata_row_count(upload.metadata_len);
        for number in rows..record::metadata_row_count(before.metadata_len) {
            let key = record::numbered_key(&id.to_bytes(), number);
            self.batch.remove(Tree::Metadata, &key);
        }
        self.put_metadata(id, metadata);
        self.put(Tree::Uploads, &id.to_bytes(), &upload.encode());
    }

    /// Makes an object the current one of its key. `before` is the key's object so far.
    pub(crate) fn set_key(
        &mut self,
        (namespace, key): (NamespaceId, &str),
        current: &KeyRecord,
        before: Option<UploadId>,
    ) {
        self.put(
            Tree::Keys,
            &record::object_key(namespace, key),
            &current.encode(),
        );
        self.count(namespace, current.id, UsageChange::OF_KEY);
        if let Some(before) = before {
            self.count(namespace, before, UsageChange::OF_LOST_KEY);
        }
    }

    /// Takes its object, `before`, from a key.
    pub(crate) fn remove_key(&mut self, (namespace, key): (NamespaceId, &str), before: UploadId) {
        self.batch
            .remove(Tree::Keys, &record::object_key(namespace, key));
        self.count(namespace, before, UsageChange::OF_LOST_KEY);
    }

    /// Sets a namespace.
    pub(crate) fn put_namespace(&mut self, name: &str, record: &NamespaceRecord) {
        let (by_name, by_id) = (record.encode(), record.encode_with(name));
        self.put(Tree::Namespaces, name.as_bytes(), &by_name);
        self.put(Tree::Namespaces, &record::namespace_key(record.id), &by_id);
    }

    /// Removes an empty namespace.
    pub(crate) fn remove_namespace(&mut self, name: &str, id: NamespaceId) {
        self.batch.remove(Tree::Namespaces, name.as_bytes());
        self.batch
            .remove(Tree::Namespaces, &record::namespace_key(id));
    }

    /// Removes an upload or object. [`remove_part`](Self::remove_part) removes its parts in the same batch, or
    /// a [tombstone](Self::bury_upload) stands for them.
    pub(crate) fn remove_upload(&mut self, id: UploadId, upload: &UploadRecord) {
        self.batch.remove(Tree::Uploads, &id.to_bytes());
        let is_open = upload.state == UploadState::Open;
        if is_open {
            self.batch.remove(
                Tree::UploadNames,
                &record::name_key(upload.namespace, &upload.key, id),
            );
        }
        self.count(upload.namespace, id, UsageChange::of_lost_upload(is_open));
        for number in 0..record::metadata_row_count(upload.metadata_len) {
            self.batch.remove(
                Tree::Metadata,
                &record::numbered_key(&id.to_bytes(), number),
            );
        }
    }

    /// Removes an upload or object, and leaves a tombstone for the rows of its parts, which count nowhere
    /// from then on.
    pub(crate) fn bury_upload(
        &mut self,
        id: UploadId,
        upload: &UploadRecord,
        tombstone: Tombstone,
    ) {
        self.remove_upload(id, upload);
        let bytes = UsageChange::of_bytes(0, tombstone.bytes);
        self.count(upload.namespace, id, bytes);
        self.put_tombstone(id, tombstone);
    }

    /// Sets what is left of an upload or object that has ended.
    pub(crate) fn put_tombstone(&mut self, id: UploadId, tombstone: Tombstone) {
        self.put(Tree::Tombstones, &id.to_bytes(), &tombstone.encode());
    }

    /// Nothing is left of an upload or object that has ended.
    pub(crate) fn remove_tombstone(&mut self, id: UploadId) {
        self.batch.remove(Tree::Tombstones, &id.to_bytes());
    }

    /// Removes the rows of a swept blob.
    pub(crate) fn remove_blob(&mut self, content: &ContentHash, sums: &BlockCrcs) {
        for number in 0..record::blob_row_count(sums.size, sums.crcs.len()) {
            self.batch.remove(
                Tree::Blobs,
                &record::numbered_key(content.as_bytes(), number),
            );
        }
    }

    /// Removes the garbage row of a blob that the sweep has checked.
    pub(crate) fn remove_garbage(&mut self, content: &ContentHash) {
        self.batch.remove(Tree::Garbage, content.as_bytes());
    }

    fn put_metadata(&mut self, id: UploadId, metadata: &[u8]) {
        for (number, row) in (0..).zip(record::metadata_rows(metadata)) {
            let key = record::numbered_key(&id.to_bytes(), number);
            self.put(Tree::Metadata, &key, row);
        }
    }

    fn drop_reference(&mut self, content: &ContentHash, id: UploadId, number: PartNumber) {
        self.batch
            .remove(Tree::Refs, &record::ref_key(content, id, number));
        self.put(Tree::Garbage, content.as_bytes(), &[]);
    }

    fn put(&mut self, tree: Tree, key: &[u8], fields: &[u8]) {
        self.batch.put(tree, key, &record::seal(tree, key, fields));
    }
}
