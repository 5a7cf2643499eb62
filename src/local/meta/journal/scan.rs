//! Reads a journal back: what its whole frames say, where its end is, and whether bytes that cannot be read
//! are damage or a torn end.

use std::path::Path;

use super::segment::{self, damaged};
use crate::local::file::{self, Dir};
use crate::local::format::frame::{self, Kind, Stamp};
use crate::local::format::mutation::{self, Mutation};
use crate::local::format::segment::HEADER_LEN;
use crate::local::format::segment::stamp_of;
use crate::{ContentHash, Error, Result};

/// What a scan of the journal found.
#[derive(Debug, Default)]
pub(crate) struct Scan {
    /// Sequence number of the oldest batch. 0 for none.
    pub first_seq: u64,
    /// Sequence number of the newest batch. 0 for none.
    pub last_seq: u64,
    /// Sequence number of the newest batch that changes a row. 0 for none.
    pub last_change: u64,
    /// The newest batch that a later one calls durable.
    pub durable: u64,
    /// The sealed segments, oldest first.
    pub sealed: Vec<Sealed>,
    /// The segment to continue with, and where.
    pub tail: Tail,
    /// The empty segment behind the tail, if it exists.
    pub spare: Option<u64>,
    /// Segments behind the tail whose creation a crash interrupted.
    pub stillborn: Vec<u64>,
    /// Batches read.
    pub batches: u64,
    /// Bytes of the bodies that the journal carries.
    pub carried: u64,
}

impl Scan {
    /// The number of the oldest segment.
    pub(crate) fn oldest_segment(&self) -> u64 {
        self.sealed
            .first()
            .map_or(self.tail.number, |sealed| sealed.number)
    }
}

/// A segment that is not written to any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Sealed {
    pub number: u64,
    pub last_seq: u64,
    pub len: u64,
}

/// Where the journal ends.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Tail {
    pub number: u64,
    /// Where the next frame begins, bytes from the start of the segment.
    pub end: u64,
    /// Bytes behind `end` that a crash left and that hold no whole batch. 0 after a clean close.
    pub torn: u64,
}

/// Called with each batch, in order.
pub(crate) type Visit<'a> = dyn FnMut(u64, &[Mutation<'_>]) -> Result<()> + 'a;

/// Called with each blob that the journal carries: its hash, and its bytes.
pub(crate) type VisitBody<'a> = dyn FnMut(&ContentHash, &[u8]) -> Result<()> + 'a;

/// Reads every segment in `dir` and passes each batch to `visit`.
///
/// # Errors
/// [`Error::Damaged`] if a frame that was durable cannot be read, or a segment is missing. Also whatever
/// `visit` returns.
pub(crate) fn scan(dir: &Dir, visit: &mut Visit<'_>) -> Result<Scan> {
    let numbers = segment::numbers(dir)?;
    if numbers.is_empty() {
        return Err(damaged(dir.path(), 0, "the journal has no segment"));
    }
    let mut found = Scan::default();
    for number in numbers {
        let place = segment::place_of(dir, number);
        let (path, bytes) = (place.path(), file::read(&place)?);
        let source = Source::new(&path, number, &bytes);
        if found.tail.number == 0 {
            read_segment(&source, &mut found, visit)?;
        } else {
            read_behind_tail(&source, &mut found, dir)?;
        }
    }
    if found.tail.number == 0 {
        let next = found.sealed.last().map_or(1, |sealed| sealed.number + 1);
        return Err(damaged(
            &segment::place_of(dir, next).path(),
            0,
            "the newest journal segment is missing",
        ));
    }
    Ok(found)
}

