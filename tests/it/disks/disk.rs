//! A small file system of its own, in an image in memory: made, mounted, filled, unmounted.

use std::fs::{self, File};
use std::io::Write;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::process::Command;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::{Mutex, MutexGuard};
use rustix::fs::{FallocateFlags, fallocate};

use crate::fixture::fast_dir;
use crate::skipped::skipped;

const MIB: u64 = 1024 * 1024;

/// A file system, and how it was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Ext4,
    Ext4WithoutJournal,
    Xfs,
    Btrfs,
    /// The store is in a subvolume with a limit; the file system itself has room.
    BtrfsQuota,
    Tmpfs,
}

impl Kind {
    pub const ALL: [Self; 6] = [
        Self::Ext4,
        Self::Ext4WithoutJournal,
        Self::Xfs,
        Self::Btrfs,
        Self::BtrfsQuota,
        Self::Tmpfs,
    ];

    /// How large it is made for `mib` MiB to be free at first: xfs and btrfs take more for themselves.
    fn size_mib(self, mib: u64) -> u64 {
        match self {
            Self::Xfs | Self::Btrfs => (mib + 120).max(300),
            Self::BtrfsQuota => mib + 500,
            Self::Ext4 | Self::Ext4WithoutJournal | Self::Tmpfs => mib,
        }
    }

    /// The command that makes it, without the image; `None` where there is no image.
    fn maker(self) -> Option<&'static [&'static str]> {
        match self {
            Self::Ext4 => Some(&["mkfs.ext4", "-q", "-m", "0"]),
            Self::Ext4WithoutJournal => Some(&["mkfs.ext4", "-q", "-m", "0", "-O", "^has_journal"]),
            Self::Xfs => Some(&["mkfs.xfs", "-q"]),
            Self::Btrfs | Self::BtrfsQuota => Some(&["mkfs.btrfs", "-q"]),
            Self::Tmpfs => None,
        }
    }
}

/// One disk at a time: there are few loop devices, and all that is on the disks is in memory.
static ONE: Mutex<()> = Mutex::new(());

/// A mounted file system; unmounted and gone when this is dropped.
pub struct Disk {
    kind: Kind,
    dir: tempfile::TempDir,
    filling: AtomicU64,
    _one: MutexGuard<'static, ()>,
}

impl Disk {
    /// A file system with about `mib` MiB free (with a quota: of which the store may have so many).
    /// `None`, and a line that says why, where this machine cannot make it.
    pub fn new(kind: Kind, mib: u64) -> Option<Self> {
        let disk = Self::with(kind, mib, &[])?;
        if matches!(kind, Kind::Xfs | Kind::Btrfs) {
            disk.fill_to(mib * MIB);
        }
        Some(disk)
    }

    /// With so many inodes; of [`Kind::Ext4`] and [`Kind::Tmpfs`] only.
    pub fn with_inodes(kind: Kind, mib: u64, inodes: u64) -> Option<Self> {
        let inodes = inodes.to_string();
        Self::with(kind, mib, &["-N", &inodes])
    }

    fn with(kind: Kind, mib: u64, more: &[&str]) -> Option<Self> {
        let one = ONE.lock();
        let dir = fast_dir();
        fs::create_dir(dir.path().join("mounted")).unwrap();
        let disk = Self {
            kind,
            dir,
            filling: AtomicU64::new(0),
            _one: one,
        };
        match disk.mount(mib, more) {
            Ok(()) => Some(disk),
            Err(why) => {
                skipped(format!("{kind:?} cannot be made here: {why}"));
                None
            }
        }
    }

    fn mount(&self, mib: u64, more: &[&str]) -> Result<(), String> {
        let mounted = self.mounted();
        let Some(maker) = self.kind.maker() else {
            let inodes = more.last().copied().unwrap_or("0");
            let options = format!("size={mib}m,nr_inodes={inodes}");
            return run(Command::new("mount")
                .args(["-t", "tmpfs", "-o", &options, "partstore"])
                .arg(&mounted));
        };
        let image = self.image();
        let file = File::create(&image).unwrap();
        file.set_len(self.kind.size_mib(mib) * MIB).unwrap();
        run(Command::new(maker[0])
            .args(&maker[1..])
            .args(more)
            .arg(&image))?;
        self.attach()?;
        if self.kind == Kind::BtrfsQuota {
            let limit = format!("{mib}M");
            let limited = self.files();
            run(Command::new("btrfs")
                .args(["quota", "enable"])
                .arg(&mounted))?;
            run(Command::new("btrfs")
                .args(["subvolume", "create"])
                .arg(&limited))?;
            run(Command::new("btrfs")
                .args(["qgroup", "limit", &limit])
                .arg(&limited))?;
        }
        Ok(())
    }

    fn attach(&self) -> Result<(), String> {
        run(Command::new("mount")
            .args(["-o", "loop"])
            .args([self.image(), self.mounted()]))
    }

