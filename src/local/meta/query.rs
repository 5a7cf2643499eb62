//! Queries of the index, in the store's words. Every row is checked as it is decoded.

use std::ops::{Bound, ControlFlow};

use super::MetaStore;
use crate::local::format::mutation::Tree;
use crate::local::format::record::{
    self, BlobHead, Fields, KeyRecord, NamespaceRecord, PartRecord, Tombstone, UploadRecord,
};
use crate::values::blocks::BlockCrcs;
use crate::values::namespace::NamespaceId;
use crate::{ContentHash, Error, PartNumber, Result, UploadId, Usage};

/// What a visitor returns: continue, or stop.
pub(crate) type Visited = Result<ControlFlow<()>>;

impl MetaStore {
    pub(crate) fn upload(&self, id: UploadId) -> Result<Option<UploadRecord>> {
        self.row(Tree::Uploads, &id.to_bytes(), UploadRecord::decode)
    }

    /// Visits uploads and objects with ids above `after`, ascending, which is the order of initiation.
    pub(crate) fn uploads(
        &self,
        after: Option<UploadId>,
        visit: &mut dyn FnMut(UploadId, UploadRecord) -> Visited,
    ) -> Result<()> {
        let from = after.map(UploadId::to_bytes);
        let from = bound_after(from.as_ref().map(<[u8; UploadId::BYTES]>::as_slice));
        self.stack
            .view()
            .scan(Tree::Uploads, from, &mut |key, value| {
                let id = UploadId::from_bytes(key).ok_or_else(|| damaged(Tree::Uploads, key))?;
                visit(id, decode(Tree::Uploads, key, value, UploadRecord::decode)?)
            })
    }

    /// The newest id that any upload or object has, or had and still has a tombstone.
    pub(crate) fn newest_upload(&self) -> Result<Option<UploadId>> {
        let newest = |tree| -> Result<Option<UploadId>> {
            let key = self.stack.view().last_key(tree)?;
            Ok(key.and_then(|key| UploadId::from_bytes(&key)))
        };
        Ok(newest(Tree::Uploads)?.max(newest(Tree::Tombstones)?))
    }

    /// The metadata that the upload was initiated with. `None` if the upload was removed or changed since
    /// `upload` was read.
    pub(crate) fn metadata(&self, id: UploadId, upload: &UploadRecord) -> Result<Option<Vec<u8>>> {
        let mut metadata = Vec::with_capacity(upload.metadata_len as usize);
        for number in 0..record::metadata_row_count(upload.metadata_len) {
            let key = record::numbered_key(&id.to_bytes(), number);
            match self.row(Tree::Metadata, &key, |fields| Some(fields.bytes.to_vec()))? {
                Some(row) => metadata.extend(row),
                None if self.upload(id)?.as_ref() != Some(upload) => return Ok(None),
                None => return Err(damaged(Tree::Metadata, &key)),
            }
        }
        Ok(Some(metadata))
    }

    /// The current object of a key.
    pub(crate) fn key(&self, (namespace, key): (NamespaceId, &str)) -> Result<Option<KeyRecord>> {
        let key = record::object_key(namespace, key);
        self.row(Tree::Keys, &key, KeyRecord::decode)
    }

    /// Visits keys with their current objects, from a place in the order of namespaces, then keys.
    pub(crate) fn keys(
        &self,
        from: Bound<&[u8]>,
        visit: &mut dyn FnMut((NamespaceId, &str), KeyRecord) -> Visited,
    ) -> Result<()> {
        self.stack.view().scan(Tree::Keys, from, &mut |key, value| {
            let current = decode(Tree::Keys, key, value, KeyRecord::decode)?;
            let name = record::parse_object_key(key).ok_or_else(|| damaged(Tree::Keys, key))?;
            visit(name, current)
        })
    }

    /// The error for a key whose object has no row.
    pub(crate) fn damaged_key((namespace, key): (NamespaceId, &str)) -> Error {
        damaged(Tree::Keys, &record::object_key(namespace, key))
    }

    /// Visits all namespaces but the default one.
    pub(crate) fn namespaces(
        &self,
        visit: &mut dyn FnMut(&str, NamespaceRecord) -> Visited,
    ) -> Result<()> {
        let tree = Tree::Namespaces;
        self.stack
            .view()
            .scan(tree, Bound::Unbounded, &mut |key, value| {
                // Another row of the same namespace.
                if record::parse_namespace_key(key).is_some() {
                    return Ok(ControlFlow::Continue(()));
                }
                let record = decode(tree, key, value, NamespaceRecord::decode)?;
                visit(
                    std::str::from_utf8(key).map_err(|_| damaged(tree, key))?,
                    record,
                )
            })
    }

