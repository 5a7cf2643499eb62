//! Completing: an open upload and a list of its parts become an object, without touching a byte of
//! them (R29). The object that it takes the place of goes in the same batch.

use std::collections::HashMap;
use std::ops::ControlFlow;

use md5::{Digest as _, Md5};

use super::engine::Engine;
use super::release::{Leaving, Which};
use crate::crc64::Combined;
use crate::meta::{Change, Claim, Completion, PartRecord, Ticket, UploadRecord, UploadState};
use crate::{
    CompletedPart, Error, Numbering, Object, ObjectETag, Options, PartNumber, Result, Upload, clock,
};

pub(super) fn complete(
    engine: &Engine,
    upload: &Upload,
    list: &[CompletedPart],
    replaced: Option<&Upload>,
) -> Result<Object> {
    if list.is_empty() {
        return Err(Error::EmptyPartList);
    }
    engine.meta.check()?;
    let digest = digest_of(list);
    let other = replaced.unwrap_or(upload);
    let one_order = engine.locks.lock_both(upload.id(), other.id())?;
    let record = engine.record(upload)?.ok_or_else(|| upload.not_found())?;
    // Read now: when the answer is due the object may have been removed by somebody else.
    let metadata = engine.meta.metadata(upload.id(), &record)?;
    let metadata = metadata.ok_or_else(|| upload.not_found())?;
    let completion = match &record.state {
        UploadState::Completed(done) if done.list == digest => {
            // R25, R26: the call that completed it may still be waiting for the disk.
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
    Ok(object(upload, &record, &completion, metadata))
}

/// What the list selects, and what it leaves out.
struct Selection {
    listed: usize,
    size: u64,
    md5: [u8; 16],
    crc64: u64,
    unlisted: Vec<(PartNumber, PartRecord)>,
}

impl Selection {
    fn completion(&self, list: [u8; 32]) -> Completion {
        Completion {
            completed_ms: clock::now_ms(),
            size: self.size,
            parts: u16::try_from(self.listed).unwrap_or(u16::MAX),
            md5: self.md5,
            crc64: self.crc64,
            list,
        }
    }
}

/// Checks the list against the parts (R4, R21, R22, R23). Nothing is changed when it does not fit
/// (R27).
fn select(engine: &Engine, upload: &Upload, list: &[CompletedPart]) -> Result<Selection> {
    check_order(&engine.options, list)?;
    let wanted: HashMap<PartNumber, CompletedPart> =
        list.iter().map(|line| (line.number, *line)).collect();
    let (mut listed, mut unlisted) = (Vec::with_capacity(list.len()), Vec::new());
    engine.meta.parts(upload.id(), 0, &mut |number, part| {
        let matched = wanted.get(&number).map(|line| line.etag == part.etag);
        match matched {
            Some(true) => listed.push((number, part)),
            Some(false) => {
                return Err(unusable(
                    wanted.get(&number),
                    "it was replaced since: its ETag is another now",
                ));
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
        return Err(unusable(Some(missing), "it was never put"));
    }
    check_sizes(&engine.options, &listed)?;
    Ok(sum_up(&listed, unlisted))
}

fn unusable(line: Option<&CompletedPart>, reason: &'static str) -> Error {
    let text = |part: fn(&CompletedPart) -> String| line.map(part).unwrap_or_default();
    Error::InvalidPart {
        number: text(|line| line.number.to_string()),
        etag: text(|line| line.etag.to_string()),
        reason,
    }
}

fn check_order(options: &Options, list: &[CompletedPart]) -> Result<()> {
    let pairs = || list.iter().zip(list.iter().skip(1));
    if let Some((before, after)) = pairs().find(|(before, after)| after.number <= before.number) {
        let (previous, number) = (before.number, after.number);
        return Err(Error::InvalidPartOrder { previous, number });
    }
    let gap = pairs().find(|(before, after)| after.number.get() != before.number.get() + 1);
    match gap {
        Some((_, after)) if options.numbering == Numbering::Consecutive => {
            let reason = "the part before it is not listed, and numbers must be consecutive";
            Err(unusable(Some(after), reason))
        }
        _ => Ok(()),
    }
}

fn check_sizes(options: &Options, listed: &[(PartNumber, PartRecord)]) -> Result<()> {
    let minimum = options.min_part_size;
    let all_but_last = listed.split_last().map_or(&[][..], |(_, before)| before);
    match all_but_last.iter().find(|(_, part)| part.size < minimum) {
        Some((number, part)) => Err(Error::EntityTooSmall {
            number: *number,
            etag: Some(part.etag),
            size: part.size,
            minimum,
        }),
        None => Ok(()),
    }
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

/// What goes when the upload becomes an object: the object that it replaces, and what was not listed
/// (R24).
fn leaving(
    engine: &Engine,
    upload: &Upload,
    unlisted: Vec<(PartNumber, PartRecord)>,
    replaced: Option<&Upload>,
) -> Result<Vec<Leaving>> {
    let find = |object| Leaving::find(engine, object, Which::Completed);
    // First, so that its row goes right behind the upload's: who looks without a lock may see both for a
    // moment, never neither.
    let mut leaving = Vec::from_iter(replaced.map(find).transpose()?);
    leaving.push(Leaving::of_parts(upload.id(), unlisted));
    Ok(leaving)
}

/// One batch: the upload becomes an object, and what leaves goes.
fn commit(
    engine: &Engine,
    upload: &Upload,
    (record, completion): (&UploadRecord, Completion),
    leaving: &[Leaving],
) -> Result<Ticket> {
    let contents = leaving.iter().flat_map(Leaving::contents);
    let _released = engine.pins.pin(contents.collect())?;
    let mut change = Change::default();
    change.complete(upload.id(), record, completion);
    for one in leaving {
        one.remove(&mut change);
    }
    // Also when more goes than comes: what the spare segment holds back is for calls that only release.
    engine.meta.commit(&change, Claim::Growth)
}

/// By which the same completion again is known (R25).
fn digest_of(list: &[CompletedPart]) -> [u8; 32] {
    let mut hasher = blake3::Hasher::new();
    for line in list {
        hasher.update(&line.number.get().to_be_bytes());
        hasher.update(line.etag.as_bytes());
    }
    *hasher.finalize().as_bytes()
}

/// The object that a completed upload is.
pub(super) fn object_of(engine: &Engine, upload: &Upload, record: &UploadRecord) -> Result<Object> {
    let UploadState::Completed(done) = &record.state else {
        return Err(upload.object_not_found());
    };
    let metadata = engine.meta.metadata(upload.id(), record)?;
    let metadata = metadata.ok_or_else(|| upload.object_not_found())?;
    Ok(object(upload, record, done, metadata))
}

fn object(upload: &Upload, record: &UploadRecord, done: &Completion, metadata: Vec<u8>) -> Object {
    Object {
        upload: upload.clone(),
        etag: ObjectETag {
            md5: done.md5,
            parts: done.parts,
        },
        size: done.size,
        parts: done.parts,
        crc64: done.crc64,
        initiated_at: clock::time_of(record.initiated_ms),
        completed_at: clock::time_of(done.completed_ms),
        metadata,
    }
}
