//! The file layer under chosen schedules: the calls of `mod.rs`, over a [`disk`] in memory. Only the tests
//! of schedules are built with it.

#![cfg_attr(
    not(test),
    expect(clippy::expect_used, reason = "a fault of this disk ends the test")
)]

mod composed;

use std::ffi::{OsStr, OsString};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

pub(crate) use composed::{
    copy_tree, read_if_present, read_what_reads, remove_if_present, remove_tree_if_present,
    sync_tree, unshare, write_durably,
};

use harness::disk::{self, Contents, Name};

use crate::local::health::Health;
use crate::{Error, Result};

const SYNC: &str = "sync";

/// A directory, by its path. Nobody renames one here.
#[derive(Clone, Debug)]
pub(crate) struct Dir {
    path: PathBuf,
    health: Arc<Health>,
}

#[derive(Clone, Debug)]
pub(crate) struct Place {
    dir: Dir,
    name: OsString,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    File,
    Directory,
    /// Nothing else exists on this disk.
    #[expect(dead_code, reason = "it is so in the real layer")]
    Other,
}

pub(crate) struct Entry {
    pub name: OsString,
    pub kind: Kind,
}

impl Dir {
    pub(crate) fn open(path: &Path, _mode: u32) -> Result<Self> {
        Self::open_with(path, Arc::default())
    }

    fn open_with(path: &Path, health: Arc<Health>) -> Result<Self> {
        match disk::find(path) {
            Some(Name::Directory(_)) => Ok(Self {
                path: path.to_owned(),
                health,
            }),
            Some(Name::File(_)) => Err(at("open", path)(io::ErrorKind::NotADirectory.into())),
            None => Err(at("open", path)(io::ErrorKind::NotFound.into())),
        }
    }

    pub(crate) fn dir(&self, name: impl AsRef<OsStr>) -> Result<Self> {
        Self::open_with(&self.path.join(name.as_ref()), Arc::clone(&self.health))
    }

    pub(crate) fn create_dir(&self, name: impl AsRef<OsStr>) -> Result<()> {
        let path = self.path.join(name.as_ref());
        match disk::create_dir(&path) {
            Err(source) if source.kind() != io::ErrorKind::AlreadyExists => {
                Err(at("create directory", &path)(source))
            }
            _ => Ok(()),
        }
    }

    pub(crate) fn at(&self, name: impl Into<OsString>) -> Place {
        Place {
            dir: self.clone(),
            name: name.into(),
        }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn lasting_path(&self) -> PathBuf {
        self.path.clone()
    }

    pub(crate) fn list(&self) -> Result<Vec<Entry>> {
        let nodes = disk::list(&self.path).map_err(at("list", &self.path))?;
        let entry = |(path, found): (PathBuf, Name)| Entry {
            name: path.file_name().unwrap_or_default().to_owned(),
            kind: match found {
                Name::Directory(_) => Kind::Directory,
                Name::File(_) => Kind::File,
            },
        };
        Ok(nodes.into_iter().map(entry).collect())
    }

    pub(crate) fn sync(&self) -> Result<()> {
        self.heed(disk::sync_names(&self.path).map_err(at(SYNC, &self.path)))
    }

    pub(crate) fn health(&self) -> &Arc<Health> {
        &self.health
    }

    fn heed(&self, synced: Result<()>) -> Result<()> {
        synced.inspect_err(|error| self.health.poison(error))
    }

    #[expect(
        clippy::unnecessary_wraps,
        clippy::unused_self,
        reason = "it is so in the real layer"
    )]
    pub(crate) fn sync_file_system(&self) -> Result<()> {
        Ok(())
    }

    pub(crate) fn sync_all_files(&self) -> Result<()> {
        self.heed(disk::sync_everything().map_err(at(SYNC, &self.path)))
    }

    #[expect(clippy::unused_self, reason = "it is so in the real layer")]
    pub(crate) fn reports_failed_writes(&self) -> bool {
        true
    }

    #[expect(clippy::unused_self, reason = "it is so in the real layer")]
    pub(crate) fn write_in_place(&self) {}

    #[expect(
        clippy::unnecessary_wraps,
        clippy::unused_self,
        reason = "it is so in the real layer"
    )]
    pub(crate) fn free_space(&self) -> Result<u64> {
        Ok(u64::MAX / 2)
    }
}

