//! The file layer, with the calls of `src/file/mod.rs`, over a [`disk`] in memory.

#[path = "../../../src/file/composed.rs"]
mod composed;

use std::io;
use std::path::{Path, PathBuf};

pub(crate) use composed::{
    create_dirs, list_if_present, read_if_present, remove_if_present, sync_parent, write_durably,
};

use crate::disk::{self, Contents, Node};
use crate::{Error, Result};

const SYNC: &str = "sync";

#[derive(Debug)]
pub(crate) struct Handle {
    contents: Contents,
    path: PathBuf,
}

impl Handle {
    pub(crate) fn create_new(path: PathBuf) -> Result<Self> {
        let contents = Contents::default();
        disk::create(&path, Node::File(contents.clone())).map_err(at("create", &path))?;
        Ok(Self { contents, path })
    }

    /// This disk has no page cache to bypass.
    #[expect(clippy::needless_pass_by_value, reason = "it is so in the real layer")]
    pub(crate) fn create_direct(path: PathBuf) -> Result<Self> {
        Err(at("create", &path)(io::ErrorKind::Unsupported.into()))
    }

    #[expect(
        clippy::unnecessary_wraps,
        clippy::unused_self,
        reason = "it is so in the real layer"
    )]
    pub(crate) fn leave_direct(&self) -> Result<()> {
        Ok(())
    }

    pub(crate) fn open_read(path: PathBuf) -> Result<Self> {
        let contents = disk::open(&path).map_err(at("open", &path))?;
        Ok(Self { contents, path })
    }

    pub(crate) fn open_write(path: PathBuf) -> Result<Self> {
        Self::open_read(path)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    #[expect(clippy::unnecessary_wraps, reason = "it is so in the real layer")]
    pub(crate) fn len(&self) -> Result<u64> {
        Ok(self.contents.step().seen.len() as u64)
    }

    #[expect(clippy::unnecessary_wraps, reason = "it is so in the real layer")]
    pub(crate) fn write_at(&self, bytes: &[u8], offset: u64) -> Result<()> {
        let mut contents = self.contents.step();
        let (from, to) = range(offset, bytes.len());
        if contents.seen.len() < to {
            contents.seen.resize(to, 0);
        }
        contents.seen[from..to].copy_from_slice(bytes);
        Ok(())
    }

    pub(crate) fn read_at(&self, bytes: &mut [u8], offset: u64) -> Result<()> {
        let (from, to) = range(offset, bytes.len());
        let contents = self.contents.step();
        let found = contents.seen.get(from..to);
        let found = found.ok_or_else(|| io::ErrorKind::UnexpectedEof.into());
        bytes.copy_from_slice(found.map_err(at("read", &self.path))?);
        Ok(())
    }

    pub(crate) fn sync_data(&self) -> Result<()> {
        self.contents.sync().map_err(at(SYNC, &self.path))
    }

    pub(crate) fn sync_all(&self) -> Result<()> {
        self.sync_data()
    }

    pub(crate) fn allocate(&self, len: u64) -> Result<()> {
        self.write_zeros(0, len)
    }

    pub(crate) fn write_zeros(&self, from: u64, to: u64) -> Result<()> {
        let len = bytes_of(to.saturating_sub(from));
        self.write_at(&vec![0; len], from)
    }
}

impl Error {
    pub(crate) fn is_failed_sync(&self) -> bool {
        matches!(self, Self::Io { op, .. } if *op == SYNC)
    }

    pub(crate) fn is_not_found(&self) -> bool {
        matches!(self, Self::Io { source, .. } if source.kind() == io::ErrorKind::NotFound)
    }
}

fn range(offset: u64, len: usize) -> (usize, usize) {
    (bytes_of(offset), bytes_of(offset) + len)
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
pub(crate) struct Lock;

impl Lock {
    #[expect(clippy::unnecessary_wraps, reason = "it is so in the real layer")]
    pub(crate) fn take(_path: &Path) -> Result<Option<Self>> {
        Ok(Some(Self))
    }
}

#[expect(clippy::unnecessary_wraps, reason = "it is so in the real layer")]
pub(crate) fn absolute(path: &Path) -> Result<PathBuf> {
    Ok(path.to_owned())
}

pub(crate) fn read(path: &Path) -> Result<Vec<u8>> {
    let contents = disk::open(path).map_err(at("read", path))?;
    Ok(contents.step().seen.clone())
}

pub(crate) fn rename(from: &Path, to: &Path) -> Result<()> {
    disk::rename(from, to).map_err(at("rename", from))
}

pub(crate) fn remove(path: &Path) -> Result<()> {
    disk::remove(path).map_err(at("remove", path))
}

#[expect(clippy::unnecessary_wraps, reason = "it is so in the real layer")]
pub(crate) fn remove_tree_if_present(path: &Path) -> Result<()> {
    disk::remove_tree(path);
    Ok(())
}

pub(crate) fn is_dir(path: &Path) -> bool {
    disk::find(path).is_some()
}

pub(crate) fn create_dir(path: &Path) -> Result<()> {
    match disk::create(path, Node::Directory) {
        Err(source) if source.kind() != io::ErrorKind::AlreadyExists => {
            Err(at("create directory", path)(source))
        }
        _ => Ok(()),
    }
}

pub(crate) fn sync_dir(path: &Path) -> Result<()> {
    disk::sync_names(path).map_err(at(SYNC, path))
}

pub(crate) fn sync_parents(path: &Path) -> Result<()> {
    path.ancestors().skip(1).try_for_each(sync_dir)
}

pub(crate) fn sync_tree(path: &Path) -> Result<()> {
    sync_dir(path)
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    File,
    Directory,
}

pub(crate) fn list(path: &Path) -> Result<Vec<(String, Kind)>> {
    let nodes = disk::list(path).map_err(at("list", path))?;
    let entry = |(path, node): (PathBuf, Node)| {
        let name = path.file_name().unwrap_or_default();
        let kind = match node {
            Node::Directory => Kind::Directory,
            Node::File(_) => Kind::File,
        };
        (name.to_string_lossy().into_owned(), kind)
    };
    Ok(nodes.into_iter().map(entry).collect())
}

#[expect(clippy::unnecessary_wraps, reason = "it is so in the real layer")]
pub(crate) fn free_space(_path: &Path) -> Result<u64> {
    Ok(u64::MAX / 2)
}
