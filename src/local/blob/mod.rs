//! The blob store: files `blobs/3f/3f9a...` of raw bytes, each named by its BLAKE3 hash.
//!
//! It does not know metadata. Its caller says what a blob must hold, as [`BlockCrcs`]. It keeps I1 (a
//! published blob is durable, name included) and I5 (bytes are checked before anybody gets them or relies
//! on them).

#[cfg(not(shuttle))]
mod handed;
mod passes;
mod proof;
mod remembered;
#[cfg(all(test, shuttle))]
mod schedules;
mod sound;
mod source;
mod stage;

use std::collections::HashSet;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

pub(crate) use stage::{DurableBlob, StagedBlob};

use passes::Passes;
use remembered::Remembered;
use source::BlobFile;

use crate::backend::Verified;
use crate::buffers::{ALIGNMENT, Buffers};
use crate::going::Closing;
use crate::local::file::{self, Dir, Handle, Kind, Place};
use crate::process::Process;
use crate::sync::{Mutex, MutexGuard};
use crate::values::blocks::{BlockCrcs, SHORT_BLOCK};
use crate::{ContentHash, Error, Result};

pub(crate) struct BlobFiles {
    blobs: Dir,
    staging: Dir,
    process: Process,
    /// Memory for blobs that are checked.
    buffers: Arc<Buffers>,
    closing: Closing,
    /// For each directory `blobs/xx`: whether this process knows that its name and the names in it are
    /// durable.
    durable_dirs: Vec<Mutex<bool>>,
    /// Whether the file system takes writes that bypass the page cache.
    writes_direct: bool,
    staged: AtomicU64,
    staged_now: AtomicU64,
    /// Distinguishes the staged files of this open from those of an earlier one that may still be dropped.
    opening: u64,
    /// Blobs that this process has written, or synced and read through, and found sound.
    sound: Mutex<Remembered>,
    passes: Passes,
    /// Blobs whose files were renamed to their names, while the names are not durable yet.
    unsynced: Mutex<HashSet<ContentHash>>,
    /// Blobs that were found damaged and were not put again since.
    damaged: Mutex<HashSet<ContentHash>>,
    /// What was in `staging/` and does not belong to the store.
    foreign: Vec<PathBuf>,
    /// Nothing is made and nothing is removed.
    read_only: bool,
}

impl BlobFiles {
    /// Makes the directories of a new store.
    pub(crate) fn create(root: &Dir) -> Result<()> {
        root.create_dir("blobs")?;
        root.create_dir("staging")
    }

    /// Opens the store. Files in `staging/` were never acknowledged and are removed (I7). A directory there
    /// does not belong to the store, and some files cannot be removed. These are left alone, and
    /// [named](Self::foreign).
    pub(crate) fn open(root: &Dir, buffers: &Arc<Buffers>) -> Result<Self> {
        // If the directories are missing, only blobs are lost that were lost already. Each is found when it
        // is read.
        Self::create(root)?;
        let (blobs, staging) = (root.dir("blobs")?, root.dir("staging")?);
        let foreign = empty(&staging)?;
        let mut opening = [0; 8];
        getrandom::fill(&mut opening).map_err(|cause| Error::NoRandomness {
            cause: cause.to_string(),
        })?;
        Ok(Self {
            foreign,
            read_only: false,
            process: Process::current(),
            buffers: Arc::clone(buffers),
            closing: Closing::default(),
            writes_direct: takes_direct(&staging.at("probe"), buffers),
            blobs,
            staging,
            durable_dirs: (0..256).map(|_| Mutex::new(false)).collect(),
            staged: AtomicU64::new(0),
            staged_now: AtomicU64::new(0),
            opening: u64::from_ne_bytes(opening),
            sound: Mutex::default(),
            passes: Passes::default(),
            unsynced: Mutex::default(),
            damaged: Mutex::default(),
        })
    }

    /// Reads the blobs of another store, and changes nothing of it. If their directory is missing, so is each of them.
    #[cfg(not(shuttle))]
    pub(crate) fn reading(mut self, root: &Dir) -> Result<Self> {
        match root.dir("blobs") {
            Err(error) if error.is_not_found() => {}
            blobs => self.blobs = blobs?,
        }
        self.read_only = true;
        Ok(self)
    }

    /// # Errors
    /// [`Error::ReadOnly`].
    pub(crate) fn check_writable(&self) -> Result<()> {
        if self.read_only {
            Err(Error::ReadOnly)
        } else {
            Ok(())
        }
    }

    /// Makes long work end when `closing` begins.
    pub(crate) fn until(self, closing: &Closing) -> Self {
        Self {
            closing: closing.clone(),
            ..self
        }
    }

