//! Completes an upload: it and a list of its parts become an object, without reading or moving a byte of
//! them (R29). The object that it replaces is removed in the same batch.

use std::collections::HashMap;
use std::ops::ControlFlow;

use super::answers;
use super::current::{Current, Taking};
use super::end::{Leaving, Successor, UploadKind};
use super::engine::Engine;
use crate::format::record::{Completion, PartRecord, UploadRecord, UploadState};
use crate::meta::{Change, SpaceUse, Ticket};
use crate::values::combine;
use crate::values::digest::etag_of_parts;
use crate::{CompleteOptions, CompletedPart, Object, PartNumber, Result, Upload, clock, rules};

pub(super) fn complete(
    engine: &Engine,
    upload: &Upload,
    list: &[CompletedPart],
    options: &CompleteOptions,
) -> Result<Object> {
    rules::check_not_empty(list)?;
    rules::check_one_successor(options)?;
    engine.meta.check()?;
    let digest = digest_of(list);
    let other = options.replaced.as_ref().unwrap_or(upload);
    let keys = engine
        .locks
        .lock_keys(upload.full_key(), other.full_key())?;
    let current = options
        .current
        .map(|condition| Current::find(engine, upload.full_key(), condition))
        .transpose()?;
    let leaver = current.as_ref().and_then(Current::object);
    let other = leaver.or(options.replaced.as_ref()).unwrap_or(upload);
    let one_order = engine.locks.lock_both(upload.id(), other.id())?;
    let record = engine.record(upload)?.ok_or_else(|| upload.not_found())?;
    // Read now, because another call may have removed the object when the answer is due.
    let metadata = engine.meta.metadata(upload.id(), &record)?;
    let metadata = metadata.ok_or_else(|| upload.not_found())?;
    let completion = match &record.state {
        UploadState::Completed(done) if done.list == digest => {
            // R25, R26: the call that completed the upload may still be waiting for the disk.
            let done = (**done).clone();
            drop((one_order, keys));
            engine.meta.wait_for_all()?;
            done
        }
        UploadState::Completed(_) => return Err(upload.not_found()),
        UploadState::Open => {
            current.as_ref().map_or(Ok(()), Current::check)?;
            let selection = select(engine, upload, list)?;
            let completion = selection.completion(&record, (digest, current.is_some()));
            rules::check_whole(options, &completion)?;
            let leaving = Leaves {
                replaced: replaced(engine, options, leaver)?,
                unlisted: Leaving::of_parts(record.namespace, upload.id(), selection.unlisted),
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

/// The parts that the list selects, and those that it leaves out.
struct Selection {
    listed: Vec<(PartNumber, PartRecord)>,
    unlisted: Vec<(PartNumber, PartRecord)>,
}

impl Selection {
    fn completion(&self, upload: &UploadRecord, (list, current): ([u8; 32], bool)) -> Completion {
        let parts = || self.listed.iter().map(|(_, part)| part);
        let etag = etag_of_parts(parts().map(|part| part.etag));
        let completed_ms = clock::now_ms();
        let sums = || parts().map(|part| (part.known_checksums(), part.size));
        Completion {
            completed_ms,
            modified_ms: completed_ms,
            size: parts().map(|part| part.size).sum(),
            parts: etag.parts,
            etag,
            checksums: combine::whole(parts().map(|part| (&part.checksums, part.size))),
            composite: combine::composite(&sums(), upload.composite),
            current,
            list,
        }
    }
}

/// Checks the list against the parts (R4, R21, R22, R23). If they do not fit, nothing is changed (R27).
fn select(engine: &Engine, upload: &Upload, list: &[CompletedPart]) -> Result<Selection> {
    rules::check_order(&engine.options, list)?;
    let wanted: HashMap<PartNumber, CompletedPart> =
        list.iter().map(|line| (line.number, *line)).collect();
    let (mut listed, mut unlisted) = (Vec::with_capacity(list.len()), Vec::new());
    engine.meta.parts(upload.id(), 0, &mut |number, part| {
        match wanted.get(&number) {
            Some(line) => {
                rules::check_current(line, part.etag, &part.known_checksums())?;
                listed.push((number, part));
            }
            None => unlisted.push((number, part)),
        }
        Ok(ControlFlow::Continue(()))
    })?;
    if let Some(missing) = list.iter().find(|line| {
        listed
            .binary_search_by_key(&line.number, |(number, _)| *number)
            .is_err()
    }) {
        return Err(rules::never_put(missing));
    }
    let sizes = listed
        .iter()
        .map(|(number, part)| (*number, part.etag, part.size));
    rules::check_sizes(&engine.options, sizes)?;
    Ok(Selection { listed, unlisted })
}

/// What is removed when the upload becomes an object: the object that it replaces, and the parts that are
/// not listed (R24).
struct Leaves {
    replaced: Option<Leaving>,
    unlisted: Leaving,
}

/// The object that is removed: the current one of the key, or the one that the caller names.
fn replaced(
    engine: &Engine,
    options: &CompleteOptions,
    current: Option<&Upload>,
) -> Result<Option<Leaving>> {
    let object = current.or(options.replaced.as_ref());
    object
        .map(|object| Leaving::find(engine, object, UploadKind::Completed))
        .transpose()
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

/// Identifies a completion, so that the same one is recognised when it comes again (R25).
fn digest_of(list: &[CompletedPart]) -> [u8; 32] {
    let mut hasher = blake3::Hasher::new();
    for line in list {
        hasher.update(&line.number.get().to_be_bytes());
        hasher.update(line.etag.as_bytes());
    }
    *hasher.finalize().as_bytes()
}
