//! Frames: the form of a batch in a journal segment.
//!
//! ```text
//! header, 32 bytes:  magic u32 | payload length u32 | sequence u64 | durable u64 | payload CRC-32 u32 | header CRC-32 u32
//! payload, padded with zeros to a multiple of 8
//! ```
//!
//! A batch that makes a blob may have a *body* before it, in a frame of its own: the blob's hash, and all of its
//! bytes. Both frames are in one segment.
//!
//! `durable` is the newest sequence number that was durable when the frame was written. If a whole frame
//! says so of an earlier frame that cannot be read, the earlier one was damaged later. It was not merely
//! torn by a crash.
//!
//! The header's CRC also covers the [`Stamp`] of its segment. So a frame in the wrong file cannot be read.
//! A client may write a frame into a key or into metadata, to make a torn tail look like damage. But it
//! cannot know the salt.

use super::cursor::{Cursor, len_u32};

/// What a frame is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// One batch.
    Batch,
    /// The body of the batch that follows: the bytes of a blob. Its sequence number is that of the batch.
    Body,
    /// The end of a segment that has a successor. Its sequence number is that of the batch before it.
    Seal,
}

impl Kind {
    fn magic(self) -> u32 {
        u32::from_be_bytes(match self {
            Self::Batch => *b"PSb1",
            Self::Body => *b"PSd1",
            Self::Seal => *b"PSs1",
        })
    }
}

pub(crate) const HEADER_LEN: usize = 32;
/// Frames begin at multiples of this, in bytes from the start of the segment.
pub(crate) const ALIGNMENT: usize = 8;
/// Room that each segment reserves for its seal, bytes.
pub(crate) const SEAL_LEN: usize = HEADER_LEN;
/// The largest batch, bytes. Removing the 10,000 parts of an upload takes 1.6 MiB, and a completion may
/// remove those of two.
pub(crate) const MAX_PAYLOAD_LEN: usize = 256 * 1024 * 1024;

/// What distinguishes the frames of a segment from those of another, and from bytes that look like a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stamp {
    /// The number of the segment.
    pub number: u64,
    /// Chosen at random when the segment was made. 0 in segments that are older than salts.
    pub salt: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Header {
    pub kind: Kind,
    pub len: usize,
    pub seq: u64,
    pub durable: u64,
    payload_crc: u32,
}

/// A whole frame and where the next one begins.
#[derive(Debug)]
pub(crate) struct Frame<'a> {
    pub header: Header,
    pub payload: &'a [u8],
    pub end: usize,
}

/// How many bytes a frame with this payload takes.
pub(crate) fn frame_len(payload: usize) -> usize {
    HEADER_LEN + payload.next_multiple_of(ALIGNMENT)
}

/// The payload of a body.
pub(crate) fn body(content: &[u8; 32], bytes: &[u8]) -> Vec<u8> {
    [content.as_slice(), bytes].concat()
}

/// The hash of a blob and its bytes. `None` if this is no payload of a body.
pub(crate) fn read_body(payload: &[u8]) -> Option<(&[u8; 32], &[u8])> {
    payload.split_first_chunk()
}

/// The sequence numbers in a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Numbers {
    /// Sequence number of the batch. A body has that of the batch behind it, a seal that of the batch before it.
    pub seq: u64,
    /// The newest batch that was durable when the frame was written.
    pub durable: u64,
}

/// Appends a frame to `out`.
///
/// # Panics
/// If the payload is longer than [`MAX_PAYLOAD_LEN`].
pub(crate) fn encode(
    stamp: Stamp,
    kind: Kind,
    numbers: Numbers,
    payload: &[u8],
    out: &mut Vec<u8>,
) {
    let start = out.len();
    out.extend_from_slice(&kind.magic().to_be_bytes());
    assert!(payload.len() <= MAX_PAYLOAD_LEN, "a batch over its limit");
    out.extend_from_slice(&len_u32(payload.len()));
    out.extend_from_slice(&numbers.seq.to_be_bytes());
    out.extend_from_slice(&numbers.durable.to_be_bytes());
    out.extend_from_slice(&crc32fast::hash(payload).to_be_bytes());
    let header_crc = header_crc(stamp, out.get(start..).unwrap_or_default());
    out.extend_from_slice(&header_crc.to_be_bytes());
    out.extend_from_slice(payload);
    out.resize(start + frame_len(payload.len()), 0);
}

