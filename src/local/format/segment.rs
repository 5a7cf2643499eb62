//! The header of a journal segment. It and the segment's name are durable before the first frame is
//! written:
//!
//! ```text
//! magic, 8 bytes | number u64 | CRC-32 of both u32 | salt u64 | CRC-32 of all before u32
//! ```

use super::cursor::Cursor;
use super::frame::Stamp;

pub(crate) const HEADER_LEN: usize = 32;
const MAGIC: [u8; 8] = *b"PSjrnl\x01\n";

pub(crate) fn header(stamp: Stamp) -> [u8; HEADER_LEN] {
    let mut fields = [MAGIC.as_slice(), &stamp.number.to_be_bytes()].concat();
    fields.extend(crc32fast::hash(&fields).to_be_bytes());
    if stamp.salt != 0 {
        fields.extend(stamp.salt.to_be_bytes());
        fields.extend(crc32fast::hash(&fields).to_be_bytes());
    }
    let mut header = [0; HEADER_LEN];
    for (to, from) in header.iter_mut().zip(fields) {
        *to = from;
    }
    header
}

/// The stamp of segment `number`, if it begins with a whole header.
pub(crate) fn stamp_of(number: u64, bytes: &[u8]) -> Option<Stamp> {
    let found: [u8; HEADER_LEN] = Cursor::new(bytes).array()?;
    let (_, end) = found.split_last_chunk::<12>()?;
    let salt = u64::from_be_bytes(*end.first_chunk()?);
    let stamp = Stamp { number, salt };
    (header(stamp) == found).then_some(stamp)
}