    /// Visits their other rows, those by number.
    pub(crate) fn namespaces_by_number(
        &self,
        visit: &mut dyn FnMut(NamespaceId, &str, NamespaceRecord) -> Visited,
    ) -> Result<()> {
        let tree = Tree::Namespaces;
        // No name begins with NUL.
        let prefix = &[0];
        self.stack.view().scan_within(
            tree,
            (prefix, Bound::Included(prefix)),
            &mut |key, value| {
                let number = record::parse_namespace_key(key).ok_or_else(|| damaged(tree, key))?;
                let fields = record::unseal(tree, key, value);
                let row = fields.and_then(NamespaceRecord::decode_with);
                let (record, name) = row.ok_or_else(|| damaged(tree, key))?;
                visit(number, name, record)
            },
        )
    }

    /// The row of a namespace by its name.
    pub(crate) fn namespace(&self, name: &str) -> Result<Option<NamespaceRecord>> {
        self.row(Tree::Namespaces, name.as_bytes(), NamespaceRecord::decode)
    }

    /// The row of a namespace by its number, which has its name.
    pub(crate) fn namespace_by_number(
        &self,
        number: NamespaceId,
    ) -> Result<Option<(NamespaceRecord, String)>> {
        let key = record::namespace_key(number);
        self.row(Tree::Namespaces, &key, |fields| {
            let (record, name) = NamespaceRecord::decode_with(fields)?;
            Some((record, name.to_owned()))
        })
    }

    /// What those uploads and objects of a namespace add up to that share a stripe.
    pub(crate) fn usage_of_stripe(&self, namespace: NamespaceId, stripe: u8) -> Result<Usage> {
        let key = record::usage_key(namespace, stripe);
        Ok(self
            .row(Tree::Usage, &key, record::read_usage)?
            .unwrap_or_default())
    }

    /// What a namespace holds: the sum of at most 256 rows.
    pub(crate) fn usage(&self, namespace: NamespaceId) -> Result<Usage> {
        let mut usage = Usage::default();
        self.all_usage(namespace, &mut |found, _, stripe| {
            if found == namespace {
                usage.add(&stripe);
            }
            Ok(enough(found != namespace))
        })?;
        Ok(usage)
    }

    /// Visits the sums from those of a namespace on, by namespace and stripe.
    pub(crate) fn all_usage(
        &self,
        from: NamespaceId,
        visit: &mut dyn FnMut(NamespaceId, u8, Usage) -> Visited,
    ) -> Result<()> {
        let (tree, from) = (Tree::Usage, record::usage_key(from, 0));
        self.stack
            .view()
            .scan(tree, Bound::Included(&from), &mut |key, value| {
                let (namespace, stripe) =
                    record::parse_usage_key(key).ok_or_else(|| damaged(tree, key))?;
                visit(
                    namespace,
                    stripe,
                    decode(tree, key, value, record::read_usage)?,
                )
            })
    }

    pub(crate) fn part(&self, id: UploadId, number: PartNumber) -> Result<Option<PartRecord>> {
        self.row(
            Tree::Parts,
            &record::part_key(id, number),
            PartRecord::decode,
        )
    }

    /// Visits the upload's parts with numbers above `after`, ascending.
    pub(crate) fn parts(
        &self,
        id: UploadId,
        after: u16,
        visit: &mut dyn FnMut(PartNumber, PartRecord) -> Visited,
    ) -> Result<()> {
        let prefix = id.to_bytes();
        let from = record::numbered_key(&prefix, after);
        let range = (prefix.as_slice(), Bound::Excluded(from.as_slice()));
        self.stack
            .view()
            .scan_within(Tree::Parts, range, &mut |key, value| {
                let (_, number) =
                    record::parse_part_key(key).ok_or_else(|| damaged(Tree::Parts, key))?;
                visit(number, decode(Tree::Parts, key, value, PartRecord::decode)?)
            })
    }

    /// Visits every part of every upload.
    pub(crate) fn all_parts(
        &self,
        visit: &mut dyn FnMut(UploadId, PartNumber, PartRecord) -> Visited,
    ) -> Result<()> {
        self.stack
            .view()
            .scan(Tree::Parts, Bound::Unbounded, &mut |key, value| {
                let (id, number) =
                    record::parse_part_key(key).ok_or_else(|| damaged(Tree::Parts, key))?;
                visit(
                    id,
                    number,
                    decode(Tree::Parts, key, value, PartRecord::decode)?,
                )
            })
    }

