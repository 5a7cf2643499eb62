//! Completes an upload: it and a list of its parts become an object, without reading or moving a byte of
//! them (R29). The object that it replaces is removed in the same batch.

use std::collections::HashMap;
use std::ops::ControlFlow;

use md5::{Digest as _, Md5};

use super::answers;
use super::end::{Leaving, UploadKind};
use super::engine::Engine;
use crate::format::record::{Completion, PartRecord, UploadRecord, UploadState};
use crate::meta::{Change, SpaceUse, Ticket};
use crate::values::crc64::Combined;
use crate::{CompletedPart, Object, PartNumber, Result, Upload, clock, rules};

pub(super) fn complete(
    engine: &Engine,
    upload: &Upload,
    list: &[CompletedPart],
    replaced: Option<&Upload>,
) -> Result<Object> {
    rules::check_not_empty(list)?;
    engine.meta.check()?;
    let digest = digest_of(list);
    let other = replaced.unwrap_or(upload);
    let one_order = engine.locks.lock_both(upload.id(), other.id())?;
    let record = engine.record(upload)?.ok_or_else(|| upload.not_found())?;
    // Read now, because another call may have removed the object when the answer is due.
    let metadata = engine.meta.metadata(upload.id(), &record)?;
    let metadata = metadata.ok_or_else(|| upload.not_found())?;
    let completion = match &record.state {
        UploadState::Completed(done) if done.list == digest => {
            // R25, R26: the call that completed the upload may still be waiting for the disk.
            let done = done.clone();
            drop(one_order);
            engine.meta.wait_for_all()?;
            done
        }
        UploadState::Completed(_) => return Err(upload.not_found()),
        UploadState::Open => {
            let selection = select(engine, upload, list)?;
            let completion = selection.completion(digest);
            let leaving = leaving(engine, upload, selection.unlisted, replaced)?;
            let ticket = commit(engine, upload, (&record, completion.clone()), &leaving)?;
            drop(one_order);
            engine.meta.wait(ticket)?;
            completion
        }
    };
    Ok(answers::object_with(upload, &record, &completion, metadata))
}

/// The parts that the list selects, and those that it leaves out.
struct Selection {
    listed: usize,
    size: u64,
    md5: [u8; 16],
    crc64: u64,
    unlisted: Vec<(PartNumber, PartRecord)>,
}

impl Selection {
    fn completion(&self, list: [u8; 32]) -> Completion {
        let parts = u16::try_from(self.listed);
        assert!(parts.is_ok(), "more parts than part numbers");
        Completion {
            completed_ms: clock::now_ms(),
            size: self.size,
            parts: parts.unwrap_or_default(),
            md5: self.md5,
            crc64: self.crc64,
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
                rules::check_current(line, part.etag)?;
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
    Ok(sum_up(&listed, unlisted))
}

fn sum_up(
    listed: &[(PartNumber, PartRecord)],
    unlisted: Vec<(PartNumber, PartRecord)>,
) -> Selection {
    let mut md5 = Md5::new();
    let (mut size, mut crc64) = (0, Combined::new());
    for (_, part) in listed {
        md5.update(part.etag.as_bytes());
        crc64.push(part.crc64, part.size);
        size += part.size;
    }
    Selection {
        listed: listed.len(),
        size,
        md5: md5.finalize().into(),
        crc64: crc64.crc(),
        unlisted,
    }
}

/// What is removed when the upload becomes an object: the object that it replaces, and the parts that are
/// not listed (R24).
fn leaving(
    engine: &Engine,
    upload: &Upload,
    unlisted: Vec<(PartNumber, PartRecord)>,
    replaced: Option<&Upload>,
) -> Result<Vec<Leaving>> {
    let find = |object| Leaving::find(engine, object, UploadKind::Completed);
    // First, so that its row is removed right after the upload's row is changed. A reader without a lock
    // may see both objects for a moment, but never neither.
    let mut leaving = Vec::from_iter(replaced.map(find).transpose()?);
    leaving.push(Leaving::of_parts(upload.id(), unlisted));
    Ok(leaving)
}

/// Commits one batch: the upload becomes an object, and what is leaving is removed.
fn commit(
    engine: &Engine,
    upload: &Upload,
    (record, completion): (&UploadRecord, Completion),
    leaving: &[Leaving],
) -> Result<Ticket> {
    let contents = leaving.iter().flat_map(Leaving::contents);
    let _pinned = engine.pins.pin(contents.collect())?;
    let mut change = Change::default();
    change.complete(upload.id(), record, completion);
    for one in leaving {
        one.remove(&mut change);
    }
    // Counts as growth even if it frees more than it adds: the spare segment is reserved for batches that
    // only free space.
    engine.meta.commit(&change, SpaceUse::Grows)
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
