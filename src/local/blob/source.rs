//! [`BlobFile`]: the file of one blob, as a source of bytes that are then checked.
//!
//! Pieces are read through the page cache. A reader that goes through a blob in order reads long pieces on
//! other threads, [past the page cache](super::passes). A check of the whole blob passes it with all whole blocks
//! of the disk, where the file system allows it: what the disk holds is what counts.

use std::borrow::Borrow;
use std::sync::{Arc, OnceLock};
use std::time::Instant;

use super::BlobFiles;
use crate::backend::{Source, Verified};
use crate::buffers::{ALIGNMENT, is_aligned};
use crate::local::file::Handle;
use crate::values::blocks::{BlockCrcs, LONG_BLOCK};
use crate::{ContentHash, Error, Result};

pub(super) const LENGTH: &str = "its file has another length";
/// Bytes that a check reads at a time, at most: a large buffer.
const LONGEST: usize = 8 * LONG_BLOCK;

/// An open file.
pub(crate) struct BlobFile<S> {
    files: S,
    handle: Arc<Handle>,
    content: ContentHash,
    /// For long pieces: the same file, if they are read past the page cache.
    direct: OnceLock<Option<Arc<Handle>>>,
    way: Way,
}

/// How a source reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    Pieces,
    Long,
    /// Long pieces, and what the disk refuses is not looked for in the page cache.
    Check,
}

impl<S> BlobFile<S> {
    pub(super) fn new(files: S, handle: Handle, content: ContentHash) -> Self {
        Self {
            files,
            handle: Arc::new(handle),
            direct: OnceLock::new(),
            way: Way::Pieces,
            content,
        }
    }
}

impl<S: Borrow<BlobFiles>> BlobFile<S> {
    /// Names the blob in what was said of its file.
    fn blame(&self, error: Error) -> Error {
        match &error {
            Error::Io { source, .. } if source.kind() == std::io::ErrorKind::UnexpectedEof => self
                .files
                .borrow()
                .found_damage(&self.content, "its file is too short"),
            // An error that names the blob says which bytes to put again.
            Error::Io { source, .. } if error.is_of_the_medium() => {
                let reason = format!("its file could not be read: {source}");
                self.files.borrow().found_damage(&self.content, &reason)
            }
            _ => error,
        }
    }

    /// The file for reads past the page cache. What cannot be opened so is read through it.
    fn direct(&self) -> Option<&Arc<Handle>> {
        let open = || {
            let place = self.handle.place();
            let files = self.files.borrow();
            let passes = files.writes_direct()
                && (self.way == Way::Check || files.passes.begin(&self.content));
            passes.then(|| Handle::open_direct(place).ok().map(Arc::new))?
        };
        self.direct.get_or_init(open).as_ref()
    }

    /// Fills as much of `into` as can be read past the page cache, and returns how much.
    fn read_direct(&self, position: u64, into: &mut [u8]) -> Result<usize> {
        if self.way == Way::Pieces {
            return Ok(0);
        }
        let Some(direct) = self.direct() else {
            return Ok(0);
        };
        let len = into.len() - into.len() % ALIGNMENT;
        let aligned = into.get_mut(..len).unwrap_or_default();
        if !is_aligned(aligned) || !position.is_multiple_of(ALIGNMENT as u64) {
            return Ok(0);
        }
        let began = Instant::now();
        direct.read_at(aligned, position)?;
        self.files.borrow().passes.note(len, began.elapsed());
        Ok(len)
    }
}

impl<S: Borrow<BlobFiles> + Clone + Send + Sync> Source for BlobFile<S> {
    fn read_exact_at(&mut self, position: u64, into: &mut [u8]) -> Result<()> {
        self.files.borrow().check_process()?;
        let done = match self.read_direct(position, into) {
            Ok(done) => done,
            Err(error) if self.way == Way::Check && error.is_of_the_medium() => {
                return Err(self.blame(error));
            }
            // Whatever the disk says to such a read, the page cache may know better.
            Err(_) => 0,
        };
        let rest = into.get_mut(done..).unwrap_or_default();
        let read = self.handle.read_at(rest, position + done as u64);
        read.map_err(|error| self.blame(error))
    }

    fn read_cached(&mut self, position: u64, into: &mut [u8]) -> Result<bool> {
        self.files.borrow().check_process()?;
        let read = self.handle.read_cached_at(into, position);
        read.map_err(|error| self.blame(error))
    }

    fn ahead(&self) -> Result<Option<Self>> {
        self.direct();
        Ok(Some(Self {
            files: self.files.clone(),
            handle: Arc::clone(&self.handle),
            content: self.content,
            direct: self.direct.clone(),
            way: Way::Long,
        }))
    }

    fn damaged(&self, reason: &str) -> Error {
        self.files.borrow().found_damage(&self.content, reason)
    }
}

/// Reads and compares every block, the length, and the hash of the whole. `advance` is told of the bytes of each step,
/// and an error of it ends the work.
pub(super) fn check_all(
    mut file: BlobFile<&BlobFiles>,
    sums: &BlockCrcs,
    advance: &mut dyn FnMut(u64) -> Result<()>,
) -> Result<()> {
    advance(0)?;
    if file.handle.len()? != sums.size {
        return Err(file.damaged(LENGTH));
    }
    file.way = Way::Check;
    let (content, files) = (file.content, file.files);
    let size = usize::try_from(sums.size).unwrap_or(usize::MAX);
    let mut buffer = files.buffers.buffer_of(size.clamp(LONG_BLOCK, LONGEST));
    let mut own = Vec::new();
    let memory = match buffer.space() {
        // Bodies have most of the memory.
        tiny if tiny.len() < LONG_BLOCK => {
            own.resize(LONG_BLOCK, 0);
            &mut own[..]
        }
        memory => memory,
    };
    Verified::new(file, sums).check_all(&content, memory, advance)
}
