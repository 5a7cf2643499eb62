//! The blob store: content-addressed files, `blobs/3f/3f9a...`, each raw bytes under its BLAKE3
//! hash.
//!
//! Does not know metadata: what a blob must look like is told by its caller as [`BlockSums`].
//! Keeps: I1 (a published blob is durable, name included), I5 (bytes are checked before they are
//! given out or built upon).

mod reader;
mod sound;
mod stage;

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;

pub(crate) use reader::BlobReader;
pub(crate) use stage::{DurableBlob, StagedBlob};

use crate::buffers::{ALIGNMENT, Buffers};
use crate::digest::{BLOCK_LEN, BlockSums};
use crate::file::{self, Handle, Kind};
use crate::{ContentHash, Error, Result};

pub(crate) struct BlobStore {
    blobs: PathBuf,
    staging: PathBuf,
    /// For each directory `blobs/xx`: whether this process knows that its name is durable, and those in it.
    durable_dirs: Vec<Mutex<bool>>,
    /// Whether the file system takes writes that bypass the page cache.
    writes_direct: bool,
    staged: AtomicU64,
    staged_now: AtomicU64,
    /// Tells the staged files of this opening from those of an earlier one that may still be
    /// dropped.
    opening: u64,
    /// Blobs that this process has written or read through, and found as they should be.
    sound: Mutex<HashSet<ContentHash>>,
    /// Blobs whose files were renamed to their names, which are not durable (yet).
    unsynced: Mutex<HashSet<ContentHash>>,
    /// Blobs that were found damaged and not put again since.
    damaged: Mutex<HashSet<ContentHash>>,
}

impl BlobStore {
    /// Makes the directories of a new store.
    pub(crate) fn create(root: &Path) -> Result<()> {
        file::create_dir(&root.join("blobs"))?;
        file::create_dir(&root.join("staging"))
    }

    /// Opens the store; whatever lies in `staging/` was never acknowledged and goes (I7).
    pub(crate) fn open(root: &Path, buffers: &Arc<Buffers>) -> Result<Self> {
        let (blobs, staging) = (root.join("blobs"), root.join("staging"));
        file::create_dir(&staging)?;
        for (name, kind) in file::list(&staging)? {
            match kind {
                Kind::File => file::remove(&staging.join(name))?,
                Kind::Directory => file::remove_tree_if_present(&staging.join(name))?,
            }
        }
        let mut opening = [0; 8];
        getrandom::fill(&mut opening).map_err(|cause| Error::NoRandomness {
            cause: cause.to_string(),
        })?;
        Ok(Self {
            writes_direct: takes_direct(&staging.join("probe"), buffers),
            blobs,
            staging,
            durable_dirs: (0..256).map(|_| Mutex::new(false)).collect(),
            staged: AtomicU64::new(0),
            staged_now: AtomicU64::new(0),
            opening: u64::from_ne_bytes(opening),
            sound: Mutex::default(),
            unsynced: Mutex::default(),
            damaged: Mutex::default(),
        })
    }

    /// Begins a body.
    pub(crate) fn stage(self: &Arc<Self>) -> Result<StagedBlob> {
        let number = self.staged.fetch_add(1, Ordering::Relaxed);
        let name = format!("{:016x}-{number}", self.opening);
        StagedBlob::create(Arc::clone(self), self.staging.join(name))
    }

    /// Whether bodies are written past the page cache.
    pub(crate) fn writes_direct(&self) -> bool {
        self.writes_direct
    }

    /// Bodies being received.
    pub(crate) fn staged_bodies(&self) -> u64 {
        self.staged_now.load(Ordering::Relaxed)
    }

    /// Opens the blob for verified reading.
    ///
    /// # Errors
    /// [`Error::DamagedBlob`] when its file is missing or too short; [`Error::Io`].
    pub(crate) fn open_blob(
        self: &Arc<Self>,
        content: ContentHash,
        sums: BlockSums,
    ) -> Result<BlobReader<Arc<Self>>> {
        let handle = self.open_file(&content)?;
        if handle.len()? < sums.size {
            return Err(self.found_damage(&content, "its file is too short"));
        }
        Ok(BlobReader::new(
            Arc::clone(self),
            handle,
            content,
            Arc::new(sums),
        ))
    }

    fn open_file(&self, content: &ContentHash) -> Result<Handle> {
        Handle::open_read(self.path_of(content)).map_err(|error| {
            if error.is_not_found() {
                self.found_damage(content, "its file is missing")
            } else {
                error
            }
        })
    }