/// Whether the directory holds no trace of a batch. Space that was preallocated and never written may hold
/// any bytes.
pub(crate) fn is_unused(dir: &Dir) -> Result<bool> {
    if !segment::foreign(dir)?.is_empty() {
        return Ok(false);
    }
    let numbers = match segment::numbers(dir) {
        Err(Error::Damaged { .. }) => return Ok(false),
        numbers => numbers?,
    };
    for number in numbers {
        let place = segment::place_of(dir, number);
        let (path, bytes) = (place.path(), file::read(&place)?);
        if Source::new(&path, number, &bytes).holds_a_frame() {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Passes each batch above `after`, through `through`, to `visit`, in order. Other threads may write behind
/// it. Below `after` the segments may begin anywhere.
pub(crate) fn read_through(
    dir: &Dir,
    numbers: &[u64],
    (after, through): (u64, u64),
    visit: &mut Visit<'_>,
) -> Result<()> {
    read_frames(
        dir,
        numbers,
        (after, through),
        &mut |frame, mutations| match frame.header.kind {
            Kind::Batch => visit(frame.header.seq, mutations),
            Kind::Body | Kind::Seal => Ok(()),
        },
    )
}

/// Passes the blobs that the batches above `after` carry, through batch `through`, to `visit`.
pub(crate) fn read_bodies(
    dir: &Dir,
    numbers: &[u64],
    (after, through): (u64, u64),
    visit: &mut VisitBody<'_>,
) -> Result<()> {
    read_frames(
        dir,
        numbers,
        (after, through),
        &mut |frame, _| match frame::read_body(frame.payload)
            .filter(|_| frame.header.kind == Kind::Body)
        {
            Some((content, bytes)) => visit(&ContentHash::from_bytes(*content), bytes),
            None => Ok(()),
        },
    )
}

/// It is called with a frame, and with its mutations if it is a batch.
type VisitFrame<'a> = dyn FnMut(&frame::Frame<'_>, &[Mutation<'_>]) -> Result<()> + 'a;

/// Passes each batch above `after`, through `through`, to `visit`, in order, and the bodies before them.
fn read_frames(
    dir: &Dir,
    numbers: &[u64],
    (after, through): (u64, u64),
    visit: &mut VisitFrame<'_>,
) -> Result<()> {
    let mut last_seq = 0;
    for number in numbers {
        let place = segment::place_of(dir, *number);
        let (path, bytes) = (place.path(), file::read(&place)?);
        let source = Source::new(&path, *number, &bytes);
        let mut offset = HEADER_LEN;
        while last_seq < through {
            let frame = source
                .frame_at(offset)
                .ok_or_else(|| source.damaged(offset, "an acknowledged batch cannot be read"))?;
            match frame.header.kind {
                Kind::Seal => break,
                Kind::Body => {
                    if frame.header.seq > after {
                        visit(&frame, &[])?;
                    }
                    offset = frame.end;
                    continue;
                }
                Kind::Batch => {}
            }
            let mutations = source.batch(&frame, offset, last_seq)?;
            if last_seq == 0 && frame.header.seq > after + 1 {
                let reason = format!("batch {} was expected here", after + 1);
                return Err(source.damaged(offset, &reason));
            }
            if frame.header.seq > after {
                visit(&frame, &mutations)?;
            }
            (last_seq, offset) = (frame.header.seq, frame.end);
        }
    }
    if last_seq < through {
        let reason = format!("the journal ends with batch {last_seq}, before batch {through}");
        return Err(damaged(dir.path(), 0, reason));
    }
    Ok(())
}

/// A segment that is read.
struct Source<'a> {
    path: &'a Path,
    number: u64,
    /// `None` if its header cannot be read.
    stamp: Option<Stamp>,
    bytes: &'a [u8],
}

impl<'a> Source<'a> {
    fn new(path: &'a Path, number: u64, bytes: &'a [u8]) -> Self {
        Self {
            path,
            number,
            stamp: stamp_of(number, bytes),
            bytes,
        }
    }

    fn frame_at(&self, offset: usize) -> Option<frame::Frame<'a>> {
        self.stamp
            .and_then(|stamp| frame::frame_at(stamp, self.bytes, offset))
    }

    /// Returns the batch in the frame at `offset`, which follows batch `last_seq`. That is 0 for the first
    /// one.
    fn batch(
        &self,
        frame: &frame::Frame<'a>,
        offset: usize,
        last_seq: u64,
    ) -> Result<Vec<Mutation<'a>>> {
        let expected = last_seq + 1;
        if last_seq != 0 && frame.header.seq != expected {
            return Err(self.damaged(offset, &format!("batch {expected} was expected here")));
        }
        mutation::mutations(frame.payload)
            .ok_or_else(|| self.damaged(offset, "the batch cannot be decoded"))
    }

    /// Whether it holds a frame. Without a header none was ever written.
    fn holds_a_frame(&self) -> bool {
        let durable = |stamp| frame::durable_by_later_headers(stamp, self.bytes, 0);
        self.stamp.and_then(durable).is_some()
    }

    fn damaged(&self, offset: usize, reason: &str) -> Error {
        damaged(self.path, offset as u64, reason)
    }
}

/// Reads a segment up to the tail. Each segment except the tail itself ends with a seal.
fn read_segment(source: &Source<'_>, found: &mut Scan, visit: &mut Visit<'_>) -> Result<()> {
    let Some(stamp) = source.stamp else {
        return Err(source.damaged(0, "the segment's header cannot be read"));
    };
    let (mut offset, mut end) = (HEADER_LEN, HEADER_LEN);
    while let Some(frame) = frame::frame_at(stamp, source.bytes, offset) {
        match frame.header.kind {
            Kind::Seal => return end_at_seal(source, offset, &frame, found),
            Kind::Body => {
                found.carried += frame.payload.len() as u64;
                offset = frame.end;
                continue;
            }
            Kind::Batch => {}
        }
        let mutations = source.batch(&frame, offset, found.last_seq)?;
        visit(frame.header.seq, &mutations)?;
        found.last_seq = frame.header.seq;
        if !mutations.is_empty() {
            found.last_change = found.last_seq;
        }
        found.durable = found.durable.max(frame.header.durable);
        found.batches += 1;
        if found.first_seq == 0 {
            found.first_seq = found.last_seq;
        }
        (offset, end) = (frame.end, frame.end);
    }
    check_tail(source, stamp, offset, found)?;
    // A body whose batch is torn belongs to the torn end.
    found.tail = tail_at(source, end);
    Ok(())
}

fn end_at_seal(
    source: &Source<'_>,
    offset: usize,
    frame: &frame::Frame<'_>,
    found: &mut Scan,
) -> Result<()> {
    // The oldest segment may have no batch, if it was too small for the batch behind it.
    let alone = found.batches == 0 && found.sealed.is_empty();
    if frame.header.seq != found.last_seq && !alone {
        return Err(source.damaged(
            offset,
            "the segment's seal names another batch than its last",
        ));
    }
    found.last_seq = frame.header.seq;
    let sealed = Sealed {
        number: source.number,
        last_seq: found.last_seq,
        len: source.bytes.len() as u64,
    };
    found.sealed.push(sealed);
    Ok(())
}

/// Decides what it means that no whole frame begins at `offset`. If a later frame calls this place durable,
/// it is damage (a flipped bit, a hole). Otherwise it passes: this is the tail, whole or torn.
fn check_tail(source: &Source<'_>, stamp: Stamp, offset: usize, found: &Scan) -> Result<()> {
    let later = frame::durable_by_later_headers(stamp, source.bytes, offset);
    if later.is_some_and(|durable| durable > found.last_seq) {
        return Err(source.damaged(offset, "an acknowledged batch cannot be read"));
    }
    Ok(())
}

/// The tail, if the last whole batch ends at `offset`.
fn tail_at(source: &Source<'_>, offset: usize) -> Tail {
    let behind = source.bytes.get(offset..).unwrap_or_default();
    let torn = behind
        .iter()
        .rposition(|byte| *byte != 0)
        .map_or(0, |last| last as u64 + 1);
    Tail {
        number: source.number,
        end: offset as u64,
        torn,
    }
}

/// Behind the tail, one segment may exist that was made before its use. It holds no frame.
fn read_behind_tail(source: &Source<'_>, found: &mut Scan, dir: &Dir) -> Result<()> {
    if source.holds_a_frame() {
        // A segment is written to only when the one before it is durable with its seal.
        let tail = segment::place_of(dir, found.tail.number).path();
        return Err(damaged(
            &tail,
            found.tail.end,
            "the end of this journal segment cannot be read",
        ));
    }
    if source.stamp.is_some() && found.spare.is_none() && found.stillborn.is_empty() {
        found.spare = Some(source.number);
    } else {
        found.stillborn.push(source.number);
    }
    Ok(())
}
