//! [`BlobFile`]: the file of one blob, as a source of bytes that are then checked.

use std::borrow::Borrow;

use super::BlobFiles;
use crate::backend::{Source, Verified};
use crate::going::Going;
use crate::local::file::Handle;
use crate::values::digest::BlockCrcs;
use crate::{ContentHash, Error, Result};

pub(super) const LENGTH: &str = "its file has another length";

/// An open file.
pub(crate) struct BlobFile<S> {
    files: S,
    handle: Handle,
    content: ContentHash,
}

impl<S> BlobFile<S> {
    pub(super) fn new(files: S, handle: Handle, content: ContentHash) -> Self {
        Self {
            files,
            handle,
            content,
        }
    }
}

impl<S: Borrow<BlobFiles> + Send + Sync> Source for BlobFile<S> {
    fn read_exact_at(&mut self, position: u64, into: &mut [u8]) -> Result<()> {
        self.files.borrow().check_process()?;
        let read = self.handle.read_at(into, position);
        read.map_err(|error| match &error {
            Error::Io { source, .. } if source.kind() == std::io::ErrorKind::UnexpectedEof => {
                self.damaged("its file is too short")
            }
            // An error that names the blob says which bytes to put again.
            Error::Io { source, .. } if error.is_of_the_medium() => {
                self.damaged(&format!("its file could not be read: {source}"))
            }
            _ => error,
        })
    }

    fn damaged(&self, reason: &str) -> Error {
        self.files.borrow().found_damage(&self.content, reason)
    }
}

/// Reads and compares every block, the length, and the hash of the whole.
pub(super) fn check_all(
    file: BlobFile<&BlobFiles>,
    sums: &BlockCrcs,
    going: &Going<'_>,
) -> Result<()> {
    going.check()?;
    if file.handle.len()? != sums.size {
        return Err(file.damaged(LENGTH));
    }
    let content = file.content;
    let (mut blob, mut hasher) = (Verified::new(file, sums), blake3::Hasher::new());
    for at in 0..BlockCrcs::blocks(sums.size) {
        let block = blob.block(at)?;
        hasher.update(block);
        going.advance(block.len() as u64)?;
    }
    if hasher.finalize().as_bytes() != content.as_bytes() {
        return Err(blob.source().damaged("its bytes do not have its hash"));
    }
    Ok(())
}
