//! Judges which of the rows that prove themselves fit together. It looks at an upload with all rows that
//! belong to it.
//!
//! Rows say something about each other. A reference names upload, number and content. So a part whose row
//! is lost is made again from its reference and the bytes of its blob. A name has the key and the id of an
//! open upload. References, names and garbage of the result are derived, never copied.

use super::super::change::Change;
use super::super::fold::Fold;
use super::super::index::Index;
use super::super::rows::Row;
use super::streams::{Stream, Streams};
use super::{Blobs, Losses, Spaces};
use crate::local::format::mutation::{Mutation, Tree};
use crate::local::format::record::{
    self, Completion, Fields, KeyRecord, Marks, PartRecord, Tombstone, UploadRecord, UploadState,
};
use crate::values::checksum::Algorithms;
use crate::values::digest;
use crate::values::namespace::NamespaceId;
use crate::{
    Checksum, ContentHash, ETag, Loss, ObjectETag, PartNumber, Result, Upload, UploadId, clock,
};

/// Rows in the order of uploads. The keys of names and references here begin with the upload's id.
pub(super) struct Judge<'a> {
    pub blobs: &'a dyn Blobs,
    pub indexes: &'a [Index],
    /// Whether batches are lost, so that the index may have newer rows.
    pub batches_lost: bool,
    pub losses: &'a mut Losses,
    pub spaces: &'a mut Spaces,
}

/// Of all rows that are kept, and of the keys that have their row.
type Folds<'a> = (&'a mut Fold, &'a mut Fold);

/// All that is known of an upload.
struct Known {
    id: UploadId,
    record: Option<UploadRecord>,
    name: Option<(NamespaceId, String)>,
    /// Whether it is the current object of its key.
    is_current: bool,
    metadata: Vec<(u16, Vec<u8>)>,
    parts: Vec<(PartNumber, PartRecord)>,
}