    /// Visits every part of an upload or object with its namespace. Parts that only a tombstone stands for
    /// are left out.
    pub(crate) fn all_parts_by_namespace(
        &self,
        visit: &mut dyn FnMut(NamespaceId, UploadId, PartRecord) -> Visited,
    ) -> Result<()> {
        // Parts stand in the order of their uploads.
        let mut last = None;
        self.all_parts(&mut |id, _, part| {
            let namespace = match last {
                Some((known, namespace)) if known == id => namespace,
                _ => self.upload(id)?.map(|upload| upload.namespace),
            };
            last = Some((id, namespace));
            match namespace {
                Some(namespace) => visit(namespace, id, part),
                None => Ok(ControlFlow::Continue(())),
            }
        })
    }

    pub(crate) fn tombstone(&self, id: UploadId) -> Result<Option<Tombstone>> {
        self.row(Tree::Tombstones, &id.to_bytes(), Tombstone::decode)
    }

    /// Visits uploads and objects that have ended, and whose parts are not released yet, by id.
    pub(crate) fn tombstones(
        &self,
        visit: &mut dyn FnMut(UploadId, Tombstone) -> Visited,
    ) -> Result<()> {
        let tree = Tree::Tombstones;
        self.stack
            .view()
            .scan(tree, Bound::Unbounded, &mut |key, value| {
                let id = UploadId::from_bytes(key).ok_or_else(|| damaged(tree, key))?;
                visit(id, decode(tree, key, value, Tombstone::decode)?)
            })
    }

    /// Visits open uploads from a place in the order of namespaces, keys, then ids.
    pub(crate) fn uploads_in_progress(
        &self,
        from: Bound<&[u8]>,
        visit: &mut dyn FnMut((NamespaceId, &str), UploadId) -> Visited,
    ) -> Result<()> {
        self.stack
            .view()
            .scan(Tree::UploadNames, from, &mut |key, value| {
                decode(Tree::UploadNames, key, value, |_| Some(()))?;
                let (namespace, name, id) =
                    record::parse_name_key(key).ok_or_else(|| damaged(Tree::UploadNames, key))?;
                visit((namespace, name), id)
            })
    }

    /// Whether listings of open uploads find this one.
    pub(crate) fn has_name(
        &self,
        (namespace, key): (NamespaceId, &str),
        id: UploadId,
    ) -> Result<bool> {
        let name = record::name_key(namespace, key, id);
        Ok(self.row(Tree::UploadNames, &name, |_| Some(()))?.is_some())
    }

    pub(crate) fn has_metadata(&self, id: UploadId, number: u16) -> Result<bool> {
        let key = record::numbered_key(&id.to_bytes(), number);
        Ok(self.row(Tree::Metadata, &key, |_| Some(()))?.is_some())
    }

    /// Visits every piece of metadata: whose it is, and its number.
    pub(crate) fn all_metadata(
        &self,
        visit: &mut dyn FnMut(UploadId, u16) -> Visited,
    ) -> Result<()> {
        self.stack
            .view()
            .scan(Tree::Metadata, Bound::Unbounded, &mut |key, value| {
                decode(Tree::Metadata, key, value, |_| Some(()))?;
                let (id, number) =
                    record::parse_metadata_key(key).ok_or_else(|| damaged(Tree::Metadata, key))?;
                visit(id, number)
            })
    }

    /// What the blob must hold. `None` if no blob has this hash.
    pub(crate) fn blob(&self, content: &ContentHash) -> Result<Option<BlockCrcs>> {
        let first_key = record::numbered_key(content.as_bytes(), 0);
        let mut sums = BlockCrcs::default();
        let first = self.row(Tree::Blobs, &first_key, |fields| {
            let (head, crcs) = BlobHead::decode(fields)?;
            sums.size = head.size;
            record::read_crcs(crcs, &mut sums.crcs)
        })?;
        if first.is_none() {
            return Ok(None);
        }
        for number in 1..record::blob_row_count(sums.size, sums.crcs.len()) {
            let key = record::numbered_key(content.as_bytes(), number);
            let row = self.row(Tree::Blobs, &key, |fields| {
                record::read_crcs(fields.bytes, &mut sums.crcs)
            })?;
            row.ok_or_else(|| damaged(Tree::Blobs, &key))?;
        }
        if !sums.is_whole() {
            return Err(damaged(Tree::Blobs, &first_key));
        }
        Ok(Some(sums))
    }

