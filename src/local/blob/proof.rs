//! Blobs as evidence. A file whose bytes have the hash of its name proves what a part's row said of its
//! bytes.

use crc_fast::CrcAlgorithm;
use md5::{Digest, Md5};

use super::BlobFiles;
use crate::local::file::{self, Dir, Handle};
use crate::values::digest::{BLOCK_LEN, BlockCrcs, ProvenBlob};
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
    let mut blocks = BlockCrcs {
        size: handle.len()?,
        crcs: Vec::new(),
    };
    let mut block = vec![0; BLOCK_LEN];
    for at in 0..BlockCrcs::blocks(blocks.size) {
        block.resize(blocks.block_len(at), 0);
        handle.read_at(&mut block, at * BLOCK_LEN as u64)?;
        md5.update(&block);
        blake3.update(&block);
        crc64.update(&block);
        blocks.crcs.push(crc32fast::hash(&block));
    }
    let is_named = blake3.finalize().as_bytes() == content.as_bytes();
    Ok(is_named.then(|| ProvenBlob {
        md5: md5.finalize().into(),
        crc32: blocks.crc32(),
        crc64: crc64.finalize(),
        blocks,
    }))
}
