//! The rows of a blob: its size, its location, and the CRCs of its blocks.

use super::super::cursor::Cursor;
use super::{Fields, Version};
use crate::values::blocks::BlockCrcs;

/// CRCs in one row of a blob, so that its value stays under 4 KiB. The blob of a 5 GiB part has 23 rows, and that
/// of a part of 128 MiB has 5.
const CRCS_PER_ROW: usize = 900;

/// What the first row of a blob begins with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct BlobHead {
    /// Size of the blob, bytes.
    pub size: u64,
    /// Where the bytes lie. Empty: in the file that is named by their hash.
    pub location: Vec<u8>,
}

impl BlobHead {
    /// Reads the first row, and returns the CRCs in it as well.
    pub(crate) fn decode(fields: Fields<'_>) -> Option<(Self, &[u8])> {
        let mut cursor = Cursor::new(fields.bytes);
        let size = cursor.u64()?;
        let location = match fields.version {
            Version::One => Vec::new(),
            Version::Two => {
                let len = usize::from(cursor.u8()?);
                cursor.bytes(len)?.to_vec()
            }
        };
        Some((Self { size, location }, cursor.rest()))
    }
}

/// The rows of a blob. The first begins with the size, and each holds up to [`CRCS_PER_ROW`] block CRCs.
pub(crate) fn blob_rows(sums: &BlockCrcs) -> Vec<Vec<u8>> {
    let mut first = sums.size.to_be_bytes().to_vec();
    // The location: named by the hash.
    first.push(0);
    let mut rows = Vec::new();
    let mut chunks = sums.crcs.chunks(CRCS_PER_ROW);
    extend_crcs(&mut first, chunks.next().unwrap_or_default());
    rows.push(first);
    for chunk in chunks {
        let mut row = Vec::with_capacity(chunk.len() * 4);
        extend_crcs(&mut row, chunk);
        rows.push(row);
    }
    rows
}

fn extend_crcs(row: &mut Vec<u8>, crcs: &[u32]) {
    for crc in crcs {
        row.extend_from_slice(&crc.to_be_bytes());
    }
}

/// How many rows a blob of this size has, whose first row has so many CRCs. (The number of all its CRCs will do,
/// too.) The CRCs of long blocks fit the first row, unless the blob is too large for short ones.
pub(crate) fn blob_row_count(size: u64, first: usize) -> u16 {
    let long = BlockCrcs::long_blocks(size);
    let blocks = if first as u64 == long {
        long
    } else {
        BlockCrcs::blocks(size)
    };
    u16::try_from(blocks.div_ceil(CRCS_PER_ROW as u64).max(1)).unwrap_or(u16::MAX)
}

/// Adds a row's CRCs to what the rows before it held.
pub(crate) fn read_crcs(row: &[u8], crcs: &mut Vec<u32>) -> Option<()> {
    let mut cursor = Cursor::new(row);
    while !cursor.is_empty() {
        crcs.push(cursor.u32()?);
    }
    Some(())
}
