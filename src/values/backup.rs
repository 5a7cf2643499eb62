//! Backups: how files get into one and out of it, and what was done.

use std::time::SystemTime;

use crate::{DamagedBlob, DamagedFile};

/// How files get into a backup, or out of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Transfer {
    /// The file system shares the bytes (a reflink). Where it cannot, the file gets a second name (a hard
    /// link). Where that cannot be either, it is copied. A linked file is the same file: damage to it is damage
    /// to both.
    #[default]
    Fastest,
    /// The file system shares the bytes, and where it cannot, the file is copied.
    Apart,
    /// Every file is copied. While a blob is copied, it is compared with its BLAKE3 hash. Files that are shared
    /// or linked are not read.
    Copy,
}

/// What a backup did. [`PartStore::back_up`](crate::PartStore::back_up) makes it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct BackupReport {
    /// The number of the state, `1..`. 0 if there is none, because the backup was cut short.
    pub state: u64,
    /// The last batch that the state has. It has all before, and nothing behind.
    pub batch: u64,
    /// The blobs of the state.
    pub blobs: u64,
    /// Their sizes, bytes.
    pub bytes: u64,
    /// Of these, what an earlier backup had brought already, blobs.
    pub present: u64,
    /// How the others were brought.
    pub brought: Brought,
    /// The blobs that are damaged in the store, and that no earlier backup has. The backup does not have them.
    /// `parts` is empty.
    pub damaged: Vec<DamagedBlob>,
    /// Whether the callback ended the backup early. No state was made. What was brought stays for the next one.
    pub cut_short: bool,
}

/// What a restore did. [`Backups::restore`](crate::Backups::restore) makes it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct RestoreReport {
    /// The number of the state.
    pub state: u64,
    /// The last batch that it has.
    pub batch: u64,
    /// The blobs of the state.
    pub blobs: u64,
    /// Their sizes, bytes.
    pub bytes: u64,
    /// Of these, what an earlier restore to the same directory had brought, blobs.
    pub present: u64,
    /// How the others were brought.
    pub brought: Brought,
    /// The blobs that are damaged in the backup, or missing. `parts` is empty. Reading their parts answers
    /// [`Error::DamagedBlob`](crate::Error::DamagedBlob) until the same bytes are put again.
    pub damaged: Vec<DamagedBlob>,
    /// Whether the callback ended the restore early. The directory is no store yet. The same call goes on.
    pub cut_short: bool,
}

/// What is in a directory of backups. [`Backups::verify`](crate::Backups::verify) makes it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct BackupVerifyReport {
    /// The states.
    pub states: u64,
    /// The blobs of all states that have their bytes, each once.
    pub blobs: u64,
    /// Their sizes, bytes.
    pub bytes: u64,
    /// Files of states that are damaged, the first one of each such state. Blobs that only these states have were not
    /// read.
    pub files: Vec<DamagedFile>,
    /// Blobs that are damaged or missing. `parts` is empty.
    pub damaged: Vec<DamagedBlob>,
    /// Whether the callback ended it early.
    pub cut_short: bool,
}

impl BackupVerifyReport {
    /// Whether nothing is wrong, and all was read.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        self.files.is_empty() && self.damaged.is_empty() && !self.cut_short
    }
}

/// What removing old states did. [`Backups::keep_newest`](crate::Backups::keep_newest) makes it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct PruneReport {
    /// The states that were removed.
    pub states: u64,
    /// The blobs that no other state has.
    pub blobs: u64,
    /// Their sizes, bytes.
    pub bytes: u64,
    /// Whether the callback ended it early. The next call does the rest.
    pub cut_short: bool,
}

/// How blobs were brought: numbers of blobs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Brought {
    /// The file system shares their bytes. They were not read.
    pub shared: u64,
    /// They are the same files. They were not read.
    pub linked: u64,
    /// They were copied, and had the right bytes.
    pub copied: u64,
}

impl Brought {
    /// Returns how many blobs were brought.
    #[must_use]
    pub fn blobs(&self) -> u64 {
        self.shared + self.linked + self.copied
    }
}

/// A state of a store in a directory of backups: all that it held as of one batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct BackupState {
    /// Its number, `1..`. A later backup has a greater one.
    pub number: u64,
    /// When it was taken, by the clock of the machine.
    pub taken: SystemTime,
    /// The last batch that it has.
    pub batch: u64,
    /// Its blobs.
    pub blobs: u64,
    /// Their sizes, bytes.
    pub bytes: u64,
    /// The parts that refer to them.
    pub parts: u64,
}
