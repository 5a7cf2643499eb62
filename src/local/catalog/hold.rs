//! What readers and writers hold: pins on blobs, or an object as a whole (I4).

#[cfg(all(test, not(shuttle)))]
mod tests;

use std::ops::ControlFlow;

use super::super::engine::Engine;
use super::super::format::record::{Marks, UploadState};
use super::super::held::HeldUpload;
use super::super::pins::Pinned;
use super::super::release;
use super::answers;
use crate::backend::{HeldObject, HeldPart, Hold, Location, PartsFrom, StoredBlob};
use crate::sync::Mutex;
use crate::{ContentHash, Error, Object, ObjectPart, Part, PartNumber, Result, Upload};

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
    let whole = hold.get::<HeldWhole>();
    pinned.is_some_and(|pinned| pinned.is_of(&engine.pins))
        || whole.is_some_and(|whole| whole.held.is_of(&engine.held))
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

/// Keeps an object with many parts.
struct HeldWhole {
    held: HeldUpload,
    /// Those that its row has, and those that were met since.
    marks: Mutex<Marks>,
}

/// An object with its first parts, or all.
pub(super) fn object(engine: &Engine, upload: &Upload) -> Result<HeldObject> {
    // A completion changes the index row by row. Under the upload's lock, all of its rows are changed, or
    // none.
    let whole = engine.locks.lock(upload.id())?;
    let found = answers::completed(engine, upload)?;
    let object = answers::object_of(engine, upload, &found)?;
    if usize::from(object.parts) > release::GROUP {
        // I4: from here on a removal leaves its parts to the release, which waits for this hold.
        let held = engine.held.hold(upload.id(), object.parts.into());
        let marks = Mutex::new(found.1.marks);
        drop(whole);
        return first_parts(engine, object, HeldWhole { held, marks });
    }
    let parts = parts_of(engine, upload)?;
    drop(whole);
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

fn first_parts(engine: &Engine, object: Object, held: HeldWhole) -> Result<HeldObject> {
    Ok(HeldObject {
        object,
        parts: held.parts(engine, PartsFrom::Number(PartNumber::MIN), release::GROUP)?,
        hold: Hold::new(held),
    })
}

/// Parts of an object that is held.
pub(super) fn parts(
    engine: &Engine,
    hold: &Hold,
    from: PartsFrom,
    most: usize,
) -> Result<Vec<ObjectPart>> {
    match hold.get::<HeldWhole>() {
        Some(whole) if whole.held.is_of(&engine.held) => whole.parts(engine, from, most),
        // It is of a store that was closed since.
        Some(_) => Err(Error::Closed),
        None => Ok(Vec::new()),
    }
}

impl HeldWhole {
    /// Nobody changes their rows, so they are read without a lock.
    fn parts(&self, engine: &Engine, from: PartsFrom, most: usize) -> Result<Vec<ObjectPart>> {
        let mut parts = Vec::with_capacity(most);
        let mut marks = self.marks.lock();
        let mut place = match from {
            PartsFrom::Byte(byte) => marks.before_byte(byte),
            PartsFrom::Number(number) => marks.before_part(number),
        };
        let (id, after) = (self.held.id(), place.after);
        engine.meta.parts(id, after, &mut |number, part| {
            let placed = ObjectPart::at(place.offset, answers::part(number, &part));
            place = place.behind(number, part.size);
            marks.pass(place);
            let is_there = match from {
                PartsFrom::Byte(byte) => place.offset > byte,
                PartsFrom::Number(wanted) => number >= wanted,
            };
            if is_there {
                parts.push(placed);
            }
            Ok(if parts.len() < most {
                ControlFlow::Continue(())
            } else {
                ControlFlow::Break(())
            })
        })?;
        Ok(parts)
    }
}
