//! Initiating an upload.

use super::engine::Engine;
use crate::format::record::{UploadRecord, UploadState};
use crate::meta::{Change, SpaceUse};
use crate::values::id::check_key;
use crate::{Result, Upload, clock, rules};

pub(super) fn initiate(engine: &Engine, key: &str, metadata: &[u8]) -> Result<Upload> {
    check_key(key, engine.options.max_key_len)?;
    let metadata_len = rules::metadata_len(&engine.options, metadata)?;
    engine.room.check(metadata_len.into())?;
    engine.ages.note(engine.ids.newest());
    let upload = Upload::new(key, engine.ids.next()?);
    let record = UploadRecord {
        key: key.to_owned(),
        initiated_ms: clock::now_ms(),
        metadata_len,
        state: UploadState::Open,
    };
    let mut change = Change::default();
    change.initiate(upload.id(), &record, metadata);
    let ticket = {
        // No caller knows this id yet. But `verify` reads all uploads, and must see this one whole.
        let _whole = engine.locks.lock(upload.id())?;
        engine.meta.commit(&change, SpaceUse::Grows)?
    };
    engine.meta.wait(ticket)?;
    Ok(upload)
}
