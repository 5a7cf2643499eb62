//! [`Aside`]: a file that gets its name when it is whole.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, RenameFlags, renameat_with};
use rustix::io::Errno;

use crate::failure::{Done, Failure};
use crate::interrupt;

/// What the name of a file that is half-made ends with.
const SUFFIX: &str = ".partstore-partial";

/// Whether a file with this name is half-made.
pub fn is_half_made(name: &[u8]) -> bool {
    name.starts_with(b".") && name.ends_with(SUFFIX.as_bytes())
}

/// A file under a temporary name beside its final one: `.NAME.PROCESS.partstore-partial`. It is removed if it does not become
/// whole, and what `kill -9` leaves has a name that says what it is.
pub struct Aside {
    file: File,
    path: PathBuf,
    named: PathBuf,
    force: bool,
}

impl Aside {
    /// Begins a file. If `force`, it takes the place of a regular file that has its name.
    pub fn create(named: &Path, force: bool) -> Done<Self> {
        refuse_existing(named, force)?;
        let name = named.file_name().ok_or_else(|| {
            Failure::Usage(format!("{} is not the name of a file", named.display()))
        })?;
        let name = name.to_string_lossy();
        // A name has at most 255 bytes.
        let short = name.chars().take(40).collect::<String>();
        let process = std::process::id();
        let path = named.with_file_name(format!(".{short}.{process}{SUFFIX}"));
        interrupt::half_made(&path);
        let opened = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .open(&path);
        let file = opened.map_err(Failure::file("create", &path))?;
        Ok(Self {
            file,
            path,
            named: named.to_owned(),
            force,
        })
    }

    pub fn write(&mut self, bytes: &[u8]) -> Done {
        self.file
            .write_all(bytes)
            .map_err(Failure::file("write", &self.path))
    }

    /// Makes it durable under its name.
    pub fn publish(self) -> Done {
        self.file
            .sync_all()
            .map_err(Failure::file("sync", &self.path))?;
        let renamed = interrupt::settle(&self.path, |path| {
            if self.force {
                fs::rename(path, &self.named)
            } else {
                rename_to_new(path, &self.named)
            }
        });
        match renamed {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Err(exists(&self.named)),
            Err(error) => Err(Failure::file("rename a file to", &self.named)(error)),
            Ok(()) => sync_dir(&self.named),
        }
    }
}

impl Drop for Aside {
    fn drop(&mut self) {
        // It has another name if it is whole. Nobody is left who could be told of a failure.
        let _ = interrupt::settle(&self.path, |path| match fs::remove_file(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        });
    }
}

fn rename_to_new(from: &Path, to: &Path) -> io::Result<()> {
    match renameat_with(CWD, from, CWD, to, RenameFlags::NOREPLACE) {
        // Some file systems cannot promise it.
        Err(Errno::INVAL | Errno::NOSYS | Errno::NOTSUP) => match fs::symlink_metadata(to) {
            Ok(_) => Err(io::ErrorKind::AlreadyExists.into()),
            Err(_) => fs::rename(from, to),
        },
        renamed => Ok(renamed?),
    }
}

/// Refuses to take the place of what exists; if `force`, only of what is no regular file: a device, a pipe, a link.
pub fn refuse_existing(path: &Path, force: bool) -> Done {
    match fs::symlink_metadata(path) {
        Ok(found) if !found.is_file() => Err(Failure::Usage(format!(
            "{} is not a regular file; name another file",
            path.display()
        ))),
        Ok(_) if !force => Err(exists(path)),
        _ => Ok(()),
    }
}

fn exists(path: &Path) -> Failure {
    Failure::Usage(format!(
        "{} exists; name another file, or say --force to replace it",
        path.display()
    ))
}

fn sync_dir(of: &Path) -> Done {
    let dir = match of.parent() {
        Some(dir) if !dir.as_os_str().is_empty() => dir,
        _ => Path::new("."),
    };
    let synced = File::open(dir).and_then(|dir| dir.sync_all());
    synced.map_err(Failure::file("sync", dir))
}
