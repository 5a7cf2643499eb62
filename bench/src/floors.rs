//! The floors: what anybody must do for a durable part, without a store.
//!
//! All of them but [`Md5`] have the files and the syncs of the store. A body is written to a staged file, which is synced
//! and renamed; its directory is synced; a line is appended to a log, and one sync of the log serves all who wait.

use std::fs::{self, File, OpenOptions};
use std::hint::black_box;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use crc_fast::CrcAlgorithm;
use md5::Digest as _;
use rustix::fs::OFlags;

use crate::log::Log;
use crate::measure::{Taker, Way};

/// How a floor writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Writes {
    /// Past the page cache, with `O_DIRECT`. Bodies begin and end at a page.
    Direct,
    /// Through the page cache.
    Buffered,
}

/// Files and syncs, and no digest: what the disk allows.
#[derive(Debug)]
pub struct Disk {
    files: Files,
    writes: Writes,
}

impl Disk {
    /// Bytes of one write.
    const CHUNK: usize = 1 << 20;

    /// In a directory of its own.
    #[must_use]
    pub fn new(dir: &Path, writes: Writes) -> Self {
        let files = Files::new(dir);
        Self { files, writes }
    }

    /// The floor as a way.
    #[must_use]
    pub fn way(writes: Writes) -> Way {
        Way::new(move |dir, _| Self::new(dir, writes))
    }
}

impl Taker for Disk {
    fn take(&self, _number: u32, part: &Bytes) {
        let staged = self.files.stage(self.writes);
        staged.write(part, Self::CHUNK, |_| ());
        self.files.publish(staged);
    }
}

/// The same files and syncs, and the digests of the store in a plain loop: what one writes by hand.
#[derive(Debug)]
pub struct Obvious(Files);

impl Obvious {
    /// Bytes that are digested and written at a time. They stay in the cache of a processor in the meantime.
    const CHUNK: usize = 256 << 10;

    /// In a directory of its own.
    #[must_use]
    pub fn new(dir: &Path) -> Self {
        Self(Files::new(dir))
    }

    /// The floor as a way.
    #[must_use]
    pub fn way() -> Way {
        Way::new(|dir, _| Self::new(dir))
    }
}

impl Taker for Obvious {
    fn take(&self, _number: u32, part: &Bytes) {
        let staged = self.0.stage(Writes::Buffered);
        let (mut md5, mut blake3) = (md5::Md5::new(), blake3::Hasher::new());
        let mut crc32 = crc32fast::Hasher::new();
        let mut crc64 = crc_fast::Digest::new(CrcAlgorithm::Crc64Xz);
        staged.write(part, Self::CHUNK, |chunk| {
            md5.update(chunk);
            blake3.update(chunk);
            crc32.update(chunk);
            crc64.update(chunk);
        });
        black_box((md5.finalize(), blake3.finalize()));
        black_box((crc32.finalize(), crc64.finalize()));
        self.0.publish(staged);
    }
}

/// The fastest MD5 of one stream, and nothing else.
#[derive(Debug)]
pub struct Md5;

impl Md5 {
    /// The floor as a way.
    #[must_use]
    pub fn way() -> Way {
        Way::new(|_, _| Self)
    }
}

impl Taker for Md5 {
    fn take(&self, _number: u32, part: &Bytes) {
        black_box(fast_md5::digest(part));
    }
}

/// The files of a floor, in as many directories as a store has, and its log.
#[derive(Debug)]
struct Files {
    dir: PathBuf,
    count: AtomicUsize,
    log: Log,
}

/// A file that has no name yet under which it stays.
struct Staged {
    file: File,
    path: PathBuf,
    number: usize,
}

impl Files {
    fn new(dir: &Path) -> Self {
        fs::create_dir_all(dir.join("staging")).expect("a directory");
        for prefix in 0..=u8::MAX {
            fs::create_dir_all(dir.join(format!("blobs/{prefix:02x}"))).expect("a directory");
        }
        Self {
            dir: dir.to_owned(),
            count: AtomicUsize::new(0),
            log: Log::new(&dir.join("log")),
        }
    }

    fn stage(&self, writes: Writes) -> Staged {
        let number = self.count.fetch_add(1, Ordering::Relaxed);
        let path = self.dir.join("staging").join(number.to_string());
        let mut open = OpenOptions::new();
        open.write(true).create_new(true);
        if writes == Writes::Direct {
            open.custom_flags(OFlags::DIRECT.bits().cast_signed());
        }
        let file = open.open(&path).expect("create");
        Staged { file, path, number }
    }

    fn publish(&self, staged: Staged) {
        staged.file.sync_data().expect("fdatasync");
        let prefix = self.dir.join(format!("blobs/{:02x}", staged.number % 256));
        let place = prefix.join(staged.number.to_string());
        fs::rename(staged.path, place).expect("rename");
        let prefix = File::open(prefix).expect("the directory");
        prefix.sync_all().expect("fsync of the directory");
        self.log.append();
    }
}

impl Staged {
    /// Writes the body in chunks, each after `digest` has seen it.
    fn write(&self, body: &[u8], chunk: usize, mut digest: impl FnMut(&[u8])) {
        for (chunk, offset) in body.chunks(chunk).zip((0..).step_by(chunk)) {
            digest(chunk);
            self.file.write_all_at(chunk, offset).expect("write");
        }
    }
}