impl Place {
    pub(crate) fn dir(&self) -> &Dir {
        &self.dir
    }

    pub(crate) fn name(&self) -> &OsStr {
        &self.name
    }

    pub(crate) fn path(&self) -> PathBuf {
        self.dir.path.join(&self.name)
    }

    pub(crate) fn with_extension(&self, extension: &str) -> Self {
        self.dir.at(Path::new(&self.name).with_extension(extension))
    }

    #[expect(clippy::unnecessary_wraps, reason = "it is so in the real layer")]
    pub(crate) fn id(&self) -> Result<Option<()>> {
        Ok(disk::find(&self.path()).map(drop))
    }
}

#[derive(Debug)]
pub(crate) struct Handle {
    contents: Contents,
    place: Place,
}

impl Handle {
    pub(crate) fn create_new(place: &Place) -> Result<Self> {
        let path = place.path();
        let contents = disk::create(&path).map_err(at("create", &path))?;
        let place = place.clone();
        Ok(Self { contents, place })
    }

    /// This disk has no page cache to bypass.
    pub(crate) fn create_direct(place: &Place) -> Result<Self> {
        Err(at("create", &place.path())(
            io::ErrorKind::Unsupported.into(),
        ))
    }

    #[expect(
        clippy::unnecessary_wraps,
        clippy::unused_self,
        reason = "it is so in the real layer"
    )]
    pub(crate) fn leave_direct(&self) -> Result<()> {
        Ok(())
    }

    pub(crate) fn open_read(place: &Place) -> Result<Self> {
        let contents = disk::open(&place.path()).map_err(at("open", &place.path()))?;
        let place = place.clone();
        Ok(Self { contents, place })
    }

    /// This disk has no page cache to bypass.
    pub(crate) fn open_direct(place: &Place) -> Result<Self> {
        Self::create_direct(place)
    }

    pub(crate) fn open_write(place: &Place) -> Result<Self> {
        Self::open_read(place)
    }

    pub(crate) fn place(&self) -> &Place {
        &self.place
    }

    pub(crate) fn path(&self) -> PathBuf {
        self.place.path()
    }

    #[expect(
        clippy::unnecessary_wraps,
        clippy::unused_self,
        reason = "it is so in the real layer"
    )]
    pub(crate) fn is_shared(&self) -> Result<bool> {
        Ok(false)
    }

    #[expect(
        clippy::unnecessary_wraps,
        clippy::unused_self,
        reason = "it is so in the real layer"
    )]
    pub(crate) fn check_in_place(&self) -> Result<()> {
        Ok(())
    }

    #[expect(clippy::unnecessary_wraps, reason = "it is so in the real layer")]
    pub(crate) fn len(&self) -> Result<u64> {
        Ok(self.contents.len() as u64)
    }

    #[expect(clippy::unnecessary_wraps, reason = "it is so in the real layer")]
    pub(crate) fn write_at(&self, bytes: &[u8], offset: u64) -> Result<()> {
        self.contents.write_at(bytes, bytes_of(offset));
        Ok(())
    }

    pub(crate) fn read_at(&self, bytes: &mut [u8], offset: u64) -> Result<()> {
        let read = self.contents.read_at(bytes, bytes_of(offset));
        read.map_err(at("read", &self.path()))
    }

    #[expect(
        clippy::unnecessary_wraps,
        clippy::unused_self,
        reason = "it is so in the real layer"
    )]
    pub(crate) fn read_cached_at(&self, _bytes: &mut [u8], _offset: u64) -> Result<bool> {
        Ok(false)
    }

    pub(crate) fn sync_data(&self) -> Result<()> {
        let synced = self.contents.sync().map_err(at(SYNC, &self.path()));
        self.place.dir.heed(synced)
    }

    pub(crate) fn sync_all(&self) -> Result<()> {
        self.sync_data()
    }

    #[expect(clippy::unnecessary_wraps, reason = "it is so in the real layer")]
    pub(crate) fn allocate(&self, len: u64) -> Result<()> {
        disk::wait_for_room();
        self.contents.allocate(bytes_of(len));
        Ok(())
    }

    /// This disk is never full.
    #[expect(
        clippy::unnecessary_wraps,
        clippy::unused_self,
        reason = "it is so in the real layer"
    )]
    pub(crate) fn give_back(&self, _from: u64, _to: u64) -> Result<()> {
        Ok(())
    }

    #[expect(
        clippy::unnecessary_wraps,
        clippy::unused_self,
        reason = "it is so in the real layer"
    )]
    pub(crate) fn allocate_ahead(&self, _from: u64, _len: u64) -> Result<()> {
        Ok(())
    }

    pub(crate) fn allocated(&self) -> Result<u64> {
        self.len()
    }

    #[expect(clippy::unnecessary_wraps, reason = "it is so in the real layer")]
    pub(crate) fn truncate(&self, len: u64) -> Result<()> {
        self.contents.truncate(bytes_of(len));
        Ok(())
    }

    pub(crate) fn write_zeros(&self, from: u64, to: u64) -> Result<()> {
        let len = bytes_of(to.saturating_sub(from));
        self.write_at(&vec![0; len], from)
    }
}

