//! Checks segments while they are in use.

use std::cell::Cell;

use super::segment::{self, damaged};
use crate::going::Going;
use crate::local::file::{self, Dir};
use crate::local::format::frame::{self, Kind};
use crate::local::format::segment::HEADER_LEN;
use crate::local::format::segment::stamp_of;
use crate::{DamagedFile, Result};

/// A segment and its newest batch.
#[derive(Clone, Copy, Debug)]
pub(super) struct Extent {
    pub number: u64,
    pub last_seq: u64,
}

/// Reads the segments, oldest first, through batch `durable`, while other threads may write behind it.
/// Returns the first damage of each.
pub(super) fn damaged_files(
    (dir, going): (&Dir, &Going<'_>),
    segments: &[Extent],
    durable: u64,
    found: &mut Vec<DamagedFile>,
) -> Result<()> {
    let mut before = 0;
    for extent in segments {
        let read = Cell::new(0);
        let check = || check_segment((dir, &read), *extent, before, durable);
        found.extend(DamagedFile::met_by(&check)?);
        going.advance(read.get())?;
        before = extent.last_seq;
    }
    Ok(())
}

/// `before` is the newest batch of the segment before it, 0 for the oldest segment. `read` gets the number
/// of bytes.
fn check_segment(
    (dir, read): (&Dir, &Cell<u64>),
    extent: Extent,
    before: u64,
    durable: u64,
) -> Result<()> {
    let Extent { number, last_seq } = extent;
    let place = segment::place_of(dir, number);
    let bytes = file::read(&place)?;
    read.set(bytes.len() as u64);
    let damage = |offset: usize, reason| damaged(&place.path(), offset as u64, reason);
    let stamp =
        stamp_of(number, &bytes).ok_or_else(|| damage(0, "the segment's header cannot be read"))?;
    let (mut seq, mut offset) = (before, HEADER_LEN);
    while seq < last_seq.min(durable) {
        let frame = frame::frame_at(stamp, &bytes, offset);
        if let Some(body) = frame
            .as_ref()
            .filter(|frame| frame.header.kind == Kind::Body)
        {
            offset = body.end;
            continue;
        }
        let frame = frame
            .filter(|frame| frame.header.kind == Kind::Batch)
            .filter(|frame| seq == 0 || frame.header.seq == seq + 1)
            .ok_or_else(|| damage(offset, "an acknowledged batch cannot be read"))?;
        (seq, offset) = (frame.header.seq, frame.end);
    }
    // A segment and its seal are durable before the next segment is written to.
    let is_sealed = frame::frame_at(stamp, &bytes, offset)
        .is_some_and(|frame| frame.header.kind == Kind::Seal && frame.header.seq == last_seq);
    if last_seq < durable && !is_sealed {
        return Err(damage(offset, "the segment has lost its seal"));
    }
    Ok(())
}