    /// Returns the blobs after `after`, ascending, at most `limit`.
    pub(crate) fn blobs(
        &self,
        after: Option<ContentHash>,
        limit: usize,
    ) -> Result<Vec<ContentHash>> {
        let from = after.map(|content| record::numbered_key(content.as_bytes(), u16::MAX));
        let mut blobs = Vec::new();
        self.stack
            .view()
            .scan(Tree::Blobs, bound_after(from.as_deref()), &mut |key, _| {
                let (content, number) = key
                    .split_first_chunk::<32>()
                    .ok_or_else(|| damaged(Tree::Blobs, key))?;
                if number == [0, 0] {
                    blobs.push(ContentHash::from_bytes(*content));
                }
                Ok(enough(blobs.len() >= limit))
            })?;
        Ok(blobs)
    }

    /// Returns who refers to the blob, at most `limit`.
    pub(crate) fn references(
        &self,
        content: &ContentHash,
        limit: usize,
    ) -> Result<Vec<(UploadId, PartNumber)>> {
        let mut references = Vec::new();
        let prefix = content.as_bytes().as_slice();
        self.stack.view().scan_within(
            Tree::Refs,
            (prefix, Bound::Included(prefix)),
            &mut |key, value| {
                decode(Tree::Refs, key, value, |_| Some(()))?;
                let (_, id, number) =
                    record::parse_ref_key(key).ok_or_else(|| damaged(Tree::Refs, key))?;
                references.push((id, number));
                Ok(enough(references.len() >= limit))
            },
        )?;
        Ok(references)
    }

    pub(crate) fn has_reference(
        &self,
        content: &ContentHash,
        id: UploadId,
        number: PartNumber,
    ) -> Result<bool> {
        Ok(self
            .row(Tree::Refs, &record::ref_key(content, id, number), |_| {
                Some(())
            })?
            .is_some())
    }

    pub(crate) fn is_garbage(&self, content: &ContentHash) -> Result<bool> {
        Ok(self
            .row(Tree::Garbage, content.as_bytes(), |_| Some(()))?
            .is_some())
    }

    pub(crate) fn blob_size(&self, content: &ContentHash) -> Result<Option<u64>> {
        self.row(
            Tree::Blobs,
            &record::numbered_key(content.as_bytes(), 0),
            |fields| Some(BlobHead::decode(fields)?.0.size),
        )
    }

    pub(crate) fn is_referenced(&self, content: &ContentHash) -> Result<bool> {
        Ok(!self.references(content, 1)?.is_empty())
    }

    /// Visits every reference.
    pub(crate) fn all_references(
        &self,
        visit: &mut dyn FnMut(ContentHash, UploadId, PartNumber) -> Visited,
    ) -> Result<()> {
        self.stack
            .view()
            .scan(Tree::Refs, Bound::Unbounded, &mut |key, value| {
                decode(Tree::Refs, key, value, |_| Some(()))?;
                let (content, id, number) =
                    record::parse_ref_key(key).ok_or_else(|| damaged(Tree::Refs, key))?;
                visit(content, id, number)
            })
    }

    /// Returns the blobs that lost a reference and were not swept since, after `after`, ascending, at most
    /// `limit`.
    pub(crate) fn garbage(
        &self,
        after: Option<ContentHash>,
        limit: usize,
    ) -> Result<Vec<ContentHash>> {
        let mut garbage = Vec::new();
        let from = after.map(|content| *content.as_bytes());
        self.stack.view().scan(
            Tree::Garbage,
            bound_after(from.as_ref().map(<[u8; 32]>::as_slice)),
            &mut |key, value| {
                decode(Tree::Garbage, key, value, |_| Some(()))?;
                garbage.push(
                    record::parse_content_key(key).ok_or_else(|| damaged(Tree::Garbage, key))?,
                );
                Ok(enough(garbage.len() >= limit))
            },
        )?;
        Ok(garbage)
    }

    fn row<T>(
        &self,
        tree: Tree,
        key: &[u8],
        read: impl FnOnce(Fields<'_>) -> Option<T>,
    ) -> Result<Option<T>> {
        let value = self.stack.view().get(tree, key)?;
        value
            .map(|value| decode(tree, key, &value, read))
            .transpose()
    }
}

fn bound_after(key: Option<&[u8]>) -> Bound<&[u8]> {
    key.map_or(Bound::Unbounded, Bound::Excluded)
}

fn enough(yes: bool) -> ControlFlow<()> {
    if yes {
        ControlFlow::Break(())
    } else {
        ControlFlow::Continue(())
    }
}

fn decode<T>(
    tree: Tree,
    key: &[u8],
    value: &[u8],
    read: impl FnOnce(Fields<'_>) -> Option<T>,
) -> Result<T> {
    record::unseal(tree, key, value)
        .and_then(read)
        .ok_or_else(|| damaged(tree, key))
}

pub(super) fn damaged(tree: Tree, key: &[u8]) -> Error {
    Error::DamagedRow {
        tree: tree.name(),
        key: hex::encode(key),
    }
}
