//! What a store of format 1 lacks: the rows that say what each namespace holds. A salvaged store lacks them,
//! too.

use std::ops::{Bound, ControlFlow};

use crate::Result;
use crate::local::format::mutation::Tree;
use crate::local::format::record::UploadState;
use crate::local::meta::{Change, MetaStore, SpaceUse};
use crate::values::namespace::UsageChange;

/// Adds up what each namespace holds, if no row says so yet. Whoever has an upload has such a row, so only a
/// store that lacks all of them is counted. All rows stand in one batch, so a crash leaves all or none.
pub(super) fn count_usage(meta: &MetaStore) -> Result<()> {
    let tally = meta.tally();
    if tally.rows_of(Tree::Uploads) == 0 || tally.rows_of(Tree::Usage) > 0 {
        return Ok(());
    }
    let mut change = Change::default();
    meta.uploads(None, &mut |id, upload| {
        let is_open = upload.state == UploadState::Open;
        change.count(upload.namespace, id, UsageChange::of_upload(is_open));
        Ok(ControlFlow::Continue(()))
    })?;
    meta.all_parts_by_namespace(&mut |namespace, id, part| {
        change.count(namespace, id, UsageChange::of_bytes(part.size, 0));
        Ok(ControlFlow::Continue(()))
    })?;
    meta.keys(Bound::Unbounded, &mut |(namespace, _), current| {
        change.count(namespace, current.id, UsageChange::OF_KEY);
        Ok(ControlFlow::Continue(()))
    })?;
    // It frees nothing, but a store on a full disk must open.
    let ticket = meta.commit(change, SpaceUse::Frees)?;
    meta.wait(ticket)
}
