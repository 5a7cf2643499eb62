//! [`Change`]: a batch in the store's words. This module says what each step of an upload's life does to
//! the rows.
//!
//! A reference is a row, not a counter. Adding or removing it twice changes nothing, and it cannot drift. A
//! blob that loses a reference gets a garbage row in the same batch, so no crash can hide it from the sweep
//! (I7).

use crate::format::mutation::{Batch, Tree};
use crate::format::record::{self, Completion, PartRecord, UploadRecord, UploadState};
use crate::values::digest::BlockCrcs;
use crate::values::part::Slot;
use crate::{ContentHash, PartNumber, UploadId};

#[derive(Debug, Default)]
pub(crate) struct Change {
    batch: Batch,
}

impl Change {
    pub(crate) fn batch(&self) -> &Batch {
        &self.batch
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.batch.is_empty()
    }

    /// An upload begins.
    pub(crate) fn initiate(&mut self, id: UploadId, upload: &UploadRecord, metadata: &[u8]) {
        for (number, row) in (0..).zip(record::metadata_rows(metadata)) {
            self.put(
                Tree::Metadata,
                &record::numbered_key(&id.to_bytes(), number),
                row,
            );
        }
        self.put(Tree::Uploads, &id.to_bytes(), &upload.encode());
        self.put(Tree::UploadNames, &record::name_key(&upload.key, id), &[]);
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
        slot: Slot<'_>,
        part: &PartRecord,
        replaced: Option<&PartRecord>,
    ) {
        let (id, number) = (slot.upload.id(), slot.number);
        self.put(Tree::Refs, &record::ref_key(&part.content, id, number), &[]);
        self.put(Tree::Parts, &record::part_key(id, number), &part.encode());
        if let Some(before) = replaced.filter(|before| before.content != part.content) {
            self.drop_reference(&before.content, id, number);
        }
    }

    /// Removes a part, with its reference.
    pub(crate) fn remove_part(&mut self, id: UploadId, number: PartNumber, part: &PartRecord) {
        self.batch
            .remove(Tree::Parts, &record::part_key(id, number));
        self.drop_reference(&part.content, id, number);
    }

    /// An open upload becomes an object.
    pub(crate) fn complete(&mut self, id: UploadId, upload: &UploadRecord, completion: Completion) {
        let state = UploadState::Completed(completion);
        let completed = UploadRecord {
            state,
            ..upload.clone()
        };
        self.put(Tree::Uploads, &id.to_bytes(), &completed.encode());
        self.batch
            .remove(Tree::UploadNames, &record::name_key(&upload.key, id));
    }

    /// Removes an upload or object. [`remove_part`](Self::remove_part) removes its parts.
    pub(crate) fn remove_upload(&mut self, id: UploadId, upload: &UploadRecord) {
        self.batch.remove(Tree::Uploads, &id.to_bytes());
        if upload.state == UploadState::Open {
            self.batch
                .remove(Tree::UploadNames, &record::name_key(&upload.key, id));
        }
        for number in 0..record::metadata_row_count(upload.metadata_len) {
            self.batch.remove(
                Tree::Metadata,
                &record::numbered_key(&id.to_bytes(), number),
            );
        }
    }

    /// Removes the rows of a swept blob.
    pub(crate) fn remove_blob(&mut self, content: &ContentHash, size: u64) {
        for number in 0..record::blob_row_count(size) {
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

    fn drop_reference(&mut self, content: &ContentHash, id: UploadId, number: PartNumber) {
        self.batch
            .remove(Tree::Refs, &record::ref_key(content, id, number));
        self.put(Tree::Garbage, content.as_bytes(), &[]);
    }

    fn put(&mut self, tree: Tree, key: &[u8], fields: &[u8]) {
        self.batch.put(tree, key, &record::seal(tree, key, fields));
    }
}
