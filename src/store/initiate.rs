//! Initiating an upload.

use super::engine::Engine;
use crate::format::record::{UploadRecord, UploadState};
use crate::meta::{Change, SpaceUse};
use crate::values::namespace::UsageChange;
use crate::{Key, Result, Upload, UploadOptions, clock, rules};

pub(super) fn initiate(engine: &Engine, key: Key, options: &UploadOptions) -> Result<Upload> {
    key.check(engine.options.max_key_len)?;
    let metadata_len = rules::metadata_len(&engine.options, &options.metadata)?;
    rules::check_composite(options)?;
    let namespace = engine.namespaces.find(key.namespace())?;
    namespace.check(&engine.meta, UsageChange::default())?;
    engine.room.check(metadata_len.into())?;
    engine.ages.note(engine.ids.newest());
    let upload = Upload::new(key, engine.ids.next()?);
    let record = UploadRecord {
        namespace: namespace.id,
        key: upload.key().to_owned(),
        initiated_ms: clock::now_ms(),
        metadata_len,
        wanted: options.wanted,
        composite: options.composite,
        state: UploadState::Open,
    };
    let mut change = Change::default();
    change.initiate(upload.id(), &record, &options.metadata);
    let ticket = {
        // No caller knows this id yet. But `verify` reads all uploads, and must see this one whole.
        let _whole = engine.locks.lock(upload.id())?;
        engine.commit(change, SpaceUse::Grows)?
    };
    engine.meta.wait(ticket)?;
    Ok(upload)
}