impl Error {
    pub(crate) fn is_not_found(&self) -> bool {
        matches!(self, Self::Io { source, .. } if source.kind() == io::ErrorKind::NotFound)
    }

    pub(crate) fn tells_of_damage(&self) -> bool {
        matches!(self, Self::Damaged { .. })
    }

    pub(crate) fn is_not_a_directory(&self) -> bool {
        matches!(self, Self::Io { source, .. } if source.kind() == io::ErrorKind::NotADirectory)
    }

    #[expect(clippy::unused_self, reason = "this disk keeps what it has")]
    pub(crate) fn is_of_the_file(&self, _place: &Place) -> bool {
        false
    }

    #[expect(clippy::unused_self, reason = "this disk keeps what it has")]
    pub(crate) fn is_of_the_medium(&self) -> bool {
        false
    }

    pub(crate) fn is_a_directory(&self) -> bool {
        matches!(self, Self::Io { source, .. } if source.kind() == io::ErrorKind::IsADirectory)
    }
}

fn bytes_of(len: u64) -> usize {
    usize::try_from(len).expect("a file that fits into memory")
}

fn at(op: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Error {
    move |source| Error::Io {
        op,
        path: path.to_owned(),
        source,
    }
}

/// Nobody else has the disk.
#[derive(Debug)]
pub(crate) struct Lock {
    dir: Dir,
}

impl Lock {
    #[expect(clippy::unnecessary_wraps, reason = "it is so in the real layer")]
    pub(crate) fn take(dir: &Dir, _name: &str) -> Result<Option<Self>> {
        let dir = dir.clone();
        Ok(Some(Self { dir }))
    }

    pub(crate) fn dir(&self) -> &Dir {
        &self.dir
    }

    #[expect(clippy::unused_self, reason = "it is so in the real layer")]
    pub(crate) fn watch(&self, _dir: &Dir) {}

    #[expect(
        clippy::unnecessary_wraps,
        clippy::unused_self,
        reason = "it is so in the real layer"
    )]
    pub(crate) fn check(&self) -> Result<()> {
        Ok(())
    }
}

#[expect(clippy::unnecessary_wraps, reason = "it is so in the real layer")]
pub(crate) fn absolute(path: &Path) -> Result<PathBuf> {
    Ok(path.to_owned())
}

#[expect(clippy::only_used_in_recursion, reason = "it is so in the real layer")]
pub(crate) fn create_dirs(path: &Path, mode: u32) -> Result<()> {
    if disk::find(path).is_some() {
        return Ok(());
    }
    if let Some(parent) = path.parent() {
        create_dirs(parent, mode)?;
    }
    disk::create_dir(path).map_err(at("create directory", path))
}

pub(crate) fn sync_parents(path: &Path) -> Result<()> {
    let sync = |path: &Path| disk::sync_names(path).map_err(at(SYNC, path));
    path.ancestors().skip(1).try_for_each(sync)
}

pub(crate) fn read(place: &Place) -> Result<Vec<u8>> {
    let contents = disk::open(&place.path()).map_err(at("read", &place.path()))?;
    Ok(contents.read())
}

pub(crate) fn rename(from: &Place, to: &Place) -> Result<()> {
    disk::rename(&from.path(), &to.path()).map_err(at("rename", &from.path()))
}

pub(crate) fn remove(place: &Place) -> Result<()> {
    disk::remove(&place.path()).map_err(at("remove", &place.path()))
}

pub(crate) fn remove_dir(place: &Place) -> Result<()> {
    remove(place)
}
