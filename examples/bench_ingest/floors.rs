//! What the store is measured against.

use std::fs::{self, File, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use md5::{Digest as _, Md5};
use parking_lot::{Condvar, Mutex};

const CHUNK: usize = 1 << 20;
const LINE_LEN: usize = 400;

/// Files and syncs as the store has them: staged, written, synced, renamed, the directory synced, and a
/// line in a log whose syncs are shared.
pub struct Disk {
    dir: PathBuf,
    direct: bool,
    count: AtomicUsize,
    log: Log,
}

impl Disk {
    pub fn new(dir: &Path, direct: bool) -> Self {
        make_dirs(dir);
        Self {
            dir: dir.to_owned(),
            direct,
            count: AtomicUsize::new(0),
            log: Log::new(&dir.join("log")),
        }
    }

    /// `body` begins at a page and ends at one.
    pub fn put(&self, body: &Bytes) {
        let at = self.count.fetch_add(1, Ordering::Relaxed);
        let staged = self.dir.join("staging").join(at.to_string());
        let mut open = OpenOptions::new();
        open.write(true).create_new(true);
        if self.direct {
            open.custom_flags(rustix::fs::OFlags::DIRECT.bits().cast_signed());
        }
        let file = open.open(&staged).expect("create");
        for (chunk, offset) in body.chunks(CHUNK).zip((0..).step_by(CHUNK)) {
            file.write_all_at(chunk, offset).expect("write");
        }
        publish(&file, &staged, &self.dir, at);
        self.log.append(&[b'x'; LINE_LEN]);
    }
}

/// The part of a storage server as it is written by hand.
pub struct Obvious {
    dir: PathBuf,
    count: AtomicUsize,
    rows: sled::Db,
}

impl Obvious {
    pub fn new(dir: &Path) -> Self {
        make_dirs(dir);
        Self {
            dir: dir.to_owned(),
            count: AtomicUsize::new(0),
            rows: sled::open(dir.join("rows")).expect("sled"),
        }
    }

    pub fn put(&self, body: &Bytes) {
        let at = self.count.fetch_add(1, Ordering::Relaxed);
        let staged = self.dir.join("staging").join(at.to_string());
        let mut file = File::create_new(&staged).expect("create");
        let (mut md5, mut blake3) = (Md5::new(), blake3::Hasher::new());
        let mut crc32 = crc32fast::Hasher::new();
        for chunk in body.chunks(CHUNK) {
            md5.update(chunk);
            blake3.update(chunk);
            crc32.update(chunk);
            file.write_all(chunk).expect("write");
        }
        let mut row = md5.finalize().to_vec();
        row.extend(blake3.finalize().as_bytes());
        row.extend(crc32.finalize().to_be_bytes());
        publish(&file, &staged, &self.dir, at);
        self.rows.insert(at.to_be_bytes(), row).expect("a row");
    }
}

fn make_dirs(dir: &Path) {
    fs::create_dir_all(dir.join("staging")).expect("a directory");
    for prefix in 0..=u8::MAX {
        fs::create_dir_all(dir.join(format!("blobs/{prefix:02x}"))).expect("a directory");
    }
}

fn publish(file: &File, staged: &Path, dir: &Path, at: usize) {
    file.sync_data().expect("fdatasync");
    let prefix = dir.join(format!("blobs/{:02x}", at % 256));
    fs::rename(staged, prefix.join(at.to_string())).expect("rename");
    let prefix = File::open(prefix).expect("the directory");
    prefix.sync_all().expect("fsync of the directory");
}

/// A log with group commit: of all that wait one syncs for all.
struct Log {
    file: File,
    state: Mutex<Group>,
    progress: Condvar,
}

#[derive(Default)]
struct Group {
    written: u64,
    durable: u64,
    syncing: bool,
}

impl Log {
    fn new(path: &Path) -> Self {
        let file = File::create_new(path).expect("the log");
        // As a journal has it: preallocated, so that a sync has no size to write.
        rustix::fs::fallocate(&file, rustix::fs::FallocateFlags::empty(), 0, 8 << 20)
            .expect("room for the log");
        Self {
            file,
            state: Mutex::default(),
            progress: Condvar::new(),
        }
    }

    fn append(&self, line: &[u8]) {
        let mut state = self.state.lock();
        self.file
            .write_all_at(line, state.written)
            .expect("write the log");
        state.written += line.len() as u64;
        let end = state.written;
        while state.durable < end {
            if state.syncing {
                self.progress.wait(&mut state);
                continue;
            }
            state.syncing = true;
            let all = state.written;
            parking_lot::MutexGuard::unlocked(&mut state, || {
                self.file.sync_data().expect("fdatasync of the log");
            });
            (state.durable, state.syncing) = (all, false);
            self.progress.notify_all();
        }
    }
}
