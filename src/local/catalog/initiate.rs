//! Initiating an upload.

use super::super::engine::Engine;
use super::super::format::record::{UploadRecord, UploadState};
use super::super::meta::{Change, SpaceUse};
use crate::backend::NewUpload;
use crate::values::namespace::UsageChange;
use crate::{Key, Result, Upload, clock, rules};

pub(super) fn initiate(engine: &Engine, key: &Key, new: &NewUpload<'_>) -> Result<Upload> {
    let metadata_len = rules::metadata_len(&engine.options, new.metadata)?;
    let namespace = engine.namespaces.find(key.namespace())?;
    namespace.check(&engine.meta, UsageChange::default())?;
    engine.ages.note(engine.ids.newest());
    let upload = Upload::new(key, engine.ids.next()?);
    let record = UploadRecord {
        namespace: namespace.id,
        key: upload.key().to_owned(),
        initiated_ms: clock::now_ms(),
        metadata_len,
        wanted: new.wanted,
        composite: new.composite,
        state: UploadState::Open,
    };
    let mut change = Change::default();
    change.initiate(upload.id(), &record, new.metadata);
    let ticket = {
        // No caller knows this id yet. But `verify` reads all uploads, and must see this one whole.
        let _whole = engine.locks.lock(upload.id())?;
        engine.commit(change, SpaceUse::Grows)?
    };
    engine.meta.wait(ticket)?;
    Ok(upload)
}
