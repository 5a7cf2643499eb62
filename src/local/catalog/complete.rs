//! Completes an upload: it and a list of its parts become an object, without reading or moving a byte of
//! them (R29). The object that it replaces is removed in the same batch.

use std::ops::ControlFlow;

use super::super::engine::Engine;
use super::super::format::record::{Completion, PartRecord, UploadRecord, UploadState};
use super::super::meta::{Change, SpaceUse, Ticket};
use super::answers;
use super::current::{Current, Taking};
use super::end::{Leaving, Successor, UploadKind};
use crate::backend::Completing;
use crate::{Object, PartNumber, Result, Upload, clock};

pub(super) fn complete(
    engine: &Engine,
    upload: &Upload,
    completing: &Completing<'_>,
) -> Result<Object> {
    let identity = completing.identity();
    let other = completing.replaced().unwrap_or(upload);
    let keys = engine
        .locks
        .lock_keys(upload.full_key(), other.full_key())?;
    let current = completing
        .condition()
        .map(|condition| Current::find(engine, upload.full_key(), condition))
        .transpose()?;
    let leaver = current
        .as_ref()
        .and_then(Current::object)
        .or(completing.replaced());
    let one_order = engine
        .locks
        .lock_both(upload.id(), leaver.unwrap_or(upload).id())?;
    let record = engine.record(upload)?.ok_or_else(|| upload.not_found())?;
    // Read now, because another call may have removed the object when the answer is due.
    let metadata = engine.meta.metadata(upload.id(), &record)?;
    let metadata = metadata.ok_or_else(|| upload.not_found())?;
    let completion = match &record.state {
        UploadState::Completed(done) if done.list == identity => {
            // R25, R26: the call that completed the upload may still be waiting for the disk.
            let done = (**done).clone();
            drop((one_order, keys));
            engine.meta.wait_for_all()?;
            done
        }
        UploadState::Completed(_) => return Err(upload.not_found()),
        UploadState::Open => {
            current.as_ref().map_or(Ok(()), Current::check)?;
            let parts = parts_of(engine, upload)?;
            let rows = parts.iter().map(|(number, part)| (*number, part.row()));
            let verdict = completing.judge(record.composite, rows)?;
            let now = clock::now_ms();
            let is_listed = |number| verdict.unlisted.binary_search(number).is_err();
            let listed = parts.iter().filter(|(number, _)| is_listed(number));
            let completion = Completion::new(&verdict.object, now, current.is_some(), identity)
                .marked(listed.map(|(number, part)| (*number, part.size)));
            let leaving = Leaves {
                replaced: leaver
                    .map(|object| Leaving::find(engine, object, UploadKind::Completed))
                    .transpose()?,
                unlisted: unlisted(&record, upload, parts, &verdict.unlisted),
            };
            let taking = current.as_ref().map(Current::taking);
            let completed = (&record, &completion);
            let ticket = commit(engine, upload, completed, taking.as_ref(), &leaving)?;
            drop((one_order, keys));
            engine.meta.wait(ticket)?;
            completion
        }
    };
    Ok(answers::object_with(
        upload,
        record.initiated_ms,
        &completion,
        metadata,
    ))
}

type Parts = Vec<(PartNumber, PartRecord)>;

fn parts_of(engine: &Engine, upload: &Upload) -> Result<Parts> {
    let mut parts = Vec::new();
    engine.meta.parts(upload.id(), 0, &mut |number, part| {
        parts.push((number, part));
        Ok(ControlFlow::Continue(()))
    })?;
    Ok(parts)
}

fn unlisted(
    record: &UploadRecord,
    upload: &Upload,
    mut parts: Parts,
    numbers: &[PartNumber],
) -> Leaving {
    parts.retain(|(number, _)| numbers.binary_search(number).is_ok());
    Leaving::of_parts(record.namespace, upload.id(), parts)
}

/// What is removed when the upload becomes an object: the object that it replaces, and the parts that are
/// not listed (R24).
struct Leaves {
    replaced: Option<Leaving>,
    unlisted: Leaving,
}

/// Commits one batch: the upload becomes an object, and what is leaving is removed.
fn commit(
    engine: &Engine,
    upload: &Upload,
    (record, completion): (&UploadRecord, &Completion),
    taking: Option<&Taking<'_>>,
    leaving: &Leaves,
) -> Result<Ticket> {
    let all = leaving.replaced.iter().chain([&leaving.unlisted]);
    let _pinned = engine.pins.pin(all.flat_map(Leaving::contents).collect())?;
    let mut change = Change::default();
    change.complete(upload.id(), record, completion.clone());
    let successor = match taking {
        Some(taking) => {
            taking.take(&mut change, upload.id(), completion);
            Successor::Object
        }
        None => Successor::None,
    };
    if let Some(replaced) = &leaving.replaced {
        // Right after the rows of its successor. A reader without a lock may see both objects for a moment,
        // but never neither.
        replaced.remove(&mut change, successor);
    }
    leaving.unlisted.remove(&mut change, Successor::None);
    // Counts as growth even if it frees more than it adds: the spare segment is reserved for batches that
    // only free space.
    engine.commit(change, SpaceUse::Grows)
}
