//! [`Disk`]: the small file system that the store has for itself, if this process may mount one.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;

use rustix::fs::{FallocateFlags, fallocate, statvfs};
use tempfile::TempDir;

use crate::Failure;

pub struct Disk {
    dir: TempDir,
    /// Where it is mounted. `None` if the directory is part of a larger file system.
    mounted: Option<PathBuf>,
}

impl Disk {
    pub fn make(below: &Path, bytes: u64) -> Result<Self, Failure> {
        let dir = tempfile::tempdir_in(below)?;
        if !rustix::process::geteuid().is_root() {
            return Ok(Self { dir, mounted: None });
        }
        let (image, mount) = (dir.path().join("image"), dir.path().join("mounted"));
        File::create_new(&image)?.set_len(bytes)?;
        fs::create_dir(&mount)?;
        let mounted = run(Command::new("mkfs.ext4").arg("-q").arg(&image)).and_then(|()| {
            run(Command::new("mount")
                .args(["-o", "loop"])
                .arg(&image)
                .arg(&mount))
        });
        Ok(Self {
            dir,
            mounted: mounted.is_ok().then_some(mount),
        })
    }

    pub fn path(&self) -> &Path {
        self.mounted.as_deref().unwrap_or(self.dir.path())
    }

    /// Whether filling it fills nothing else.
    pub fn is_own(&self) -> bool {
        self.mounted.is_some()
    }

    /// Beside it, on the larger file system.
    pub fn beside(&self) -> &Path {
        self.dir.path()
    }

    pub fn used(&self) -> Result<u64, Failure> {
        let found = statvfs(self.path())?;
        Ok((found.f_blocks - found.f_bfree) * found.f_frsize)
    }

    /// Takes all room but so many bytes.
    pub fn fill(&self, leave: u64) -> Result<(), Failure> {
        let file = File::create(self.filler())?;
        let found = statvfs(self.path())?;
        let take = (found.f_bavail * found.f_frsize).saturating_sub(leave);
        // The server takes some in the meantime. Then pieces of what is left are taken.
        let (mut taken, mut piece) = (0, take);
        while taken < take && piece >= 1 << 20 {
            match fallocate(
                &file,
                FallocateFlags::empty(),
                taken,
                piece.min(take - taken),
            ) {
                Ok(()) => taken += piece.min(take - taken),
                Err(_) => piece /= 2,
            }
        }
        Ok(())
    }

    pub fn empty(&self) -> Result<(), Failure> {
        Ok(fs::remove_file(self.filler())?)
    }

    fn filler(&self) -> PathBuf {
        self.path().join("filler")
    }
}

impl Disk {
    /// Gives the disk back. Nothing may use it any more.
    pub fn give_back(&self) {
        if let Some(mounted) = &self.mounted {
            let _ = run(Command::new("umount").arg(mounted));
        }
        let _ = fs::remove_dir_all(self.dir.path());
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        self.give_back();
    }
}

fn run(command: &mut Command) -> Result<(), Failure> {
    let status = command.status()?;
    if status.success() {
        Ok(())
    } else {
        Err(format!("{command:?}: {status}").into())
    }
}

/// Number and bytes of all files below a directory. Those that vanish in the meantime do not count.
pub fn files(dir: &Path) -> (u64, u64) {
    let mut sum = (0, 0);
    for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
        let below = match entry.metadata() {
            Ok(found) if found.is_dir() => files(&entry.path()),
            Ok(found) => (1, found.len()),
            Err(_) => (0, 0),
        };
        sum = (sum.0 + below.0, sum.1 + below.1);
    }
    sum
}