    fn image(&self) -> PathBuf {
        self.dir.path().join("image")
    }

    /// The disk no longer has these bytes as they were: wherever its image has this sector of a file, one of them changes.
    /// Nothing may be open there. Of the file systems with an image, btrfs finds that out.
    pub fn spoil(&self, sector: &[u8]) {
        run(Command::new("umount").arg(self.mounted())).unwrap();
        let image = File::options()
            .read(true)
            .write(true)
            .open(self.image())
            .unwrap();
        let mut read = vec![0; sector.len()];
        let mut found = 0;
        for at in (0..image.metadata().unwrap().len()).step_by(sector.len()) {
            image.read_exact_at(&mut read, at).unwrap();
            if read == sector {
                image.write_all_at(&[sector[0] ^ 1], at).unwrap();
                found += 1;
            }
        }
        assert_ne!(found, 0, "the image has no such sector");
        self.attach().unwrap();
    }

    pub fn kind(&self) -> Kind {
        self.kind
    }

    pub fn mounted(&self) -> PathBuf {
        self.dir.path().join("mounted")
    }

    /// What the limit is for: the store and the files of others.
    fn files(&self) -> PathBuf {
        match self.kind {
            Kind::BtrfsQuota => self.mounted().join("limited"),
            _ => self.mounted(),
        }
    }

    /// Where the store is.
    pub fn root(&self) -> PathBuf {
        self.files().join("data")
    }

    fn foreign(&self) -> PathBuf {
        self.files().join("foreign")
    }

    /// Others take all the room that is left, to the last byte.
    pub fn fill(&self) {
        self.fill_to(0);
    }

    /// The same, but of an xfs 8 MiB: of its last bytes it needs some itself, now more, now less.
    pub fn nearly_fill(&self) {
        self.fill_to(if self.kind == Kind::Xfs { 8 * MIB } else { 0 });
    }

    /// Others take the room until about `left` bytes are free.
    pub fn fill_to(&self, left: u64) {
        fs::create_dir_all(self.foreign()).unwrap();
        let reserve = self.foreign().join("reserve");
        if left > 0 {
            let file = File::create(&reserve).unwrap();
            if fallocate(&file, FallocateFlags::empty(), 0, left).is_err() {
                // Less is free already.
                fs::remove_file(reserve).unwrap();
                return;
            }
        }
        for len in [64 * MIB, 8 * MIB, MIB, 64 * 1024, 4096] {
            while self.allocate(len) {}
        }
        self.write_to_the_end();
        self.sync();
        if left > 0 {
            fs::remove_file(reserve).unwrap();
            self.sync();
        }
    }

    /// Others make files until there is no inode left.
    pub fn fill_inodes(&self) {
        fs::create_dir_all(self.foreign()).unwrap();
        while File::create(self.foreign().join(self.next_name())).is_ok() {}
    }

    /// Others remove what they have.
    pub fn empty(&self) {
        fs::remove_dir_all(self.foreign()).unwrap();
        self.sync();
    }

    /// Makes a file of this length, if there is room.
    fn allocate(&self, len: u64) -> bool {
        let path = self.foreign().join(self.next_name());
        let Ok(file) = File::create(&path) else {
            return false;
        };
        let done = fallocate(&file, FallocateFlags::empty(), 0, len).is_ok();
        if !done {
            let _ = fs::remove_file(path);
        }
        done
    }

    /// Writes until no byte is left.
    fn write_to_the_end(&self) {
        let path = self.foreign().join(self.next_name());
        let Ok(mut file) = File::create(path) else {
            return;
        };
        for len in [4096, 1] {
            let piece = vec![7; len];
            while file.write_all(&piece).is_ok() {}
        }
    }

    fn next_name(&self) -> String {
        self.filling.fetch_add(1, Ordering::Relaxed).to_string()
    }

    /// Frees what a file system frees only with its next transaction.
    pub fn sync(&self) {
        rustix::fs::syncfs(File::open(self.mounted()).unwrap()).unwrap();
    }
}

fn run(command: &mut Command) -> Result<(), String> {
    let name = command.get_program().to_string_lossy().into_owned();
    let output = command
        .output()
        .map_err(|error| format!("{name}: {error}"))?;
    let said = String::from_utf8_lossy(&output.stderr);
    if output.status.success() {
        return Ok(());
    }
    Err(format!(
        "{name}: {}",
        said.lines().last().unwrap_or_default()
    ))
}

impl Drop for Disk {
    fn drop(&mut self) {
        // Lazily: after a panic a store may still have files open there.
        let _ = Command::new("umount")
            .arg("--lazy")
            .arg(self.mounted())
            .output();
        let mounts = fs::read_to_string("/proc/self/mounts").unwrap_or_default();
        if mounts.contains(&*self.mounted().to_string_lossy()) {
            eprintln!("{} is still mounted", self.mounted().display());
        }
    }
}
