//! Ending: aborting uploads, removing objects, expiring what nobody completed. What a completion removes is
//! removed in the same way, in the completion's batch.

use std::ops::{Bound, ControlFlow};
use std::time::Duration;

use super::engine::Engine;
use crate::format::record::{PartRecord, UploadRecord, UploadState};
use crate::going::Going;
use crate::meta::{Change, SpaceUse, Ticket};
use crate::{ContentHash, Error, PartNumber, Result, Upload, UploadId};

/// Which uploads are meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum UploadKind {
    Open,
    Completed,
}

/// Parts that go, and the upload or object that they are of, if that goes, too.
///
/// Whoever has one holds the upload's lock, and pins the contents until the change is committed (I4).
pub(super) struct Leaving {
    id: UploadId,
    upload: Option<UploadRecord>,
    parts: Vec<(PartNumber, PartRecord)>,
}

impl Leaving {
    /// An upload or an object, whole.
    pub(super) fn find(engine: &Engine, upload: &Upload, kind: UploadKind) -> Result<Self> {
        let found = engine
            .record(upload)?
            .filter(|record| (record.state == UploadState::Open) == (kind == UploadKind::Open));
        let record = found.ok_or_else(|| match kind {
            UploadKind::Open => upload.not_found(),
            UploadKind::Completed => upload.object_not_found(),
        })?;
        let mut leaving = Self::of_parts(upload.id(), Vec::new());
        engine.meta.parts(upload.id(), 0, &mut |number, part| {
            leaving.parts.push((number, part));
            Ok(ControlFlow::Continue(()))
        })?;
        leaving.upload = Some(record);
        Ok(leaving)
    }

    /// Some parts of an upload that stays.
    pub(super) fn of_parts(id: UploadId, parts: Vec<(PartNumber, PartRecord)>) -> Self {
        Self {
            id,
            upload: None,
            parts,
        }
    }

    pub(super) fn contents(&self) -> impl Iterator<Item = ContentHash> {
        self.parts.iter().map(|(_, part)| part.content)
    }

    pub(super) fn remove(&self, change: &mut Change) {
        if let Some(record) = &self.upload {
            change.remove_upload(self.id, record);
        }
        for (number, part) in &self.parts {
            change.remove_part(self.id, *number, part);
        }
    }
}

/// Removes an upload or an object with all its parts, durably; their blobs are swept later (R31).
pub(super) fn end(engine: &Engine, upload: &Upload, kind: UploadKind) -> Result<()> {
    engine.meta.check()?;
    let ticket = commit(engine, upload, kind)?;
    engine.meta.wait(ticket)
}

/// One batch; not waited for. Without room for it what others have released is swept first.
fn commit(engine: &Engine, upload: &Upload, kind: UploadKind) -> Result<Ticket> {
    match try_commit(engine, upload, kind) {
        Err(Error::StorageFull { .. }) => {
            // Its progress is not that of the call.
            engine.sweep(&Going::until(&engine.closing))?;
            engine.closing.check()?;
            try_commit(engine, upload, kind)
        }
        done => done,
    }
}

fn try_commit(engine: &Engine, upload: &Upload, kind: UploadKind) -> Result<Ticket> {
    let _one_order = engine.locks.lock(upload.id())?;
    let leaving = Leaving::find(engine, upload, kind)?;
    let _released = engine.pins.pin(leaving.contents().collect())?;
    let mut change = Change::default();
    leaving.remove(&mut change);
    engine.meta.commit(&change, SpaceUse::Frees)
}

/// Aborts the uploads that were initiated longer ago than `age` (R33), as long as it is to go on.
/// One sync for all, and where there is no room for more, a sweep of those that came before.
pub(super) fn expire(engine: &Engine, age: Duration, going: &Going<'_>) -> Result<u64> {
    engine.meta.check()?;
    let (mut aborted, mut newest) = (0, None);
    for upload in expired(engine, age, going)? {
        if !going.goes_on() {
            break;
        }
        match commit(engine, &upload, UploadKind::Open) {
            Ok(ticket) => (aborted, newest) = (aborted + 1, Some(ticket)),
            // Completed or aborted by somebody else in the meantime.
            Err(Error::NoSuchUpload { .. }) => {}
            Err(error) => return Err(error),
        }
    }
    newest.map_or(Ok(()), |ticket| engine.meta.wait(ticket))?;
    Ok(aborted)
}

fn expired(engine: &Engine, age: Duration, going: &Going<'_>) -> Result<Vec<Upload>> {
    let age_ms = u64::try_from(age.as_millis()).unwrap_or(u64::MAX);
    engine.ages.note(engine.ids.newest());
    let mut expired = Vec::new();
    engine
        .meta
        .uploads_in_progress(Bound::Unbounded, &mut |key, id| {
            let record = engine.meta.upload(id)?;
            if record.is_some_and(|record| engine.ages.is_older(id, record.initiated_ms, age_ms)) {
                expired.push(Upload::new(key, id));
            }
            Ok(match going.advance_a_little(0) {
                Ok(()) => ControlFlow::Continue(()),
                Err(_) => ControlFlow::Break(()),
            })
        })?;
    Ok(expired)
}
