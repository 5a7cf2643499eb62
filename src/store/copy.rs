//! Copies a part: writes the rows of a put, for bytes that are already stored. No byte is copied. Bytes are
//! read only for a checksum that the upload wants and the source lacks.

use super::engine::Engine;
use super::put::{admit, commit_part};
use super::read::{PartReader, crcs_of, open_blob};
use crate::format::record::PartRecord;
use crate::values::checksum::Algorithms;
use crate::values::digest::BLOCK_LEN;
use crate::values::hasher::Hasher;
use crate::values::part::Slot;
use crate::{Checksum, Error, Part, PartOptions, Result, clock, rules};

/// Puts the part that `source` reads under another number, or in another upload.
pub(super) fn copy(engine: &Engine, source: &PartReader, slot: Slot<'_>) -> Result<Part> {
    // I4: a reader of another store has no pin in this one.
    if !source.is_of(engine) {
        return Err(Error::InvalidArgument {
            argument: "source",
            found: "a reader of another store".to_owned(),
            expected: "a reader that this store has opened since it was opened itself",
        });
    }
    let part = source.part();
    // No body will come, so room is needed for the journal only.
    let declared = PartOptions::new().content_length(part.size);
    let upload = admit(engine, slot, &declared)?;
    engine.room.check(0)?;
    rules::check_minimum(&engine.options, slot.number, part.size)?;
    // I1: the reader has pinned the blob since a part referred to it. So the blob's rows are in the journal
    // before the part's, and its file stays.
    let sums = crcs_of(engine, &part.content)?;
    engine.blobs.require_sound(&part.content, &sums)?;
    let lacking = upload.wanted.minus(part.checksums.algorithms());
    let mut record = PartRecord::copied(part, clock::now_ms());
    for checksum in read_checksums(engine, part, lacking)? {
        record.checksums = record.checksums.with(checksum);
    }
    commit_part(engine, slot, &record, None)
}

/// Reads the bytes of a part, whose blob is pinned, for these checksums.
fn read_checksums(engine: &Engine, part: &Part, wanted: Algorithms) -> Result<Vec<Checksum>> {
    if wanted.is_empty() {
        return Ok(Vec::new());
    }
    let mut hashers: Vec<Hasher> = wanted.iter().map(Hasher::new).collect();
    let mut blob = open_blob(engine, part.content)?;
    let (mut block, mut position) = (vec![0; BLOCK_LEN], 0);
    loop {
        engine.closing.check()?;
        let len = blob.read_at(position, &mut block)?;
        if len == 0 {
            return Ok(hashers.into_iter().map(Hasher::finalize).collect());
        }
        for hasher in &mut hashers {
            hasher.update(block.get(..len).unwrap_or_default());
        }
        position += len as u64;
    }
}