fn header_crc(stamp: Stamp, fields: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&stamp.number.to_be_bytes());
    if stamp.salt != 0 {
        hasher.update(&stamp.salt.to_be_bytes());
    }
    hasher.update(fields);
    hasher.finalize()
}

/// Reads the header at `offset` of a segment. `None` if it is not whole.
pub(crate) fn header_at(stamp: Stamp, bytes: &[u8], offset: usize) -> Option<Header> {
    let header = bytes.get(offset..)?.first_chunk::<HEADER_LEN>()?;
    let (fields, crc) = header.split_last_chunk::<4>()?;
    let header = parse(fields)?;
    (u32::from_be_bytes(*crc) == header_crc(stamp, fields)).then_some(header)
}

/// The fields of a header, whether its CRC fits or not.
fn parse(fields: &[u8]) -> Option<Header> {
    let mut cursor = Cursor::new(fields);
    let magic = cursor.u32()?;
    let kind = [Kind::Batch, Kind::Body, Kind::Seal]
        .into_iter()
        .find(|kind| kind.magic() == magic)?;
    let len = usize::try_from(cursor.u32()?)
        .ok()
        .filter(|len| *len <= MAX_PAYLOAD_LEN)?;
    Some(Header {
        kind,
        len,
        seq: cursor.u64()?,
        durable: cursor.u64()?,
        payload_crc: cursor.u32()?,
    })
}

/// What the stamp of a segment adds to the CRC of each header in it. It is the same for all of them and can
/// be computed from any. So the frames of one segment can be recognised even when the segment's header is
/// lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Mark(u32);

impl Mark {
    pub(crate) fn of(stamp: Stamp) -> Self {
        let fields = [0; HEADER_LEN - 4];
        Self(header_crc(stamp, &fields) ^ crc32fast::hash(&fields))
    }

    /// The mark by which a header at `offset` would be whole.
    pub(crate) fn at(bytes: &[u8], offset: usize) -> Option<Self> {
        let header = bytes.get(offset..)?.first_chunk::<HEADER_LEN>()?;
        let (fields, crc) = header.split_last_chunk::<4>()?;
        parse(fields)?;
        Some(Self(u32::from_be_bytes(*crc) ^ crc32fast::hash(fields)))
    }
}

/// Reads the frame at `offset`. `None` if it is not whole, or has another mark.
pub(crate) fn marked_frame_at(mark: Mark, bytes: &[u8], offset: usize) -> Option<Frame<'_>> {
    let header = marked_header_at(mark, bytes, offset)?;
    frame_of(header, bytes, offset)
}

/// Reads the header at `offset`. `None` if it is not whole, or has another mark.
pub(crate) fn marked_header_at(mark: Mark, bytes: &[u8], offset: usize) -> Option<Header> {
    if Mark::at(bytes, offset)? != mark {
        return None;
    }
    parse(bytes.get(offset..offset + HEADER_LEN - 4)?)
}

/// Reads the frame at `offset` of a segment. `None` if it is not whole.
pub(crate) fn frame_at(stamp: Stamp, bytes: &[u8], offset: usize) -> Option<Frame<'_>> {
    frame_of(header_at(stamp, bytes, offset)?, bytes, offset)
}

fn frame_of(header: Header, bytes: &[u8], offset: usize) -> Option<Frame<'_>> {
    let end = offset + frame_len(header.len);
    let body = bytes.get(offset + HEADER_LEN..end)?;
    let (payload, padding) = body.split_at_checked(header.len)?;
    let whole =
        crc32fast::hash(payload) == header.payload_crc && padding.iter().all(|byte| *byte == 0);
    whole.then_some(Frame {
        header,
        payload,
        end,
    })
}

/// Searches for whole headers behind `offset`, and returns the largest `durable` of those found.
pub(crate) fn durable_by_later_headers(stamp: Stamp, bytes: &[u8], offset: usize) -> Option<u64> {
    headers_from(stamp, bytes, offset)
        .map(|header| header.durable)
        .max()
}

/// Every whole header at or behind `offset`, whether the bytes between them can be read or not.
pub(crate) fn headers_from(
    stamp: Stamp,
    bytes: &[u8],
    offset: usize,
) -> impl Iterator<Item = Header> {
    let places = (offset.next_multiple_of(ALIGNMENT)..bytes.len()).step_by(ALIGNMENT);
    places.filter_map(move |place| header_at(stamp, bytes, place))
}
