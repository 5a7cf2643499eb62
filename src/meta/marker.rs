//! The CLEAN marker: what a clean close knew of journal and index, for the next open to check
//! before it trusts them.

use super::codec::Cursor;
use super::tally::Tally;
use crate::Result;
use crate::ballast::Ballast;
use crate::file::{self, Handle, Place};

const MAGIC: [u8; 8] = *b"PSclean\x01";

/// Whether files without a row may lie in `blobs/`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Orphans {
    None,
    Possible,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Marker {
    /// The newest batch; the index was flushed and synced with it.
    pub seq: u64,
    pub tally: Tally,
    pub orphans: Orphans,
}

/// The marker's file.
pub(crate) struct MarkerFile {
    place: Place,
}

impl MarkerFile {
    pub(crate) fn new(place: Place) -> Self {
        Self { place }
    }

    /// Reads the marker; one that is damaged is none, and what is no file is none, either.
    pub(crate) fn read(&self) -> Result<Option<Marker>> {
        match file::read_if_present(&self.place) {
            Err(error) if error.is_of_the_file(&self.place) => Ok(None),
            read => Ok(read?.and_then(|bytes| decode(&bytes))),
        }
    }

    /// Removes the marker durably, before anything else is changed: from then on only another clean
    /// close makes the next open a clean one. Also where there is none: an open that failed or was
    /// killed may have removed it, not durably.
    pub(crate) fn remove(&self) -> Result<()> {
        file::remove_if_present(&self.place)?;
        self.place.dir().sync()
    }

    /// Makes the file that the next marker is written to, so that a close needs no room. Best effort: a close
    /// makes it where there is none.
    pub(crate) fn prepare(&self) -> Result<()> {
        self.staged().map(drop)
    }

    /// Puts the marker in place so that after a crash it is there as given, or not at all.
    pub(crate) fn write(&self, marker: &Marker, ballast: &Ballast) -> Result<()> {
        let handle = ballast.helping(|| {
            let handle = self.staged()?;
            handle.write_at(&encode(marker), 0).map(|()| handle)
        })?;
        handle.sync_all()?;
        ballast.helping(|| file::rename(&self.place.with_extension("tmp"), &self.place))?;
        self.place.dir().sync()
    }

    /// The file that becomes the marker, with all the room that it needs.
    fn staged(&self) -> Result<Handle> {
        let (place, len) = (self.place.with_extension("tmp"), encoded_len());
        match Handle::open_write(&place) {
            Ok(handle) if handle.len()? == len && !handle.is_shared()? => return Ok(handle),
            Err(error) if !error.is_not_found() && !error.is_of_the_file(&place) => {
                return Err(error);
            }
            _ => {}
        }
        file::remove_if_present(&place)?;
        let handle = Handle::create_new(&place)?;
        handle.allocate(len)?;
        Ok(handle)
    }
}

/// Bytes of any marker.
fn encoded_len() -> u64 {
    let any = Marker {
        seq: 0,
        tally: Tally::default(),
        orphans: Orphans::None,
    };
    encode(&any).len() as u64
}

fn encode(marker: &Marker) -> Vec<u8> {
    let mut bytes = MAGIC.to_vec();
    bytes.extend_from_slice(&marker.seq.to_be_bytes());
    bytes.extend_from_slice(&marker.tally.encode());
    bytes.push(u8::from(marker.orphans == Orphans::Possible));
    let crc = crc32fast::hash(&bytes);
    bytes.extend_from_slice(&crc.to_be_bytes());
    bytes
}

fn decode(bytes: &[u8]) -> Option<Marker> {
    let (fields, crc) = bytes.split_last_chunk::<4>()?;
    let mut cursor = Cursor::new(fields);
    if u32::from_be_bytes(*crc) != crc32fast::hash(fields) || cursor.array::<8>()? != MAGIC {
        return None;
    }
    let marker = Marker {
        seq: cursor.u64()?,
        tally: Tally::decode(cursor.array()?)?,
        orphans: if cursor.u8()? == 0 {
            Orphans::None
        } else {
            Orphans::Possible
        },
    };
    cursor.is_empty().then_some(marker)
}
