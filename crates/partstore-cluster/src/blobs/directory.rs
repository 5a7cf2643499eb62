//! [`SharedDirectory`]: a file for each blob, in a directory that all servers mount.
//!
//! A file is written under its own name at once, because a token has that name already: whatever a crash
//! leaves of it is removed by that name. So this is not the local store of `object_store`, which writes beside
//! and renames, and whose leftovers no row names.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use partstore::backend::{
    BlobReader, BlobStore, BlobWriter, DurableBlob, Location, Source, StoredBlob, Verified, Witness,
};
use partstore::{ContentHash, Error, Event, Result, Stats, SyncKind};

use super::trust::{Staged, Trust};
use super::{Bucket, Doomed, Listed, mark, text_of};
use crate::session::{Lease, Token};

pub(crate) struct SharedDirectory {
    root: PathBuf,
    create: bool,
    trust: Arc<Trust>,
}

impl SharedDirectory {
    /// Names a directory. Unless `create`, a server has made it before.
    pub fn new(root: PathBuf, create: bool, trust: Arc<Trust>) -> Self {
        Self {
            root,
            create,
            trust,
        }
    }

    fn path(&self, at: &Location) -> PathBuf {
        self.root.join(text_of(at))
    }

    fn has_size(&self, blob: &StoredBlob) -> Result<bool> {
        Ok(self.size_of(&text_of(&blob.location))? == Some(blob.crcs.size))
    }

    /// The size of a file, if it exists.
    fn size_of(&self, name: &str) -> Result<Option<u64>> {
        let path = self.root.join(name);
        match fs::metadata(&path) {
            Ok(found) => Ok(Some(found.len())),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(failed("look at", &path)(error)),
        }
    }
}

impl BlobStore for SharedDirectory {
    fn name_of(&self, _content: &ContentHash, blob: &StoredBlob) -> String {
        text_of(&blob.location)
    }

    fn begin(&self) -> Result<Box<dyn BlobWriter>> {
        let token = self.trust.session.token()?;
        let path = self.path(&token.name());
        let file = File::create_new(&path).map_err(failed("make", &path))?;
        Ok(Box::new(Body {
            file,
            path,
            token: Some(token),
            witness: self.trust.session.database.witness.clone(),
            _staged: self.trust.stage(),
        }))
    }

    fn open(&self, content: &ContentHash, blob: StoredBlob) -> Result<Box<dyn BlobReader>> {
        let path = self.path(&blob.location);
        let lease = self.trust.session.lease()?;
        let source = |file| Opened {
            file,
            trust: Arc::clone(&self.trust),
            lease: Arc::clone(&lease),
            content: *content,
            at: blob.location.clone(),
        };
        match File::open(&path) {
            Ok(file) => Ok(Box::new(Verified::new(source(file), blob.crcs))),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let why = "its file is missing";
                Err(self.trust.damaged(&lease, content, &blob.location, why))
            }
            Err(error) => Err(failed("open", &path)(error)),
        }
    }

    fn is_sound(&self, _content: &ContentHash, blob: &StoredBlob) -> Result<bool> {
        let look = || self.has_size(blob);
        self.trust.is_sound(&blob.location, look)
    }

    fn require_sound(&self, content: &ContentHash, blob: &StoredBlob) -> Result<()> {
        let look = || self.has_size(blob);
        self.trust
            .require_sound(content, &blob.location, "file", look)
    }

    fn stats(&self, stats: &mut Stats) -> Result<()> {
        stats.staged_bodies = self.trust.staged();
        let found = rustix::fs::statvfs(&self.root);
        let found = found.map_err(|error| failed("look at", &self.root)(error.into()))?;
        stats.free_bytes = found.f_bavail * found.f_frsize;
        Ok(())
    }
}

impl Bucket for SharedDirectory {
    fn remove(&self, names: &[Doomed]) -> Result<Vec<Result<bool>>> {
        let mut found: Vec<Result<bool>> = Vec::with_capacity(names.len());
        for doomed in names {
            let path = self.path(&doomed.location);
            found.push(match fs::remove_file(&path) {
                Ok(()) => Ok(true),
                Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
                Err(error) => Err(failed("remove", &path)(error)),
            });
        }
        // I7: the rows go next, so the files must not come back. Another server may have unlinked one that was
        // not found, and crashed before it synced.
        let mut synced = BTreeMap::new();
        for (doomed, found) in names.iter().zip(&mut found) {
            let path = self.path(&doomed.location);
            let directory = path.parent().unwrap_or(&self.root).to_owned();
            let synced = synced.entry(directory);
            let synced = synced.or_insert_with_key(|directory| sync_directory(directory).is_ok());
            if !*synced && found.is_ok() {
                let error = io::Error::other("its directory was not synced");
                *found = Err(failed("remove", &path)(error));
            }
        }
        Ok(found)
    }