    /// Begins a body.
    pub(crate) fn stage(self: &Arc<Self>) -> Result<StagedBlob> {
        self.check_writable()?;
        let place = self.next_staged();
        if self.writes_direct {
            let staged = StagedBlob::create(Arc::clone(self), &place, Handle::create_direct)?;
            return Ok(staged.directly());
        }
        StagedBlob::create(Arc::clone(self), &place, Handle::create_new)
    }

    /// The place of the next body.
    fn next_staged(&self) -> Place {
        let number = self.staged.fetch_add(1, Ordering::Relaxed);
        self.staging.at(format!("{:016x}-{number}", self.opening))
    }

    /// The directories of its files.
    pub(crate) fn dirs(&self) -> [&Dir; 2] {
        [&self.blobs, &self.staging]
    }

    /// What was left in `staging/`.
    pub(crate) fn foreign(&self) -> &[PathBuf] {
        &self.foreign
    }

    /// # Errors
    /// [`Error::Forked`] in a child of the process that opened the store.
    pub(crate) fn check_process(&self) -> Result<()> {
        self.process.check()
    }

    /// Whether bodies are written past the page cache.
    pub(crate) fn writes_direct(&self) -> bool {
        self.writes_direct
    }

    /// Bodies that are being received.
    pub(crate) fn staged_bodies(&self) -> u64 {
        self.staged_now.load(Ordering::Relaxed)
    }

    /// Opens the blob for verified reading.
    ///
    /// # Errors
    /// [`Error::DamagedBlob`] if its file is missing or too short, or this file alone cannot be opened.
    /// [`Error::Io`].
    pub(crate) fn open_blob(
        self: &Arc<Self>,
        content: ContentHash,
        sums: BlockCrcs,
    ) -> Result<Verified<BlobFile<Arc<Self>>, Arc<BlockCrcs>>> {
        let handle = self.open_file(&content)?;
        if handle.len()? < sums.size {
            return Err(self.found_damage(&content, "its file is too short"));
        }
        let file = BlobFile::new(Arc::clone(self), handle, content);
        Ok(Verified::new(file, Arc::new(sums)))
    }

    fn open_file(&self, content: &ContentHash) -> Result<Handle> {
        self.find(content)?.map_err(|unusable| {
            let reason = match unusable {
                Unusable::Missing => "its file is missing".to_owned(),
                Unusable::Refused(error) => {
                    format!("its file cannot be opened: {}", error.one_line())
                }
            };
            self.found_damage(content, &reason)
        })
    }

    /// Opens the blob's file, or returns what is wrong with that file alone.
    fn find(&self, content: &ContentHash) -> Result<Result<Handle, Unusable>> {
        let place = match self.dir_of(content.prefix()) {
            Err(error) if error.is_not_found() => return Ok(Err(Unusable::Missing)),
            dir => dir?.at(content.to_string()),
        };
        match Handle::open_read(&place) {
            Ok(handle) => Ok(Ok(handle)),
            Err(error) if error.is_not_found() => Ok(Err(Unusable::Missing)),
            Err(error) if error.is_of_the_file(&place) => Ok(Err(Unusable::Refused(error))),
            Err(error) => Err(error),
        }
    }

