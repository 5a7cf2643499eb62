//! Copies a part: writes the rows of a put, for bytes that are already stored. No byte is copied.

use super::engine::Engine;
use super::put::{admit, commit_part};
use super::read::{PartReader, crcs_of};
use crate::format::record::PartRecord;
use crate::values::part::Slot;
use crate::{Error, Part, PartOptions, Result, clock, rules};

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
    admit(engine, slot, &declared)?;
    engine.room.check(0)?;
    rules::check_minimum(&engine.options, slot.number, part.size)?;
    // I1: the reader has pinned the blob since a part referred to it. So the blob's rows are in the journal
    // before the part's, and its file stays.
    let sums = crcs_of(engine, &part.content)?;
    engine.blobs.require_sound(&part.content, &sums)?;
    let record = PartRecord::copied(part, clock::now_ms());
    commit_part(engine, slot, &record, None)
}