    fn list(&self, visit: &mut dyn FnMut(Listed) -> Result<()>) -> Result<()> {
        let mut listed = Listed::default();
        for first in names_in(&self.root)? {
            let directory = self.root.join(&first);
            if !directory.is_dir() {
                listed.add(&first);
                continue;
            }
            for name in names_in(&directory)? {
                listed.add(&format!("{first}/{name}"));
            }
            if listed.is_full() {
                visit(std::mem::take(&mut listed))?;
            }
        }
        visit(listed)
    }

    fn marks(&self) -> Result<Vec<String>> {
        let mut names = names_in(&self.root)?;
        names.retain(|name| mark::is_mark(name));
        Ok(names)
    }

    fn has(&self, name: &str) -> Result<bool> {
        Ok(self.size_of(name)?.is_some())
    }

    fn prepare(&self) -> Result<()> {
        let root = &self.root;
        // The directory that is made last.
        if !self.create && !root.join("ff").is_dir() {
            return Err(Error::NoSuchStore { path: root.into() });
        }
        fs::create_dir_all(root).map_err(failed("make", root))?;
        for first in 0..=u8::MAX {
            let path = root.join(format!("{first:02x}"));
            match fs::create_dir(&path) {
                Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
                    return Err(failed("make", &path)(error));
                }
                _ => {}
            }
        }
        sync_directory(root)
    }

    fn write_mark(&self, name: &str) -> Result<()> {
        let path = self.root.join(name);
        let written = File::create_new(&path).and_then(|mut file| {
            file.write_all(mark::TEXT.as_bytes())?;
            file.sync_all()
        });
        written.map_err(failed("write", &path))?;
        sync_directory(&self.root)
    }

    fn remove_mark(&self, name: &str) -> Result<()> {
        let path = self.root.join(name);
        fs::remove_file(&path).map_err(failed("remove", &path))
    }

    fn distrust(&self, location: &Location) {
        let _ = self.trust.distrust(location);
    }
}

/// A file on its way in. It has its name from the start.
struct Body {
    file: File,
    path: PathBuf,
    /// Taken when it is published.
    token: Option<Token>,
    witness: Witness,
    _staged: Staged,
}

impl BlobWriter for Body {
    fn write(&mut self, bytes: &[u8]) -> Result<()> {
        self.file
            .write_all(bytes)
            .map_err(failed("write", &self.path))
    }

    fn sync(self: Box<Self>) -> Result<Box<dyn DurableBlob>> {
        let synced = || self.file.sync_all().map_err(failed("sync", &self.path));
        let told = |kind| move |(): &(), took| Event::sync(kind, took);
        self.witness.timed(synced, told(SyncKind::Blob))?;
        if let Some(directory) = self.path.parent() {
            let synced = || sync_directory(directory);
            self.witness.timed(synced, told(SyncKind::Directory))?;
        }
        Ok(self)
    }
}

impl DurableBlob for Body {
    fn publish(mut self: Box<Self>, _content: &ContentHash) -> Result<Location> {
        let mut token = self.token.take().ok_or(Error::Closed)?;
        Ok(token.hand_over())
    }
}

impl Drop for Body {
    fn drop(&mut self) {
        if self.token.is_some() {
            // What fails here, the sweep does.
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// A file that is read.
struct Opened {
    file: File,
    trust: Arc<Trust>,
    lease: Arc<Lease>,
    content: ContentHash,
    at: Location,
}

impl Source for Opened {
    fn read_exact_at(&mut self, position: u64, into: &mut [u8]) -> Result<()> {
        let read = self.file.read_exact_at(into, position);
        read.map_err(|error| self.damaged(&format!("its file cannot be read: {error}")))
    }

    fn damaged(&self, reason: &str) -> Error {
        self.trust
            .damaged(&self.lease, &self.content, &self.at, reason)
    }
}

/// The names in a directory. One that does not exist has none.
fn names_in(path: &Path) -> Result<Vec<String>> {
    let entries = match fs::read_dir(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries.map_err(failed("list", path))?,
    };
    let names =
        entries.map(|entry| entry.map(|entry| entry.file_name().to_string_lossy().into_owned()));
    names
        .collect::<io::Result<_>>()
        .map_err(failed("list", path))
}

fn sync_directory(path: &Path) -> Result<()> {
    let synced = File::open(path).and_then(|directory| directory.sync_all());
    synced.map_err(failed("sync", path))
}

fn failed(op: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Error + use<> {
    let path = path.to_owned();
    move |source| match source.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Error::StorageFull {
            path,
            needed: 0,
            available: 0,
        },
        _ => Error::Io { op, path, source },
    }
}