    /// Removes the blob's file. `false` if none existed, or if a directory has its name, which no store
    /// makes. The removal is durable after [`sync_names`](Self::sync_names).
    pub(crate) fn remove(&self, content: &ContentHash) -> Result<bool> {
        self.check_writable()?;
        self.sound.lock().remove(content);
        self.passes.forget(content);
        self.damaged.lock().remove(content);
        self.unsynced.lock().remove(content);
        let remove = |dir: Dir| file::remove_if_present(&dir.at(content.to_string()));
        match self.dir_of(content.prefix()).and_then(remove) {
            Err(error) if error.is_not_found() || error.is_a_directory() => Ok(false),
            removed => removed,
        }
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

    /// Makes the names of the blobs whose hashes begin with this byte durable, and the removal of others.
    pub(crate) fn sync_dir(&self, prefix: u8) -> Result<()> {
        match self.dir_of(prefix) {
            // No such blob exists, and none ever did.
            Err(error) if error.is_not_found() => Ok(()),
            dir => dir?.sync(),
        }
    }

    /// The first bytes of the blobs' hashes: the directories `blobs/xx` that exist.
    pub(crate) fn prefixes(&self) -> Result<Vec<u8>> {
        let entries = self.blobs.list()?;
        Ok(entries
            .iter()
            .filter(|entry| entry.kind == Kind::Directory)
            .filter_map(|entry| {
                let mut prefix = [0];
                hex::decode_to_slice(entry.name.as_bytes(), &mut prefix).ok()?;
                (entry.name == *hex::encode(prefix)).then(|| u8::from_be_bytes(prefix))
            })
            .collect())
    }

    /// The blobs whose hashes begin with this byte and that have a file. Files with other names do not
    /// belong to the store and are left alone.
    pub(crate) fn files(&self, prefix: u8) -> Result<BlobNames> {
        let entries = match self.dir_of(prefix) {
            Err(error) if error.is_not_found() => Vec::new(),
            dir => dir?.list()?,
        };
        let mut names = BlobNames::default();
        for entry in entries {
            let content = entry.name.to_str().and_then(ContentHash::from_file_name);
            let Some(content) = content.filter(|content| content.prefix() == prefix) else {
                continue;
            };
            match entry.kind {
                Kind::Directory => names.directories += 1,
                // Anything else that is not a directory is removed, and never opened.
                Kind::File | Kind::Other => names.files.push(content),
            }
        }
        Ok(names)
    }

    /// How many blobs are known to be damaged.
    pub(crate) fn damaged(&self) -> u64 {
        self.damaged.lock().len() as u64
    }

    /// Bytes that may still be written to the file system.
    pub(crate) fn free_space(&self) -> Result<u64> {
        self.blobs.free_space()
    }

    /// Gives a durable file its name, and makes the name durable (I1).
    fn publish(&self, staged: &Place, content: &ContentHash) -> Result<()> {
        match self.give_name(staged, content) {
            // Somebody has removed the directory while it was empty.
            Err(error) if error.is_not_found() => {
                *self.is_durable(content.prefix()) = false;
                self.give_name(staged, content)
            }
            given => given,
        }
    }

    fn give_name(&self, staged: &Place, content: &ContentHash) -> Result<()> {
        self.make_durable(content.prefix())?;
        let dir = self.dir_of(content.prefix())?;
        let place = dir.at(content.to_string());
        // Until the name is durable nobody may rely on the file that has it, however this ends.
        self.unsynced.lock().insert(*content);
        match file::rename(staged, &place) {
            // A repair of the file system may leave an empty directory under the name of a file.
            Err(error) if error.is_a_directory() => {
                file::remove_dir(&place)?;
                file::rename(staged, &place)?;
            }
            renamed => renamed?,
        }
        dir.sync()?;
        self.unsynced.lock().remove(content);
        self.found_sound(content);
        Ok(())
    }

    /// Whether `blobs/xx` is durable, as far as this process knows.
    #[expect(clippy::indexing_slicing, reason = "there are 256, and this is a u8")]
    fn is_durable(&self, prefix: u8) -> MutexGuard<'_, bool> {
        self.durable_dirs[usize::from(prefix)].lock()
    }

    /// Makes `blobs/xx`, its name and the names in it durable, once in this process. What an earlier
    /// process made or renamed may not be durable.
    fn make_durable(&self, prefix: u8) -> Result<()> {
        self.check_writable()?;
        let mut durable = self.is_durable(prefix);
        if !*durable {
            self.blobs.create_dir(hex::encode([prefix]))?;
            self.dir_of(prefix)?.sync()?;
            self.blobs.sync()?;
            *durable = true;
        }
        Ok(())
    }

    /// Opens the directory anew each time, because some processes may not have 256 descriptors more.
    fn dir_of(&self, prefix: u8) -> Result<Dir> {
        self.blobs.dir(hex::encode([prefix]))
    }
}

/// Why the file of one blob cannot be used, although others can.
enum Unusable {
    Missing,
    /// What the operating system said when the file was to be opened.
    Refused(Error),
}

/// What one of the directories of blobs contains.
#[derive(Debug, Default)]
pub(crate) struct BlobNames {
    pub files: Vec<ContentHash>,
    /// How many directories have the name of a blob. No store makes them.
    pub directories: u64,
}

/// Removes the files in `staging/`, and returns what is left.
fn empty(staging: &Dir) -> Result<Vec<PathBuf>> {
    let mut left = Vec::new();
    for entry in staging.list()? {
        let place = staging.at(entry.name);
        if entry.kind == Kind::Directory {
            left.push(place.path());
            continue;
        }
        match file::remove_if_present(&place) {
            Err(error) if error.is_of_the_file(&place) => left.push(place.path()),
            removed => drop(removed?),
        }
    }
    Ok(left)
}

/// Whether the file system takes a write that bypasses the page cache. If that cannot be found out (the
/// disk may be full), the answer is no.
fn takes_direct(probe: &Place, buffers: &Arc<Buffers>) -> bool {
    let mut block = buffers.buffer_for(Some(ALIGNMENT as u64));
    block.fill(ALIGNMENT);
    let written =
        Handle::create_direct(probe).and_then(|handle| handle.write_at(block.as_ref(), 0));
    // If it cannot be removed now, it is removed when the store is opened.
    let _ = file::remove_if_present(probe);
    written.is_ok()
}

const _: () = assert!(SHORT_BLOCK.is_multiple_of(ALIGNMENT), "blocks are aligned");