impl Judge<'_> {
    /// Passes each upload that is left, with its parts, to the first fold, and the rows of keys that are left
    /// to the second one. They count before what objects say of themselves: where batches are lost, a
    /// replaced object exists again.
    pub(super) fn run(
        &mut self,
        (rows, by_upload): (&Streams, &Streams),
        mut folds: Folds<'_>,
    ) -> Result<()> {
        let mut streams = [
            rows.open(Tree::Uploads)?,
            by_upload.open(Tree::UploadNames)?,
            rows.open(Tree::Metadata)?,
            rows.open(Tree::Parts)?,
            by_upload.open(Tree::Refs)?,
            by_upload.open(Tree::Keys)?,
        ];
        let mut tombstones = rows.open(Tree::Tombstones)?;
        while let Some(id) = next_id(&mut streams)? {
            if self.has_ended(id, &streams, &mut tombstones)? {
                for stream in &mut streams {
                    stream.take(&id.to_bytes())?;
                }
                continue;
            }
            let known = self.known(id, &mut streams)?;
            self.keep(known, &mut folds)?;
        }
        Ok(())
    }

    /// Whether an upload has ended, and only its parts were left to be released. The truth decides. A
    /// tombstone that only the index has may be of a batch that never was durable, so it counts only where
    /// nothing else is known of the upload.
    fn has_ended(
        &self,
        id: UploadId,
        streams: &[Stream; 6],
        tombstones: &mut Stream,
    ) -> Result<bool> {
        let prefix = id.to_bytes();
        let of_truth = tombstones.take(&prefix)?.pop();
        if of_truth.is_some_and(|row| decode(&row, Tombstone::decode).is_some()) {
            return Ok(true);
        }
        let [uploads, names, _, _, _, keys] = streams;
        let is_known = [uploads, names, keys].into_iter().any(|stream| {
            let next = stream.peek();
            next.is_some_and(|row| row.key.starts_with(&prefix))
        });
        let has_tombstone =
            |index| index_row(index, Tree::Tombstones, &prefix, Tombstone::decode).is_some();
        Ok(!is_known && self.indexes.iter().any(has_tombstone))
    }

    fn known(&mut self, id: UploadId, streams: &mut [Stream; 6]) -> Result<Known> {
        let prefix = id.to_bytes();
        let [uploads, names, metadata, parts, references, keys] = streams;
        let record = uploads.take(&prefix)?.pop();
        let record = record.and_then(|row| decode(&row, UploadRecord::decode));
        let name = names.take(&prefix)?.pop().and_then(|row| row.value);
        let metadata = metadata.take(&prefix)?.into_iter().filter_map(|row| {
            let (_, piece) = record::parse_metadata_key(&row.key)?;
            Some((piece, decode(&row, |fields| Some(fields.bytes.to_vec()))?))
        });
        let parts = parts.take(&prefix)?.into_iter().filter_map(|row| {
            let (_, number) = record::parse_part_key(&row.key)?;
            Some((number, decode(&row, PartRecord::decode)?))
        });
        let mut known = Known {
            id,
            record,
            name: name.and_then(|name| {
                let (namespace, key) = record::parse_object_key(&name)?;
                Some((namespace, key.to_owned()))
            }),
            is_current: !keys.take(&prefix)?.is_empty(),
            metadata: metadata.collect(),
            parts: parts.collect(),
        };
        self.add_newer_of_index(&mut known);
        let references = references.take(&prefix)?;
        self.add_parts_of_references(&mut known, &references)?;
        known.parts.sort_by_key(|(number, _)| *number);
        Ok(known)
    }

    /// If batches are lost, a row of the index may be newer than the one that is left of the truth.
    fn add_newer_of_index(&self, known: &mut Known) {
        if !self.batches_lost {
            return;
        }
        for index in self.indexes {
            for (number, part) in &mut known.parts {
                let key = record::part_key(known.id, *number);
                let found = index_row(index, Tree::Parts, &key, PartRecord::decode);
                if let Some(newer) = found.filter(|found| found.stored_ms > part.stored_ms) {
                    *part = newer;
                }
            }
            let key = known.id.to_bytes();
            let found = index_row(index, Tree::Uploads, &key, UploadRecord::decode);
            if let Some(found) = found.filter(|found| found.state != UploadState::Open) {
                known.record = Some(found);
            }
        }
    }

    /// Handles a reference without a part: the blob's bytes say what the part's row said.
    fn add_parts_of_references(&mut self, known: &mut Known, references: &[Row]) -> Result<()> {
        // Only the ETag of a whole object tells of which kind those of its parts were.
        let is_opaque = known
            .record
            .as_ref()
            .is_some_and(|record| match &record.state {
                UploadState::Completed(done) => done.etag.tag.md5().is_none(),
                UploadState::Open => false,
            });
        for row in references {
            let Some((key, content)) = row.key.split_last_chunk::<32>() else {
                continue;
            };
            let Some((id, number)) = record::parse_part_key(key) else {
                continue;
            };
            if known.parts.iter().any(|(known, _)| *known == number) {
                continue;
            }
            let content = ContentHash::from_bytes(*content);
            match self.blobs.prove(&content)? {
                Some(proven) => {
                    let part = PartRecord {
                        size: proven.blocks.size,
                        etag: if is_opaque {
                            ETag::of_blake3(content.as_bytes())
                        } else {
                            ETag::from_md5(proven.md5)
                        },
                        content,
                        checksums: [
                            Checksum::Crc32(proven.crc32),
                            Checksum::Crc64Xz(proven.crc64),
                        ]
                        .into_iter()
                        .collect(),
                        stored_ms: id.unix_seconds() * 1000,
                    };
                    known.parts.push((number, part));
                    self.losses.time(id, number);
                }
                None => self.losses.part(id, number),
            }
        }
        Ok(())
    }

    fn keep(&mut self, mut known: Known, folds: &mut Folds<'_>) -> Result<()> {
        let parts: Vec<_> = known.parts.iter().map(|(number, _)| *number).collect();
        let row = known.record.take();
        let row_is_lost = row.is_none();
        let Some(mut record) = row.or_else(|| named(&known)) else {
            let given_back = (!parts.is_empty()).then(|| stand_in(known.id));
            self.losses.add(Loss::Upload {
                id: known.id,
                parts,
                given_back: given_back.clone(),
            });
            return match given_back {
                Some(upload) => {
                    let record = open_again(NamespaceId::DEFAULT, upload.key());
                    write(folds, (known.id, false), &record, &[], &known.parts)
                }
                None => Ok(()),
            };
        };
        let upload = Upload::new(self.spaces.key_of(&record), known.id);
        if let UploadState::Completed(done) = &record.state
            && !adds_up(done, &known.parts)
        {
            self.losses.add(Loss::Object {
                upload: upload.clone(),
                expected: done.parts,
                parts,
            });
            record = UploadRecord {
                metadata_len: record.metadata_len,
                ..open_again(record.namespace, &record.key)
            };
        }
        if let UploadState::Completed(done) = &mut record.state {
            let parts = known.parts.iter();
            done.marks = Marks::of(parts.map(|(number, part)| (*number, part.size)));
        }
        let metadata = whole_metadata(record.metadata_len, &known.metadata);
        if row_is_lost || metadata.is_none() {
            self.losses.add(Loss::Metadata {
                upload: upload.clone(),
            });
        }
        let metadata = metadata.unwrap_or_default();
        record.metadata_len = u32::try_from(metadata.len()).unwrap_or(0);
        let whole = (known.id, known.is_current);
        write(folds, whole, &record, &metadata, &known.parts)
    }
}

