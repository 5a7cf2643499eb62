//! Blobs as evidence. A file whose bytes have the hash of its name proves what a part's row said of its
//! bytes.

use crc_fast::CrcAlgorithm;
use md5::{Digest, Md5};

use super::BlobFiles;
use crate::local::file::{self, Dir, Handle};
use crate::values::blocks::{BlockHasher, LONG_BLOCK};
use crate::values::digest::ProvenBlob;
use crate::{ContentHash, Result};

impl BlobFiles {
    /// Whether the blob has a file of at least `len` bytes that can be opened.
    pub(crate) fn has_file(&self, content: &ContentHash, len: u64) -> Result<bool> {
        match self.find(content)? {
            Ok(handle) => Ok(handle.len()? >= len),
            Err(_) => Ok(false),
        }
    }

    /// Reads the file. `None` if it is missing or cannot be read, or if its bytes do not have the hash of
    /// its name.
    pub(crate) fn prove_file(&self, content: &ContentHash) -> Result<Option<ProvenBlob>> {
        let Ok(handle) = self.find(content)? else {
            return Ok(None);
        };
        match prove(&handle, content) {
            Err(error) if error.tells_of_damage() => Ok(None),
            proven => proven,
        }
    }

    /// Moves the file to another directory. That is durable after [`sync_dir`](Self::sync_dir) and a sync
    /// of `aside`.
    pub(crate) fn move_file(&self, content: &ContentHash, aside: &Dir) -> Result<()> {
        let dir = self.dir_of(content.prefix())?;
        let name = content.to_string();
        file::rename(&dir.at(&name), &aside.at(&name))
    }
}

fn prove(handle: &Handle, content: &ContentHash) -> Result<Option<ProvenBlob>> {
    let (mut md5, mut blake3) = (Md5::new(), blake3::Hasher::new());
    let mut crc64 = crc_fast::Digest::new(CrcAlgorithm::Crc64Xz);
    let mut blocks = BlockHasher::default();
    let mut piece = vec![0; LONG_BLOCK];
    let (len, mut position) = (handle.len()?, 0);
    while position < len {
        let rest = usize::try_from(len - position).unwrap_or(LONG_BLOCK);
        piece.truncate(rest);
        handle.read_at(&mut piece, position)?;
        md5.update(&piece);
        blake3.update(&piece);
        crc64.update(&piece);
        blocks.update(&piece);
        position += piece.len() as u64;
    }
    let blocks = blocks.finish();
    let is_named = blake3.finalize().as_bytes() == content.as_bytes();
    Ok(is_named.then(|| ProvenBlob {
        md5: md5.finalize().into(),
        crc32: blocks.crc32(),
        crc64: crc64.finalize(),
        blocks,
    }))
}
