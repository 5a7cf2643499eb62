//! Segments: the files of the journal. They are preallocated, and numbered from `00000000000000000001.log`
//! upwards. Their bytes are those of [`format::segment`](crate::local::format::segment).

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use crate::local::ballast::Ballast;
use crate::local::file::{self, Dir, Handle, Place};
use crate::local::format::frame::{self, Stamp};
use crate::local::format::segment::{HEADER_LEN, header, stamp_of};
use crate::{Error, Result};

/// How far zeros are written ahead of the frames, bytes.
///
/// A file system with a journal of its own notes for each preallocated block when it is first written. A sync
/// of a frame in such a block waits for that journal, too. In a block that was written before it does not.
const ZEROS_AHEAD: u64 = 512 * 1024;

/// A segment open for appending.
#[derive(Debug)]
pub(crate) struct Segment {
    pub stamp: Stamp,
    pub handle: Handle,
    /// Length of the file, bytes.
    pub len: u64,
    /// The blocks before this place were written. Those behind it are only allocated, as far as is known.
    written: AtomicU64,
}

impl Segment {
    /// Makes a segment whose bytes are allocated on disk before it is used. So a full disk is met here and
    /// nowhere else.
    ///
    /// A file that already has the name stays as it is, because somebody may be writing to it as a segment.
    pub(crate) fn create(dir: &Dir, number: u64, len: u64) -> Result<Self> {
        let place = place_of(dir, number);
        let filled = Self::fill_new(Handle::create_new(&place)?, number, len);
        let made = filled.and_then(|segment| dir.sync().map(|()| segment));
        if made.is_err() {
            // A segment that could not be made must not use the little room that is left.
            let _ = file::remove_if_present(&place);
        }
        made
    }

    fn fill_new(handle: Handle, number: u64, len: u64) -> Result<Self> {
        let mut salt = [0; 8];
        getrandom::fill(&mut salt).map_err(|cause| Error::NoRandomness {
            cause: cause.to_string(),
        })?;
        let stamp = Stamp {
            number,
            salt: u64::from_ne_bytes(salt),
        };
        handle.allocate(len)?;
        handle.write_at(&header(stamp), 0)?;
        handle.sync_all()?;
        Ok(Self::new(stamp, handle, len))
    }

    fn new(stamp: Stamp, handle: Handle, len: u64) -> Self {
        Self {
            stamp,
            handle,
            len,
            written: AtomicU64::new(0),
        }
    }

    /// Opens a segment for writing. A hard link of it (`cp -al`) stays as it is.
    pub(crate) fn open(dir: &Dir, number: u64) -> Result<Self> {
        let place = place_of(dir, number);
        file::unshare(&place)?;
        let handle = Handle::open_write(&place)?;
        let len = handle.len()?;
        let mut header = [0; HEADER_LEN];
        handle.read_at(&mut header, 0)?;
        let stamp = stamp_of(number, &header)
            .ok_or_else(|| damaged(&handle.path(), 0, "the segment's header cannot be read"))?;
        Ok(Self::new(stamp, handle, len))
    }

    /// Writes frames, which end with the last of the segment. Sometimes it also writes zeros behind them.
    ///
    /// # Errors
    /// As for [`write`](Self::write).
    pub(crate) fn append(&self, mut frames: Vec<u8>, offset: u64, ballast: &Ballast) -> Result<()> {
        let len = frames.len();
        let end = offset + len as u64;
        if end > self.written.load(Ordering::Relaxed) {
            let ahead = end.next_multiple_of(ZEROS_AHEAD).min(self.len);
            let with_zeros = usize::try_from(ahead.saturating_sub(offset)).unwrap_or(len);
            frames.resize(with_zeros.max(len), 0);
            match self.handle.write_at(&frames, offset) {
                Err(Error::StorageFull { .. }) => {
                    // The room is left to frames.
                    self.written.store(self.len, Ordering::Relaxed);
                    frames.truncate(len);
                }
                written => {
                    self.written.store(ahead, Ordering::Relaxed);
                    return written;
                }
            }
        }
        self.write(&frames, offset, ballast)
    }

    /// Writes. If the file system has no room, writes once more, with the ballast's room. A file system
    /// that writes everything anew wants room even for preallocated bytes.
    ///
    /// A failed write may be tried again, although a failed sync may not. The kernel has not accepted what
    /// it refuses, and has promised nothing. The same bytes are written to the same place, nothing else is
    /// written there, and the sync that follows covers both tries. A sync that failed may have dropped
    /// bytes that the kernel had accepted, and the next sync would not report them (I8).
    pub(crate) fn write(&self, bytes: &[u8], offset: u64, ballast: &Ballast) -> Result<()> {
        ballast.helping(|| self.handle.write_at(bytes, offset))
    }

    /// Writes its bytes before `end` once more, and syncs it.
    pub(crate) fn write_again(&self, end: u64, ballast: &Ballast) -> Result<()> {
        let mut bytes = vec![0; usize::try_from(end).unwrap_or(0)];
        self.handle.read_at(&mut bytes, 0)?;
        self.write(&bytes, 0, ballast)?;
        self.handle.sync_all()
    }

    /// Bytes for frames behind `end`, without the room that is reserved for the seal.
    pub(crate) fn room(&self, end: u64) -> u64 {
        self.len.saturating_sub(end + frame::SEAL_LEN as u64)
    }
}

pub(crate) fn place_of(dir: &Dir, number: u64) -> Place {
    dir.at(name_of(number))
}

fn name_of(number: u64) -> String {
    format!("{number:020}.log")
}

/// The number in a segment's name. `None` for a name that no journal gives.
fn number_of(name: &OsStr) -> Option<u64> {
    let number = name.to_str()?.strip_suffix(".log")?.parse().ok()?;
    (*name_of(number) == *name).then_some(number)
}

/// The files in the directory that do not belong to the journal.
pub(crate) fn foreign(dir: &Dir) -> Result<Vec<PathBuf>> {
    let mut entries = dir.list()?;
    entries.retain(|entry| number_of(&entry.name).is_none());
    Ok(entries
        .into_iter()
        .map(|entry| dir.at(entry.name).path())
        .collect())
}

/// The numbers of the segments that are left in `dir`, ascending. Other names do not belong to the journal.
pub(crate) fn numbers_left(dir: &Dir) -> Result<Vec<u64>> {
    let entries = dir.list()?;
    let numbers = entries.iter().filter_map(|entry| number_of(&entry.name));
    let mut numbers: Vec<u64> = numbers.collect();
    numbers.sort_unstable();
    Ok(numbers)
}

/// The numbers of the segments in `dir`, ascending.
///
/// # Errors
/// [`Error::Damaged`] if a number in between is missing.
pub(crate) fn numbers(dir: &Dir) -> Result<Vec<u64>> {
    let numbers = numbers_left(dir)?;
    for (before, after) in numbers.iter().zip(numbers.iter().skip(1)) {
        if before + 1 != *after {
            return Err(damaged(
                &place_of(dir, before + 1).path(),
                0,
                "this journal segment is missing",
            ));
        }
    }
    Ok(numbers)
}

pub(crate) fn damaged(path: &Path, offset: u64, reason: impl Into<String>) -> Error {
    Error::Damaged {
        path: path.to_owned(),
        offset,
        reason: reason.into(),
    }
}
