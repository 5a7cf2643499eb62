//! The rows of the blobs that parts refer to.

use super::super::rows::Row;
use super::streams::{Stream, Streams};
use super::{Blobs, Counting, Losses};
use crate::local::format::mutation::Tree;
use crate::local::format::record::{self, BlobHead};
use crate::values::blocks::BlockCrcs;
use crate::{ContentHash, Result};

/// Writes the rows of each blob that a part refers to: as they were, or made again from the bytes of its
/// file. `referring` are the rows of the result. `known` are the rows that were gathered.
pub(super) fn write(
    (referring, known): (&Streams, &Streams),
    blobs: &dyn Blobs,
    losses: &mut Losses,
    writer: &mut Counting<'_>,
) -> Result<()> {
    let mut references = referring.open(Tree::Refs)?;
    let mut rows = known.open(Tree::Blobs)?;
    while let Some(content) = references.peek().and_then(content_of) {
        let referring = references.take(content.as_bytes())?;
        if !write_one(&content, &mut rows, blobs, writer)? {
            for row in referring {
                if let Some((_, id, number)) = record::parse_ref_key(&row.key) {
                    losses.part(id, number);
                }
            }
        }
    }
    Ok(())
}

fn content_of(row: &Row) -> Option<ContentHash> {
    record::parse_ref_key(&row.key).map(|(content, ..)| content)
}

/// `false` if the file is missing or too short. Also `false` if it is the only proof of the rows and has
/// other bytes.
fn write_one(
    content: &ContentHash,
    rows: &mut Stream,
    blobs: &dyn Blobs,
    writer: &mut Counting<'_>,
) -> Result<bool> {
    let found = rows.take(content.as_bytes())?;
    if let Some(size) = size_of_whole(&found) {
        for row in &found {
            writer.push(
                Tree::Blobs,
                &row.key,
                row.value.as_deref().unwrap_or_default(),
            )?;
        }
        return blobs.has(content, size);
    }
    let Some(proven) = blobs.prove(content)? else {
        return Ok(false);
    };
    write_sums(content, &proven.blocks, writer)?;
    Ok(true)
}

/// The size of the blob, if all its rows exist.
fn size_of_whole(rows: &[Row]) -> Option<u64> {
    let mut sums = BlockCrcs::default();
    for (number, row) in (0..).zip(rows) {
        let (_, at) = row.key.split_last_chunk::<2>()?;
        let fields = record::unseal(row.tree, &row.key, row.value.as_deref()?)?;
        let mut crcs = fields.bytes;
        if number == 0 {
            let head;
            (head, crcs) = BlobHead::decode(fields)?;
            sums.size = head.size;
        }
        record::read_crcs(crcs, &mut sums.crcs)?;
        if u16::from_be_bytes(*at) != number {
            return None;
        }
    }
    let whole = !rows.is_empty() && sums.is_whole();
    whole.then_some(sums.size)
}

fn write_sums(content: &ContentHash, sums: &BlockCrcs, writer: &mut Counting<'_>) -> Result<()> {
    for (number, fields) in (0..).zip(record::blob_rows(sums)) {
        let key = record::numbered_key(content.as_bytes(), number);
        let value = record::seal(Tree::Blobs, &key, &fields);
        writer.push(Tree::Blobs, &key, &value)?;
    }
    Ok(())
}