    /// Removes the blob's file; `false` when there was none. Durable after
    /// [`sync_names`](Self::sync_names).
    pub(crate) fn remove(&self, content: &ContentHash) -> Result<bool> {
        self.sound.lock().remove(content);
        self.damaged.lock().remove(content);
        self.unsynced.lock().remove(content);
        file::remove_if_present(&self.path_of(content))
    }

    /// Makes removals durable, directory by directory.
    pub(crate) fn sync_names(&self, removed: &[ContentHash]) -> Result<()> {
        let mut prefixes: Vec<u8> = removed.iter().map(ContentHash::prefix).collect();
        prefixes.sort_unstable();
        prefixes.dedup();
        prefixes
            .into_iter()
            .try_for_each(|prefix| self.sync_dir(prefix))
    }

    /// Makes the names of the blobs whose hashes begin with this byte durable, and that others are
    /// gone.
    pub(crate) fn sync_dir(&self, prefix: u8) -> Result<()> {
        match file::sync_dir(&self.dir_of(prefix)) {
            // There is no such blob, and never was.
            Err(error) if error.is_not_found() => Ok(()),
            synced => synced,
        }
    }

    /// The bytes with which hashes of blobs begin: the directories `blobs/xx` that are there.
    pub(crate) fn prefixes(&self) -> Result<Vec<u8>> {
        let names = file::list(&self.blobs)?;
        Ok(names
            .iter()
            .filter(|(_, kind)| *kind == Kind::Directory)
            .filter_map(|(name, _)| {
                let mut prefix = [0];
                hex::decode_to_slice(name, &mut prefix).ok()?;
                (hex::encode(prefix) == *name).then(|| u8::from_be_bytes(prefix))
            })
            .collect())
    }

    /// The blob files whose hashes begin with this byte. Files with other names are nobody's and
    /// left alone.
    pub(crate) fn files(&self, prefix: u8) -> Result<Vec<ContentHash>> {
        let names = file::list_if_present(&self.dir_of(prefix))?;
        let hashes = names
            .iter()
            .filter_map(|(name, _)| ContentHash::from_file_name(name));
        Ok(hashes
            .filter(|content| content.prefix() == prefix)
            .collect())
    }

    /// Blobs known to be damaged.
    pub(crate) fn damaged(&self) -> u64 {
        self.damaged.lock().len() as u64
    }

    /// Bytes that may still be written to the file system.
    pub(crate) fn free_space(&self) -> Result<u64> {
        file::free_space(&self.staging)
    }

    /// Puts a durable file in its place, and makes its name durable (I1).
    fn publish(&self, staged: &Path, content: &ContentHash) -> Result<()> {
        let dir = self.dir_of(content.prefix());
        self.make_durable(content.prefix(), &dir)?;
        // Until the name is durable nobody may build on the file that has it, however this ends.
        self.unsynced.lock().insert(*content);
        file::rename(staged, &self.path_of(content))?;
        file::sync_dir(&dir)?;
        self.unsynced.lock().remove(content);
        self.found_sound(content);
        Ok(())
    }

    /// Makes `blobs/xx`, its name and those in it durable, once in this process: what an earlier process
    /// made or renamed may not be.
    fn make_durable(&self, prefix: u8, dir: &Path) -> Result<()> {
        let Some(durable) = self.durable_dirs.get(usize::from(prefix)) else {
            return Ok(());
        };
        let mut durable = durable.lock();
        if !*durable {
            file::create_dir(dir)?;
            file::sync_dir(dir)?;
            file::sync_dir(&self.blobs)?;
            *durable = true;
        }
        Ok(())
    }

    fn dir_of(&self, prefix: u8) -> PathBuf {
        self.blobs.join(hex::encode([prefix]))
    }

    fn path_of(&self, content: &ContentHash) -> PathBuf {
        self.dir_of(content.prefix()).join(content.to_string())
    }
}

/// Whether the file system takes a write that bypasses the page cache. What it does not tell (it may be
/// full) counts as no.
fn takes_direct(probe: &Path, buffers: &Arc<Buffers>) -> bool {
    let mut block = buffers.take(Some(ALIGNMENT as u64));
    block.fill(ALIGNMENT);
    let written = Handle::create_direct(probe.to_owned())
        .and_then(|handle| handle.write_at(block.as_ref(), 0));
    // What can not be removed now is removed when the store is opened.
    let _ = file::remove_if_present(probe);
    written.is_ok()
}

const _: () = assert!(BLOCK_LEN.is_power_of_two(), "blocks are aligned");
