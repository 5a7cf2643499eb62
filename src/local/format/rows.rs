//! Row files: sorted mutations in a file of their own. A row file is whole, or counts as nothing.
//!
//! ```text
//! header, 24 bytes:  magic [u8; 8] | sequence u64 | zero u32 | CRC-32 of the header u32
//! rows, ascending:   mutations
//! trailer:           op u8 = 0xff | number of rows u64 | CRC-32 of header and rows u32
//! ```

use super::cursor::Cursor;

const MAGIC: [u8; 8] = *b"PSrows\x01\n";
pub(crate) const HEADER_LEN: usize = 24;
pub(crate) const TRAILER_LEN: usize = 13;
/// What is in the place of another row's op.
pub(crate) const END: u8 = 0xff;

/// The header of a file whose rows hold every batch through `seq`.
pub(crate) fn header(seq: u64) -> [u8; HEADER_LEN] {
    let mut bytes = [MAGIC.as_slice(), &seq.to_be_bytes(), &[0; 4]].concat();
    bytes.extend(crc32fast::hash(&bytes).to_be_bytes());
    let mut header = [0; HEADER_LEN];
    header.copy_from_slice(&bytes);
    header
}

/// The newest batch that the rows hold. `None` if this is no header.
pub(crate) fn seq_of(header: &[u8]) -> Option<u64> {
    let (fields, crc) = header.split_last_chunk::<4>()?;
    let mut cursor = Cursor::new(fields);
    let magic = cursor.array::<8>()?;
    let seq = cursor.u64()?;
    (magic == MAGIC && u32::from_be_bytes(*crc) == crc32fast::hash(fields)).then_some(seq)
}

/// The trailer of a file with so many rows and this CRC-32 of everything before it.
pub(crate) fn trailer(rows: u64, crc: u32) -> [u8; TRAILER_LEN] {
    let mut trailer = [END; TRAILER_LEN];
    let fields = [rows.to_be_bytes().as_slice(), &crc.to_be_bytes()].concat();
    if let Some(behind) = trailer.get_mut(1..) {
        behind.copy_from_slice(&fields);
    }
    trailer
}
