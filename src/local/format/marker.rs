//! [`Marker`]: what a clean close knew of journal and index. The next open checks it before it trusts them.

use super::cursor::Cursor;
use super::mutation::Tree;
use super::tally::Tally;

const MAGIC: [u8; 8] = *b"PSclean\x02";
/// What format 1 had there.
const MAGIC_1: [u8; 8] = *b"PSclean\x01";

/// Whether files without a row may lie in `blobs/`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Orphans {
    RuledOut,
    Possible,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Marker {
    /// The newest batch. The index was flushed and synced with it.
    pub seq: u64,
    pub tally: Tally,
    pub orphans: Orphans,
}

/// The length of any marker, bytes.
pub(crate) fn encoded_len() -> u64 {
    let any = Marker {
        seq: 0,
        tally: Tally::default(),
        orphans: Orphans::RuledOut,
    };
    encode(&any).len() as u64
}

pub(crate) fn encode(marker: &Marker) -> Vec<u8> {
    let mut bytes = MAGIC.to_vec();
    bytes.extend_from_slice(&marker.seq.to_be_bytes());
    bytes.extend_from_slice(&marker.tally.encode());
    bytes.push(u8::from(marker.orphans == Orphans::Possible));
    let crc = crc32fast::hash(&bytes);
    bytes.extend_from_slice(&crc.to_be_bytes());
    bytes
}

pub(crate) fn decode(bytes: &[u8]) -> Option<Marker> {
    let (fields, crc) = bytes.split_last_chunk::<4>()?;
    let mut cursor = Cursor::new(fields);
    if u32::from_be_bytes(*crc) != crc32fast::hash(fields) {
        return None;
    }
    let trees = match cursor.array::<8>()? {
        MAGIC => Tree::ALL.len(),
        MAGIC_1 => Tree::IN_FORMAT_1,
        _ => return None,
    };
    let marker = Marker {
        seq: cursor.u64()?,
        tally: Tally::decode(&mut cursor, trees)?,
        orphans: if cursor.u8()? == 0 {
            Orphans::RuledOut
        } else {
            Orphans::Possible
        },
    };
    cursor.is_empty().then_some(marker)
}
