//! [`Marker`]: what a clean close knew of journal and index. The next open checks it before it trusts them.

use super::cursor::Cursor;
use super::mutation::Tree;
use super::tally::Tally;

const MAGIC: [u8; 8] = *b"PSclean\x03";
/// What format 2 had there. Its index had all rows.
const MAGIC_2: [u8; 8] = *b"PSclean\x02";
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
    /// The newest batch that a layer had. The index has those behind it.
    pub base: u64,
    /// The sum over all rows of the index.
    pub index: Tally,
    /// The sum over all rows of the store.
    pub all: Tally,
    pub orphans: Orphans,
}

/// The length of any marker, bytes.
pub(crate) fn encoded_len() -> u64 {
    let any = Marker {
        seq: 0,
        base: 0,
        index: Tally::default(),
        all: Tally::default(),
        orphans: Orphans::RuledOut,
    };
    encode(&any).len() as u64
}

pub(crate) fn encode(marker: &Marker) -> Vec<u8> {
    let mut bytes = MAGIC.to_vec();
    bytes.extend_from_slice(&marker.seq.to_be_bytes());
    bytes.extend_from_slice(&marker.base.to_be_bytes());
    bytes.extend_from_slice(&marker.index.encode());
    bytes.extend_from_slice(&marker.all.encode());
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
    let (trees, format) = match cursor.array::<8>()? {
        MAGIC => (Tree::ALL.len(), 3),
        MAGIC_2 => (Tree::IN_FORMAT_2, 2),
        MAGIC_1 => (Tree::IN_FORMAT_1, 1),
        _ => return None,
    };
    let seq = cursor.u64()?;
    let base = match format {
        3 => cursor.u64()?,
        _ => 0,
    };
    let index = Tally::decode(&mut cursor, trees)?;
    let all = match format {
        3 => Tally::decode(&mut cursor, trees)?,
        _ => index,
    };
    let marker = Marker {
        seq,
        base,
        index,
        all,
        orphans: if cursor.u8()? == 0 {
            Orphans::RuledOut
        } else {
            Orphans::Possible
        },
    };
    cursor.is_empty().then_some(marker)
}
