//! What is left of a damaged journal: every whole frame, before and behind the damage.
//!
//! A frame proves itself by its CRCs, which cover the salt of its segment. So bytes that a client wrote
//! into a key or into metadata never count as a frame, and neither does a frame of another segment.

use super::scan::{Visit, VisitBody};
use super::segment::{self, damaged};
use crate::local::file::{self, Dir, Handle, Place};
use crate::local::format::frame::{self, ALIGNMENT, Frame, Kind, Mark};
use crate::local::format::mutation;
use crate::local::format::segment::HEADER_LEN;
use crate::local::format::segment::stamp_of;
use crate::{ContentHash, DamagedFile, Result};

#[derive(Debug, Default)]
pub(crate) struct Remains {
    /// The oldest and the newest batch of each run of batches without a gap.
    pub ranges: Vec<(u64, u64)>,
    /// The newest batch that some frame calls durable.
    pub durable: u64,
    /// The newest batch of which anything is left.
    pub newest: u64,
    /// Whether batches may have existed behind the last one. That is so if bytes follow that are no frame,
    /// or if the last segment is sealed or cannot be read.
    pub end_is_open: bool,
    /// Where frames are missing: the first such place of each segment.
    pub damaged: Vec<DamagedFile>,
}

/// Passes every whole batch to `visit`, in order.
pub(crate) fn remains(dir: &Dir, visit: &mut Visit<'_>) -> Result<Remains> {
    let mut remains = Remains {
        end_is_open: true,
        ..Remains::default()
    };
    let mut expected = None;
    for number in segment::numbers_left(dir)? {
        if let Some(missing) = expected.filter(|missing| *missing != number) {
            let place = segment::place_of(dir, missing);
            remains.note(&place, 0, "this journal segment is missing");
        }
        expected = number.checked_add(1);
        let place = segment::place_of(dir, number);
        let Ok((bytes, all)) = read(&place) else {
            remains.note(&place, 0, "the file cannot be read");
            remains.end_is_open = true;
            continue;
        };
        if !all {
            remains.note(&place, 0, "the disk refuses to read some of it");
        }
        if let Some(mark) = mark_of(number, &bytes) {
            remains.read_segment(&place, (mark, &bytes), visit)?;
        } else if bytes.iter().any(|byte| *byte != 0) {
            remains.note(
                &place,
                0,
                "nothing says which segment these frames belong to",
            );
            remains.end_is_open = true;
        }
        remains.end_is_open |= !all;
    }
    Ok(remains)
}

/// Passes every whole body to `visit`. What cannot be read is skipped.
pub(crate) fn bodies_left(dir: &Dir, visit: &mut VisitBody<'_>) -> Result<()> {
    for number in segment::numbers_left(dir)? {
        let Ok((bytes, _)) = read(&segment::place_of(dir, number)) else {
            continue;
        };
        let Some(mark) = mark_of(number, &bytes) else {
            continue;
        };
        let mut offset = HEADER_LEN;
        while offset < bytes.len() {
            let Some(found) = frame::marked_frame_at(mark, &bytes, offset) else {
                offset += ALIGNMENT;
                continue;
            };
            let body = frame::read_body(found.payload);
            if let Some((content, body)) = body.filter(|_| found.header.kind == Kind::Body) {
                visit(&ContentHash::from_bytes(*content), body)?;
            }
            offset = found.end;
        }
    }
    Ok(())
}

fn read(place: &Place) -> Result<(Vec<u8>, bool)> {
    let handle = Handle::open_read(place)?;
    let mut bytes = vec![0; usize::try_from(handle.len()?).unwrap_or(0)];
    let all = file::read_what_reads(&handle, &mut bytes, 0);
    Ok((bytes, all))
}

/// Found in the segment's header. If that is lost, two whole frames, one behind the other, must agree on
/// it.
fn mark_of(number: u64, bytes: &[u8]) -> Option<Mark> {
    if let Some(stamp) = stamp_of(number, bytes) {
        return Some(Mark::of(stamp));
    }
    places(bytes, HEADER_LEN).find_map(|place| {
        let mark = Mark::at(bytes, place)?;
        let first = frame::marked_frame_at(mark, bytes, place)?;
        frame::marked_frame_at(mark, bytes, first.end).map(|_| mark)
    })
}

fn places(bytes: &[u8], from: usize) -> impl Iterator<Item = usize> {
    (from.next_multiple_of(ALIGNMENT)..bytes.len()).step_by(ALIGNMENT)
}

impl Remains {
    /// The newest whole batch, 0 for none.
    pub(crate) fn last(&self) -> u64 {
        self.ranges.last().map_or(0, |(_, last)| *last)
    }

    fn note(&mut self, place: &Place, offset: usize, reason: &str) {
        let file = DamagedFile::of(&damaged(&place.path(), offset as u64, reason));
        if self.damaged.iter().all(|known| known.path != file.path) {
            self.damaged.push(file);
        }
    }

    fn read_segment(
        &mut self,
        place: &Place,
        (mark, bytes): (Mark, &[u8]),
        visit: &mut Visit<'_>,
    ) -> Result<()> {
        let whole = |at: usize| frame::marked_frame_at(mark, bytes, at);
        let mut offset = HEADER_LEN;
        loop {
            let found = whole(offset).map(|frame| (offset, frame));
            let found =
                found.or_else(|| places(bytes, offset).find_map(|at| Some((at, whole(at)?))));
            let Some((at, frame)) = found else { break };
            if at != offset {
                self.note(place, offset, "batches cannot be read");
            }
            self.read_frame(&frame, visit)?;
            offset = frame.end;
            if frame.header.kind == Kind::Seal {
                self.end_is_open = true;
                return Ok(());
            }
        }
        let behind = bytes.get(offset..).unwrap_or_default();
        let holds_frames = offset > HEADER_LEN;
        self.end_is_open =
            behind.iter().any(|byte| *byte != 0) || (self.end_is_open && !holds_frames);
        // A frame whose payload is torn or damaged may still have its header.
        let headers =
            places(bytes, offset).filter_map(|at| frame::marked_header_at(mark, bytes, at));
        for header in headers {
            self.newest = self.newest.max(header.seq);
            self.durable = self.durable.max(header.durable);
        }
        if self.durable > self.last() {
            self.note(place, offset, "batches cannot be read");
        }
        Ok(())
    }

    fn read_frame(&mut self, frame: &Frame<'_>, visit: &mut Visit<'_>) -> Result<()> {
        let seq = frame.header.seq;
        self.durable = self.durable.max(frame.header.durable);
        self.newest = self.newest.max(seq);
        if frame.header.kind != Kind::Batch || seq <= self.last() {
            return Ok(());
        }
        let Some(mutations) = mutation::mutations(frame.payload) else {
            return Ok(());
        };
        match self.ranges.last_mut().filter(|(_, last)| last + 1 == seq) {
            Some((_, last)) => *last = seq,
            None => self.ranges.push((seq, seq)),
        }
        visit(seq, &mutations)
    }
}
