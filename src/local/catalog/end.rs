//! Ends uploads and objects: aborts, removals and expiry. What a completion removes is removed in the same
//! way, in the completion's batch.

use std::ops::{Bound, ControlFlow};
use std::time::Duration;

use super::super::engine::Engine;
use super::super::format::record::{PartRecord, Tombstone, UploadRecord, UploadState};
use super::super::meta::{Change, SpaceUse, Ticket};
use super::super::release;
use crate::going::Going;
use crate::values::namespace::NamespaceId;
use crate::{ContentHash, Error, PartNumber, Result, Upload, UploadId};

/// Whether an open upload or an object is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum UploadKind {
    Open,
    Completed,
}

/// Parts that are removed. If their upload or object is removed, too, it has that as well. Many parts of
/// such a one are left to the [`release`].
///
/// I4: its owner holds the upload's lock, and that of its key if it is an object. It pins the contents until
/// the change is committed.
pub(super) struct Leaving {
    namespace: NamespaceId,
    id: UploadId,
    upload: Option<UploadRecord>,
    /// Whether it is the current object of its key.
    pub is_current: bool,
    parts: Parts,
}

/// How parts are removed.
enum Parts {
    /// In the batch.
    Now(Vec<(PartNumber, PartRecord)>),
    /// By the release, later. The batch has the same few rows, however many they are.
    Later(Tombstone),
}

impl Leaving {
    /// A whole upload or object.
    pub(super) fn find(engine: &Engine, upload: &Upload, kind: UploadKind) -> Result<Self> {
        let found = engine
            .record(upload)?
            .filter(|record| (record.state == UploadState::Open) == (kind == UploadKind::Open));
        let record = found.ok_or_else(|| match kind {
            UploadKind::Open => upload.not_found(),
            UploadKind::Completed => upload.object_not_found(),
        })?;
        let mut leaving = Self::of_parts(record.namespace, upload.id(), Vec::new());
        leaving.parts = Parts::find(engine, upload.id(), &record.state)?;
        if kind == UploadKind::Completed {
            let current = engine.meta.key((record.namespace, &record.key))?;
            leaving.is_current = current.is_some_and(|current| current.id == upload.id());
        }
        leaving.upload = Some(record);
        Ok(leaving)
    }

    /// Some parts of an upload that remains.
    pub(super) fn of_parts(
        namespace: NamespaceId,
        id: UploadId,
        parts: Vec<(PartNumber, PartRecord)>,
    ) -> Self {
        Self {
            namespace,
            id,
            upload: None,
            is_current: false,
            parts: Parts::Now(parts),
        }
    }

    /// The blobs that lose a reference.
    pub(super) fn contents(&self) -> impl Iterator<Item = ContentHash> {
        let now = match &self.parts {
            Parts::Now(parts) => parts.as_slice(),
            Parts::Later(_) => &[],
        };
        now.iter().map(|(_, part)| part.content)
    }

    /// Removes all of it. If another object takes its key, that key's row was set before.
    pub(super) fn remove(&self, change: &mut Change, successor: Successor) {
        if let Some(record) = &self.upload {
            if self.is_current && successor == Successor::None {
                change.remove_key((record.namespace, &record.key), self.id);
            }
            match &self.parts {
                Parts::Now(_) => change.remove_upload(self.id, record),
                Parts::Later(tombstone) => change.bury_upload(self.id, record, *tombstone),
            }
        }
        if let Parts::Now(parts) = &self.parts {
            for (number, part) in parts {
                change.remove_part((self.namespace, self.id, *number), part);
            }
        }
    }
}

impl Parts {
    /// Those of a whole upload or object.
    fn find(engine: &Engine, id: UploadId, state: &UploadState) -> Result<Self> {
        if let UploadState::Completed(done) = state
            && usize::from(done.parts) > release::GROUP
        {
            return Ok(Self::Later(Tombstone {
                parts: done.parts.into(),
                bytes: done.size,
            }));
        }
        let (mut parts, mut all) = (Vec::new(), Tombstone::default());
        engine.meta.parts(id, 0, &mut |number, part| {
            all.add(part.size);
            if parts.len() < release::GROUP {
                parts.push((number, part));
            }
            Ok(ControlFlow::Continue(()))
        })?;
        // I4: what somebody holds is left to the release, which waits for that.
        let is_now = parts.len() as u64 == all.parts && !engine.held.holds(id);
        Ok(if is_now {
            Self::Now(parts)
        } else {
            Self::Later(all)
        })
    }
}

/// What becomes of the key whose current object is removed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Successor {
    None,
    /// Another object is its current one, by the same batch.
    Object,
}

/// Removes an upload or an object with all its parts, durably. A sweep removes their blobs later (R31).
pub(super) fn end(engine: &Engine, upload: &Upload, kind: UploadKind) -> Result<()> {
    let ticket = commit(engine, upload, kind)?;
    engine.meta.wait(ticket)
}

/// Commits one batch, and does not wait for it.
fn commit(engine: &Engine, upload: &Upload, kind: UploadKind) -> Result<Ticket> {
    with_room(engine, || {
        let _key = match kind {
            UploadKind::Open => None,
            UploadKind::Completed => Some(engine.locks.lock_key(upload.full_key())?),
        };
        let _one_order = engine.locks.lock(upload.id())?;
        let leaving = Leaving::find(engine, upload, kind)?;
        commit_leaving(engine, &leaving)
    })
}

/// Does what frees space. If the disk has no room for that, a sweep first removes what other calls have
/// released.
pub(super) fn with_room<T>(engine: &Engine, run: impl Fn() -> Result<T>) -> Result<T> {
    match run() {
        Err(Error::StorageFull { .. }) => {
            // The call does not report the progress of this sweep.
            engine.sweep(&Going::until(&engine.closing))?;
            engine.closing.check()?;
            run()
        }
        done => done,
    }
}

/// Commits the removal of a whole upload or object, whose locks the caller holds.
pub(super) fn commit_leaving(engine: &Engine, leaving: &Leaving) -> Result<Ticket> {
    let _pinned = engine.pins.pin(leaving.contents().collect())?;
    let mut change = Change::default();
    leaving.remove(&mut change, Successor::None);
    engine.commit(change, SpaceUse::Frees)
}

/// Aborts the uploads that were initiated longer ago than `age` (R33), until `going` says no. One sync
/// makes all of them durable. If the disk has no room for the next one, a sweep removes what the ones
/// before released.
pub(super) fn expire(
    engine: &Engine,
    age: Duration,
    spare: &dyn Fn(UploadId) -> bool,
    going: &Going<'_>,
) -> Result<u64> {
    let (mut aborted, mut newest) = (0, None);
    for upload in expired(engine, age, going)? {
        if !going.goes_on() {
            break;
        }
        if spare(upload.id()) {
            continue;
        }
        match commit(engine, &upload, UploadKind::Open) {
            Ok(ticket) => (aborted, newest) = (aborted + 1, Some(ticket)),
            // Another call has completed or aborted it in the meantime.
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
        .uploads_in_progress(Bound::Unbounded, &mut |(namespace, key), id| {
            let record = engine.meta.upload(id)?;
            if record.is_some_and(|record| engine.ages.is_older(id, record.initiated_ms, age_ms)) {
                expired.push(engine.namespaces.upload(namespace, key, id));
            }
            Ok(match going.advance_a_little(0) {
                Ok(()) => ControlFlow::Continue(()),
                Err(_) => ControlFlow::Break(()),
            })
        })?;
    Ok(expired)
}