/// The smallest id that any stream continues with. Keys that begin with no id are skipped.
fn next_id(streams: &mut [Stream; 6]) -> Result<Option<UploadId>> {
    let mut smallest = None;
    for stream in streams {
        let id = loop {
            let Some(row) = stream.peek() else { break None };
            let prefix = row.key.first_chunk::<{ UploadId::BYTES }>();
            match prefix.and_then(|prefix| UploadId::from_bytes(prefix)) {
                Some(id) => break Some(id),
                None => stream.next()?,
            };
        };
        smallest = [smallest, id].into_iter().flatten().min();
    }
    Ok(smallest)
}

fn decode<T>(row: &Row, read: impl FnOnce(Fields<'_>) -> Option<T>) -> Option<T> {
    record::unseal(row.tree, &row.key, row.value.as_deref()?).and_then(read)
}

fn index_row<T>(
    index: &Index,
    tree: Tree,
    key: &[u8],
    read: impl FnOnce(Fields<'_>) -> Option<T>,
) -> Option<T> {
    let value = index.get(tree, key).ok()???;
    record::unseal(tree, key, &value).and_then(read)
}

/// Makes the row of an open upload again from its name.
fn named(known: &Known) -> Option<UploadRecord> {
    let (namespace, key) = known.name.clone()?;
    let lens = known.metadata.iter().map(|(_, piece)| piece.len());
    Some(UploadRecord {
        initiated_ms: known.id.unix_seconds() * 1000,
        metadata_len: u32::try_from(lens.sum::<usize>()).unwrap_or(0),
        ..open_again(namespace, &key)
    })
}

/// Makes an open upload of what is not proven whole. It begins now, so that it does not expire at once.
fn open_again(namespace: NamespaceId, key: &str) -> UploadRecord {
    UploadRecord {
        namespace,
        key: key.to_owned(),
        initiated_ms: clock::now_ms(),
        metadata_len: 0,
        wanted: Algorithms::default(),
        composite: Algorithms::default(),
        state: UploadState::Open,
    }
}

/// The name under which parts are given back whose upload has lost its key.
fn stand_in(id: UploadId) -> Upload {
    Upload::new(format!("salvaged/{id}"), id)
}

/// Whether these are the parts that the upload was completed with.
fn adds_up(done: &Completion, parts: &[(PartNumber, PartRecord)]) -> bool {
    let size: u64 = parts.iter().map(|(_, part)| part.size).sum();
    let etags = || parts.iter().map(|(_, part)| part.etag);
    // An object that was put or copied as a whole may have the ETag of another object's parts. Then only
    // number and size tell.
    let etag_fits = match done.etag.parts {
        0 => parts.len() > 1 || etags().all(|etag| ObjectETag::from(etag) == done.etag),
        _ => digest::etag_of_parts(etags()) == done.etag,
    };
    usize::from(done.parts) == parts.len() && done.size == size && etag_fits
}

/// `None` if a piece is missing, or if together they have another length.
fn whole_metadata(len: u32, pieces: &[(u16, Vec<u8>)]) -> Option<Vec<u8>> {
    let mut metadata = Vec::new();
    for number in 0..record::metadata_row_count(len) {
        let (_, piece) = pieces.iter().find(|(piece, _)| *piece == number)?;
        metadata.extend_from_slice(piece);
    }
    (metadata.len() == len as usize).then_some(metadata)
}

/// The rows of an upload, as a store would have written them.
fn write(
    (fold, keys): &mut Folds<'_>,
    (id, is_current): (UploadId, bool),
    record: &UploadRecord,
    metadata: &[u8],
    parts: &[(PartNumber, PartRecord)],
) -> Result<()> {
    let mut change = Change::default();
    change.initiate(id, record, metadata);
    if let UploadState::Completed(done) = &record.state
        && (is_current || done.current)
    {
        let current = KeyRecord::of(id, done);
        change.set_key((record.namespace, &record.key), &current, None);
    }
    for (number, part) in parts {
        change.put_part((record.namespace, id, *number), part, None);
    }
    let mutations =
        crate::local::format::mutation::mutations(change.batch().payload()).unwrap_or_default();
    mutations.iter().try_for_each(|row: &Mutation<'_>| {
        if is_current && row.tree == Tree::Keys {
            keys.add(row)
        } else {
            fold.add(row)
        }
    })
}
