//! What readers and writers hold: pins on blobs (I4).

use std::ops::ControlFlow;

use super::super::engine::Engine;
use super::super::format::record::UploadState;
use super::super::pins::Pinned;
use super::answers;
use crate::backend::{HeldObject, HeldPart, Hold, Location, StoredBlob};
use crate::{ContentHash, Error, ObjectPart, Part, PartNumber, Result, Upload};

/// I4: the blob is pinned before it is looked for. So no sweep can remove it in between.
pub(super) fn look_up(
    engine: &Engine,
    content: &ContentHash,
) -> Result<(Hold, Option<StoredBlob>)> {
    let pinned = engine.pins.pin(vec![*content])?;
    Ok((Hold::new(pinned), find(engine, content)?))
}

/// What a blob must hold, if it is pinned and a part refers to it.
pub(super) fn blob(engine: &Engine, content: &ContentHash) -> Result<StoredBlob> {
    let missing = || Error::DamagedBlob {
        hash: *content,
        reason: "its record is missing".to_owned(),
    };
    find(engine, content)?.ok_or_else(missing)
}

fn find(engine: &Engine, content: &ContentHash) -> Result<Option<StoredBlob>> {
    let crcs = engine.meta.blob(content)?;
    Ok(crcs.map(|crcs| StoredBlob {
        location: Location::default(),
        crcs,
    }))
}

/// Whether this engine, since it was opened, respects the hold.
pub(super) fn is_of(engine: &Engine, hold: &Hold) -> bool {
    let pinned = hold.get::<Pinned>();
    pinned.is_some_and(|pinned| pinned.is_of(&engine.pins))
}

/// A part of an open upload.
pub(super) fn part(engine: &Engine, upload: &Upload, number: PartNumber) -> Result<HeldPart> {
    loop {
        engine.record_if_open(upload)?;
        let record = engine
            .meta
            .part(upload.id(), number)?
            .ok_or_else(|| upload.part_not_found(number))?;
        let pinned = engine.pins.pin(vec![record.content])?;
        // Read again under the pin, because a sweep may have removed the blob of a part that was replaced
        // just before.
        if engine
            .meta
            .part(upload.id(), number)?
            .is_some_and(|now| now.content == record.content)
        {
            return Ok(HeldPart {
                part: answers::part(number, &record),
                blob: blob(engine, &record.content)?,
                hold: Hold::new(pinned),
            });
        }
    }
}

/// An object with its parts.
pub(super) fn object(engine: &Engine, upload: &Upload) -> Result<HeldObject> {
    let (object, parts) = {
        // A completion changes the index row by row. Under the upload's lock, all of its rows are
        // changed, or none.
        let _whole = engine.locks.lock(upload.id())?;
        (
            answers::locked_object(engine, upload)?,
            parts_of(engine, upload)?,
        )
    };
    let contents = parts.iter().map(|part| part.content).collect();
    let pinned = engine.pins.pin(contents)?;
    // Read again under the pins, because a sweep may have removed the blobs of an object that was
    // removed just before.
    let still = engine
        .record(upload)?
        .is_some_and(|record| matches!(record.state, UploadState::Completed(_)));
    if !still {
        return Err(upload.object_not_found());
    }
    Ok(HeldObject {
        object,
        parts: ObjectPart::all(parts),
        hold: Hold::new(pinned),
    })
}

fn parts_of(engine: &Engine, upload: &Upload) -> Result<Vec<Part>> {
    let mut parts = Vec::new();
    engine.meta.parts(upload.id(), 0, &mut |number, part| {
        parts.push(answers::part(number, &part));
        Ok(ControlFlow::Continue(()))
    })?;
    Ok(parts)
}
