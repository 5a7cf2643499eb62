//! Parts: whether one may come, and steps 6 and 7 of its way in (design.md, section 6).

use super::super::engine::Engine;
use super::super::format::record::PartRecord;
use super::super::meta::{Change, SpaceUse};
use super::answers;
use crate::backend::{Algorithms, NewBlob, PartRow};
use crate::values::namespace::UsageChange;
use crate::{Part, PartNumber, Result, Upload, clock};

/// Passes if a part of so many bytes may come (R9, R10a). Returns the checksums that its upload wants.
pub(super) fn admit(engine: &Engine, upload: &Upload, bytes: u64) -> Result<Algorithms> {
    let record = engine.record_if_open(upload)?;
    let adds = UsageChange::of_bytes(bytes, 0);
    engine
        .namespaces
        .check(&engine.meta, record.namespace, adds)?;
    Ok(record.wanted)
}

/// Steps 6 and 7: commits a part under its number, if the upload is still open (R10b, R11). Returns when that
/// is durable.
pub(super) fn commit(
    engine: &Engine,
    (upload, number): (&Upload, PartNumber),
    part: &PartRow,
    blob: Option<&NewBlob>,
) -> Result<Part> {
    let id = upload.id();
    let part = PartRecord::of(part, clock::now_ms());
    let ticket = {
        let _one_order = engine.locks.lock(id)?;
        let upload = engine.record_if_open(upload)?;
        let replaced = engine.meta.part(id, number)?;
        // I4: the blob that loses a reference is pinned, so a sweep sees it before or after this change,
        // not halfway.
        let _pinned = replaced
            .as_ref()
            .map(|before| engine.pins.pin(vec![before.content]))
            .transpose()?;
        let mut change = Change::default();
        add_blob(&mut change, &part, blob);
        let place = (upload.namespace, id, number);
        change.put_part(place, &part, replaced.as_ref());
        engine.commit(change, SpaceUse::Grows)?
    };
    // No lock is held here, so that commits can gather into a group.
    engine.meta.wait(ticket)?;
    Ok(answers::part(number, &part))
}

/// Adds the rows of a part's blob, if it has none. The file of one that is repaired has the same name and
/// holds the same bytes.
pub(super) fn add_blob(change: &mut Change, part: &PartRecord, blob: Option<&NewBlob>) {
    if let Some(blob) = blob.filter(|blob| !blob.repairs) {
        change.add_blob(&part.content, &blob.stored.crcs);
        if let Some(body) = &blob.body {
            change.carry(&part.content, body);
        }
    }
}
