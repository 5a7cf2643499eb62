//! Starts a new journal behind the layers, in place of a damaged one.

use super::segment::{self, Segment, damaged};
use crate::Result;
use crate::local::file::{self, Dir};
use crate::local::format::frame::{self, Kind};
use crate::local::format::segment::HEADER_LEN;
use crate::local::format::segment::stamp_of;

/// The newest batch with rows of which anything is left in `dir`, 0 for none. Files that cannot be read are
/// ignored.
pub(crate) fn newest_change(dir: &Dir) -> Result<u64> {
    let mut newest = 0;
    for number in segment::numbers_left(dir)? {
        let Ok(bytes) = file::read(&segment::place_of(dir, number)) else {
            continue;
        };
        let Some(stamp) = stamp_of(number, &bytes) else {
            continue;
        };
        let batches = frame::headers_from(stamp, &bytes, HEADER_LEN)
            .filter(|header| header.kind == Kind::Batch && header.len > 0);
        newest = batches.map(|header| header.seq).fold(newest, u64::max);
    }
    Ok(newest)
}

/// Puts a journal behind batch `seq` in place of all segments. It is one new segment, whose only batch
/// changes nothing. A durable layer through `seq` holds everything before it.
///
/// The batch is needed because a journal without any, in a store that is not new, is one that was lost. It
/// has a number of its own. So behind a journal that lacks batch `seq` it is found to be out of order.
pub(crate) fn restart(dir: &Dir, seq: u64, segment_len: u64) -> Result<()> {
    let before = segment::numbers_left(dir)?;
    let number = before.last().copied().unwrap_or(0).checked_add(1);
    let number = number.ok_or_else(|| damaged(dir.path(), 0, "no segment has a higher number"))?;
    let segment = Segment::create(dir, number, segment_len)?;
    let mut batch = Vec::new();
    let numbers = frame::Numbers {
        seq: seq + 1,
        durable: seq,
    };
    frame::encode(segment.stamp, Kind::Batch, numbers, &[], &mut batch);
    segment.handle.write_at(&batch, HEADER_LEN as u64)?;
    segment.handle.sync_data()?;
    for number in before {
        // The oldest first, and one by one, as always: what is left has no new gap.
        file::remove_if_present(&segment::place_of(dir, number))?;
        dir.sync()?;
    }
    Ok(())
}
