//! Puts the new truth in place of the damaged one. Nothing of the old one is removed. It is moved to a
//! directory of its own, `meta/salvaged-<batch>/`.
//!
//! The file `SALVAGED` is the decision. It is written when the new journal and layer are durable beside
//! the old ones, and removed when all is in place. An open that finds it continues where the one before was
//! interrupted.

use std::ffi::OsStr;

use super::super::layer::LayerScan;
use super::super::layers::Layers;
use super::super::rows::Row;
use super::Blobs;
use crate::local::file::{self, Dir, Place};
use crate::local::format::mutation::Tree;
use crate::{ContentHash, Error, Result};

/// Each of these is replaced by what was prepared under its name with `.new` behind it.
const REPLACED: [&str; 2] = ["journal", "snapshot"];

pub(super) fn decision(meta: &Dir) -> Place {
    meta.at("SALVAGED")
}

/// Makes the directory `name`, empty, beside the one that it will replace.
pub(super) fn prepare(meta: &Dir, name: &str) -> Result<Dir> {
    let prepared = format!("{name}.new");
    file::remove_tree_if_present(&meta.at(&prepared))?;
    meta.create_dir(&prepared)?;
    meta.dir(prepared)
}

/// Makes a directory for what is moved aside, under a name that nothing has.
pub(super) fn make_aside(meta: &Dir, seq: u64) -> Result<Dir> {
    let mut name = format!("salvaged-{seq}");
    for number in 2.. {
        if meta.at(&name).id()?.is_none() {
            break;
        }
        name = format!("salvaged-{seq}-{number}");
    }
    meta.create_dir(&name)?;
    meta.sync()?;
    meta.dir(name)
}

/// Finishes what was decided, if anything was. Returns the directory of what was moved aside.
pub(super) fn finish(meta: &Dir, blobs: &dyn Blobs) -> Result<Option<Dir>> {
    let decision = decision(meta);
    let Some(name) = file::read_if_present(&decision)? else {
        return Ok(None);
    };
    let aside = meta.dir(String::from_utf8_lossy(&name).trim())?;
    put_blobs_aside(meta, &aside, blobs)?;
    for name in REPLACED {
        if meta.at(format!("{name}.new")).id()?.is_some() {
            move_aside(meta, name, &aside)?;
            file::rename(&meta.at(format!("{name}.new")), &meta.at(name))?;
            meta.sync()?;
        }
    }
    for index in super::super::indexes(meta)? {
        if aside.at(index.name()).id()?.is_none() {
            move_aside(meta, index.name(), &aside)?;
        }
    }
    // The marker is about the old index and journal.
    file::remove_if_present(&meta.at("CLEAN"))?;
    meta.sync()?;
    file::remove(&decision)?;
    meta.sync()?;
    Ok(Some(aside))
}

fn move_aside(meta: &Dir, name: impl AsRef<OsStr>, aside: &Dir) -> Result<()> {
    let name = name.as_ref();
    if meta.at(name).id()?.is_some() {
        file::rename(&meta.at(name), &aside.at(name))?;
        aside.sync()?;
        meta.sync()?;
    }
    Ok(())
}

/// Moves the blobs aside that no part refers to any more. A sweep would remove them, and they may be all
/// that is left of a part.
fn put_blobs_aside(meta: &Dir, aside: &Dir, blobs: &dyn Blobs) -> Result<()> {
    let is_prepared = meta.at("snapshot.new").id()?.is_some();
    let dir = meta.dir(if is_prepared {
        "snapshot.new"
    } else {
        "snapshot"
    })?;
    let opened = Layers::new(dir, 0).open()?;
    let mut kept = match opened.first() {
        Some(layer) => Kept::new(layer.all())?,
        None => return Ok(()),
    };
    aside.create_dir("blobs")?;
    aside.sync()?;
    blobs.put_aside(&mut |content| kept.holds(content), &aside.dir("blobs")?)
}

/// The blobs of a layer, asked for in ascending order.
struct Kept {
    rows: LayerScan,
    next: Option<Row>,
}

impl Kept {
    fn new(mut rows: LayerScan) -> Result<Self> {
        let next = rows.next()?;
        Ok(Self { rows, next })
    }

    fn holds(&mut self, content: &ContentHash) -> Result<bool> {
        while let Some(row) = &self.next {
            if row.tree > Tree::Blobs
                || (row.tree == Tree::Blobs && row.key.as_slice() >= content.as_bytes().as_slice())
            {
                return Ok(row.tree == Tree::Blobs && row.key.starts_with(content.as_bytes()));
            }
            self.next = self.rows.next()?;
        }
        Ok(false)
    }
}

/// Writes a text beside what was moved aside.
pub(super) fn note(aside: &Dir, name: &str, lines: &[String]) -> Result<()> {
    let mut text = lines.join("\n");
    text.push('\n');
    file::write_durably(&aside.at(name), text.as_bytes())
}

pub(super) fn decide(meta: &Dir, aside: &Dir) -> Result<()> {
    let name = aside.path().file_name().ok_or(Error::Closed)?;
    file::write_durably(&decision(meta), name.as_encoded_bytes())
}
