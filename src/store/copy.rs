//! Copies a part: writes the rows of a put, for bytes that are already stored. No byte is copied. Bytes are
//! read only for a checksum that the upload wants and the source lacks.

use super::put::admit;
use super::read::PartReader;
use super::session::Session;
use crate::backend::{Algorithms, Hold, LONG_BLOCK, PartRow, StoredBlob};
use crate::values::hasher::Hasher;
use crate::values::part::Slot;
use crate::{Checksum, ContentHash, Error, Part, PartOptions, Result, rules};

/// Puts the part that `source` reads under another number, or in another upload.
pub(super) fn copy(session: &Session, source: &PartReader, slot: Slot<'_>) -> Result<Part> {
    // I4: a reader of another store has no hold in this one.
    if !session.catalog.owns(source.hold()) {
        return Err(Error::InvalidArgument {
            argument: "source",
            found: "a reader of another store".to_owned(),
            expected: "a reader that this store has opened since it was opened itself",
        });
    }
    let part = source.part();
    // No body will come, so room is needed for the journal only.
    let declared = PartOptions::new().content_length(part.size);
    let wanted = admit(session, slot, &declared)?;
    session.blobs.check_room(0)?;
    rules::check_minimum(&session.options, slot.number, part.size)?;
    let (_hold, blob) = hold(session, &part.content)?;
    session.blobs.require_sound(&part.content, &blob)?;
    let lacking = wanted.minus(part.checksums.algorithms());
    let mut row = PartRow::from(part);
    for checksum in read_checksums(session, part, blob, lacking)? {
        row.checksums = row.checksums.with(checksum);
    }
    let Slot { upload, number } = slot;
    session.catalog.commit_part(upload, number, &row, None)
}

/// Holds a blob, for a reference to be added. A reader has held it since a part referred to it, perhaps with all of its
/// object. So its rows are durable before those of the copy (I1), and its bytes stay.
pub(super) fn hold(session: &Session, content: &ContentHash) -> Result<(Hold, StoredBlob)> {
    let (hold, known) = session.catalog.look_up(content)?;
    // An engine may not look up a blob that nothing refers to any more, though the reader keeps it.
    let blob = match known {
        Some(blob) => blob,
        None => session.catalog.blob(content, &hold)?,
    };
    Ok((hold, blob))
}

/// Reads the bytes of a part, whose blob is held, for these checksums.
fn read_checksums(
    session: &Session,
    part: &Part,
    blob: StoredBlob,
    wanted: Algorithms,
) -> Result<Vec<Checksum>> {
    if wanted.is_empty() {
        return Ok(Vec::new());
    }
    let mut hashers: Vec<Hasher> = wanted.iter().map(Hasher::new).collect();
    let mut blob = session.blobs.open(&part.content, blob)?;
    let (mut piece, mut position) = (vec![0; LONG_BLOCK], 0);
    loop {
        session.closing.check()?;
        let len = blob.read_at(position, &mut piece)?;
        if len == 0 {
            return Ok(hashers.into_iter().map(Hasher::finalize).collect());
        }
        for hasher in &mut hashers {
            hasher.update(piece.get(..len).unwrap_or_default());
        }
        position += len as u64;
    }
}
